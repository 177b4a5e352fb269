// Runs a flow against scripted events, without a server: the daemon's own interpreter, and what it says in words. Pure.
import type { ConnectStep, IncomingCall } from '../calls/call-facts.js';
import { HoldfastError } from '../errors.js';
import type { FlowActions } from './action-registry.js';
import type { ConnectOutcome, FlowEntry } from './flow-facts.js';
import { stopPlayback } from './flow-playback.js';
import { newFlowRun, type FlowRun } from './flow-run.js';
import { advanceFlow, wantsCallerBack, type RunCommand, type RunEvent, type RunStep } from './interpreter.js';

/** One thing that happens, as `--events` has it: a word, and what belongs to it behind a colon. */
export interface ScriptedEvent {
  readonly word: string;
  readonly value: string;
}

export interface Simulation {
  /** A line for each step, each thing done and each event. */
  readonly lines: readonly string[];
  /** Labels, or numbers from 1, of the steps that were begun, in order. */
  readonly path: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  /** How the call ended, or what it waits for. */
  readonly end: string;
}

export interface SimulationOptions {
  readonly name: string;
  readonly entries: readonly FlowEntry[];
  readonly actions: FlowActions;
  readonly call: IncomingCall;
  readonly startMs: number;
}

/** The words of `--events`, and what they are. */
export const eventWords: Readonly<Record<string, string>> = {
  'digits:12#': 'the caller presses these digits',
  played: 'what plays comes to its end',
  'wait:5': 'so many seconds pass',
  answered: 'somebody answers the connect',
  left: 'whoever has answered hangs up',
  busy: 'the connect ends: its target is busy (486)',
  'no-answer': 'nobody answers in time (480)',
  declined: 'it is declined (603)',
  failed: 'the connect, or what was asked, fails (503)',
  'fetched:name=Ann,level=2': 'the server of a fetch answers 200 with these variables',
  'status:404': 'it answers with this status',
  'answer:JSON': "what a plugin's action asked is answered with this (no spaces)",
  hangup: 'the caller hangs up',
};

/** Throws USAGE for a word that is none. */
export function readEvents(text: string): readonly ScriptedEvent[] {
  const known = Object.keys(eventWords).map(word => word.replace(/:.*/, ''));
  return text
    .split(/\s+/)
    .filter(part => part !== '')
    .map(part => {
      const [, word = '', value = ''] = /^([a-z-]+)(?::(.*))?$/.exec(part) ?? [];
      if (known.includes(word) && fits(word, value)) return { word, value };
      throw new HoldfastError('USAGE', `--events: "${part}" is no event`, {
        remedy: `events are: ${Object.keys(eventWords).join(' ')}`,
      });
    });
}

/** `name=Ann,level=2` */
function pairsOf(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    text.split(',').map((pair): [string, string] => [pair.replace(/=.*/s, ''), pair.replace(/^[^=]*=?/, '')]),
  );
}

/** What stands behind the colon is what the word needs. */
function fits(word: string, value: string): boolean {
  if (word === 'digits') return /^[0-9A-D*#]+$/.test(value);
  if (word === 'wait') return /^\d+(\.\d+)?$/.test(value);
  if (word === 'status') return /^[1-5]\d\d$/.test(value);
  return word === 'answer' ? isJson(value) : true;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const outcomes: Readonly<Record<string, readonly [ConnectOutcome, number]>> = {
  busy: ['busy', 486],
  'no-answer': ['no-answer', 480],
  declined: ['declined', 603],
  failed: ['failed', 503],
};

export function simulateFlow(options: SimulationOptions, events: readonly ScriptedEvent[]): Simulation {
  const simulated = new SimulatedCall(options);
  for (const event of events) {
    if (simulated.end !== undefined) break;
    simulated.happen(event);
  }
  const { lines, path, run } = simulated;
  return { lines, path, variables: run.variables, end: simulated.end ?? simulated.waitsFor() };
}

class SimulatedCall {
  readonly lines: string[] = [];
  readonly path: string[] = [];
  run: FlowRun;
  end: string | undefined;
  readonly #options: SimulationOptions;
  #nowMs: number;
  #answered = false;
  #connecting = false;
  #connected = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#nowMs = options.startMs;
    this.run = newFlowRun(options.name, options.entries);
    this.#tell({ type: 'begin' });
  }

  happen({ word, value }: ScriptedEvent): void {
    this.lines.push(`< ${word}${value === '' ? '' : ` ${value}`}`);
    const outcome = outcomes[word];
    if (word === 'hangup') this.end = 'the caller has hung up';
    else if (word === 'answered' && this.#connecting) this.#connect();
    else if (word === 'left' && this.#connected) this.#left();
    else if (outcome && this.#connecting) {
      this.#connecting = false;
      this.#tell({ type: 'connectEnded', outcome: outcome[0], sipStatus: outcome[1] });
    } else if (word === 'digits') for (const digit of value) this.#tell({ type: 'digit', digit });
    else if (word === 'played') this.#playAll();
    else if (word === 'wait') this.#wait(Number(value));
    else if (this.run.asking !== null) this.#answer(word, value, this.run.asking);
  }

  /** What would have to happen next. */
  waitsFor(): string {
    const { playback, timer, asking } = this.run;
    if (this.#connecting) return 'waits for somebody to answer';
    if (this.#connected) return 'connected';
    if (asking !== null) return 'waits for an answer to its question';
    const waits = [
      ...(playback === null ? [] : ['the end of what plays']),
      ...(timer === null ? [] : [`${Math.ceil((timer.atMs - this.#nowMs) / 1000)} s to pass`]),
    ];
    return `waits for ${waits.length === 0 ? 'nothing that could come' : waits.join(', or ')}`;
  }

  #connect(): void {
    [this.#connecting, this.#connected, this.#answered] = [false, true, true];
    this.run = { ...stopPlayback(this.run, this.#nowMs).run, music: null };
  }

  #left(): void {
    this.#connected = false;
    const { actions, call } = this.#options;
    const wanted = wantsCallerBack(this.run, { actions, call, answered: true, nowMs: this.#nowMs });
    if (wanted) this.#tell({ type: 'parted' });
    else this.end = 'whoever has answered has hung up';
  }

  #answer(word: string, value: string, asking: number): void {
    if (word === 'failed') this.#tell({ type: 'askFailed', asking, reason: 'as the script says' });
    const fetched = (status: number, values: object): void =>
      this.#tell({ type: 'answer', asking, value: { status, values, flow: null } });
    if (word === 'fetched') fetched(200, pairsOf(value));
    if (word === 'status') fetched(Number(value), {});
    if (word === 'answer') this.#tell({ type: 'answer', asking, value: JSON.parse(value) as unknown });
  }

  #playAll(): void {
    const rounds = this.run.playback?.times === 0 ? 1 : (this.run.playback?.times ?? 0);
    let left = rounds * (this.run.playback?.items.length ?? 0);
    const began = this.run.at;
    while (left-- > 0 && this.run.playback !== null && this.run.at === began && this.end === undefined) {
      const { untilMs, id } = this.run.playback;
      if (untilMs !== null) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        this.#tell({ type: 'timer', which: 'item', atMs: untilMs });
      } else this.#tell({ type: 'itemPlayed', id: id ?? '', failed: false });
    }
  }

  /** Whatever runs out meanwhile does, in its order. */
  #wait(seconds: number): void {
    const endMs = this.#nowMs + seconds * 1000;
    for (;;) {
      const { timer, playback } = this.run;
      const next = [
        ...(timer ? [{ which: 'step' as const, atMs: timer.atMs }] : []),
        ...(playback?.untilMs == null ? [] : [{ which: 'item' as const, atMs: playback.untilMs }]),
      ].sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs || this.end !== undefined) break;
      this.#nowMs = next.atMs;
      this.#tell({ type: 'timer', ...next });
    }
    this.#nowMs = endMs;
  }

  #tell(event: RunEvent): void {
    const { actions, call } = this.#options;
    const before = this.run;
    const step = advanceFlow(before, event, { actions, call, answered: this.#answered, nowMs: this.#nowMs });
    this.run = step.run;
    this.#noteSteps(step);
    for (const command of step.commands) this.#do(command);
    if (step.ended !== undefined) this.end ??= step.ended;
  }

  #noteSteps({ begun }: RunStep): void {
    for (const at of begun ?? []) {
      const entry = this.#options.entries[at];
      const label = entry?.label ?? String(at + 1);
      this.path.push(label);
      this.lines.push(`${at + 1}. ${entry?.action ?? '?'}${entry?.label === undefined ? '' : ` (${entry.label})`}`);
    }
  }

  #do(command: RunCommand): void {
    const said = inWords(command, this.#answered);
    if (said !== undefined) this.lines.push(`   ${said}`);
    if (command.do === 'answer') this.#answered = true;
    if (command.do === 'hangup') this.end = command.reason;
    if (command.do === 'run') {
      this.#connecting = command.steps[0]?.action === 'connect';
      if (!this.#connecting) this.end = command.steps[0]?.action === 'echo' ? 'in the echo test' : 'in the room';
    }
    if (command.do === 'ask') this.#asked(command.asking);
  }

  /** Whom to connect to, whom to notify, and that something is recorded, is known here as well as anywhere. */
  #asked(asking: number): void {
    const action = this.run.entries[this.run.at]?.action;
    const target: ConnectStep = {
      action: 'connect',
      targets: [{ uri: 'sip:target@simulation.invalid' }],
      strategy: 'in-order',
    };
    if (action === 'transfer') this.#tell({ type: 'answer', asking, value: { steps: [target] } });
    if (action === 'connect') this.#tell({ type: 'answer', asking, value: [target] });
    if (action === 'notify' || action === 'record_stop') this.#tell({ type: 'answer', asking, value: null });
    if (action === 'record_start') this.#tell({ type: 'answer', asking, value: 'simulated' });
  }
}

function inWords(command: RunCommand, answered: boolean): string | undefined {
  switch (command.do) {
    case 'answer':
      return 'answers';
    case 'ring':
      return 'rings';
    case 'mute':
      return command.muted ? 'mutes the caller' : 'unmutes the caller';
    case 'hangup':
      return `${answered ? 'hangs up' : `refuses with ${command.sipStatus}`}: ${command.reason}`;
    case 'play':
      return `plays ${command.media.replace(/^sound:/, '')}`;
    case 'run':
      return command.steps[0]?.action === 'conference_join' ? `joins ${command.steps[0].room}` : undefined;
    default:
      return undefined;
  }
}
