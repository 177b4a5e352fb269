// The flow interpreter: one pure function from a running flow and an event to the flow after it and what is to be done.
import type { IncomingCall } from '../calls/call-facts.js';
import type { ConnectOutcome, FlowAction, FlowCommand, FlowEvent, FlowScene, FlowTurn } from './flow-facts.js';
import {
  nextItem,
  pausePlayback,
  playMusic,
  resumePlayback,
  setMusic,
  startPlayback,
  stopStep,
  type PlaybackCommand,
  type PlaybackStep,
} from './flow-playback.js';
import { callVariables, fillText } from './flow-text.js';
import type { FlowRun, HeldEvent } from './flow-run.js';

/** What can happen to a running flow. */
export type RunEvent =
  | { readonly type: 'begin' }
  | { readonly type: 'digit'; readonly digit: string }
  /** An ARI playback has ended, or could not be. */
  | { readonly type: 'itemPlayed'; readonly id: string; readonly failed: boolean }
  /** It has, or was never begun, while nothing was heard since then. */
  | { readonly type: 'itemLost'; readonly id: string; readonly sinceMs: number }
  | { readonly type: 'timer'; readonly which: 'step' | 'item'; readonly atMs: number }
  | { readonly type: 'answer'; readonly asking: number; readonly value: unknown }
  | { readonly type: 'askFailed'; readonly asking: number; readonly reason: string }
  | { readonly type: 'connectEnded'; readonly outcome: ConnectOutcome; readonly sipStatus: number }
  /** Whoever the caller was connected to has hung up, and the flow has the caller again: see `wantsCallerBack`. */
  | { readonly type: 'parted' }
  /** The node of what it was doing died: the step begins again, when the caller is back. */
  | { readonly type: 'again' }
  /** The caller's node died, and was last heard then; without it, now. */
  | { readonly type: 'paused'; readonly sinceMs?: number }
  | { readonly type: 'resumed' }
  /** Another daemon goes on, after a time in which nothing was heard. */
  | { readonly type: 'takenUp'; readonly blindSinceMs: number };

/** What is to be done, in this order. */
export type RunCommand =
  | FlowCommand
  | PlaybackCommand
  | { readonly do: 'ask'; readonly asking: number }
  /** Whether this playback is still there is not known. */
  | { readonly do: 'lookPlay'; readonly id: string; readonly sinceMs: number };

/** What the interpreter must know beside the flow. */
export interface RunSurroundings {
  readonly actions: ReadonlyMap<string, FlowAction>;
  readonly call: IncomingCall;
  readonly answered: boolean;
  readonly nowMs: number;
}

export interface RunStep {
  readonly run: FlowRun;
  readonly commands: readonly RunCommand[];
  /** Why the flow has ended. */
  readonly ended?: string;
  /** Indexes of the steps that were begun, in order. */
  readonly begun?: readonly number[];
}

/** So many steps in so short a time are a circle, whether nothing in it waits or only servers that answer at once. */
const mostSteps = 500;
const paceMs = 10_000;

export function advanceFlow(run: FlowRun, event: RunEvent, around: RunSurroundings): RunStep {
  const step = advanced(run, event, around);
  // One who is connected, or in a room, is not on hold: `outOfFlow` has ended the music before.
  const isLeft = step.ended !== undefined || step.commands.some(({ do: what }) => what === 'hangup' || what === 'run');
  return isLeft || step.run.music === null ? step : after(step, next => playMusic(next, around.nowMs));
}

function advanced(run: FlowRun, event: RunEvent, around: RunSurroundings): RunStep {
  const unchanged: RunStep = { run, commands: [] };
  switch (event.type) {
    case 'begin':
      return beginStep(run, 0, around);
    case 'paused':
      return { run: paused(run, event.sinceMs ?? around.nowMs), commands: [] };
    case 'resumed':
      return resumed(run, around);
    case 'takenUp':
      return takenUp(run, event.blindSinceMs, around.nowMs);
    case 'again':
      return run.pausedMs === null ? beginStep(run, run.at, around) : held(run, { type: 'again' });
    case 'answer':
    case 'askFailed': {
      if (run.asking !== event.asking) return unchanged;
      const { asking: _, ...told } = event;
      const heard = { ...run, asking: null };
      return run.pausedMs === null ? hear(heard, told, around) : held(heard, told);
    }
    case 'itemPlayed':
      if (run.playback?.id !== event.id || run.pausedMs !== null) return unchanged;
      return afterItem(nextItem(run, around.nowMs, event.failed), around);
    case 'itemLost':
      // Heard twice is better than not at all: it goes on where it was when the caller was last heard.
      if (run.playback?.id !== event.id || run.pausedMs !== null) return unchanged;
      return resumePlayback(pausePlayback(run, event.sinceMs), around.nowMs);
    case 'timer':
      return timerRanOut(run, event, around);
    case 'parted':
      return run.pausedMs === null ? hear(run, event, around) : held(run, event);
    case 'digit':
    case 'connectEnded':
      return run.pausedMs === null ? hear(run, event, around) : unchanged;
  }
}

function timerRanOut(
  run: FlowRun,
  { which, atMs }: Extract<RunEvent, { type: 'timer' }>,
  around: RunSurroundings,
): RunStep {
  if (run.pausedMs !== null) return { run, commands: [] };
  if (which === 'item') {
    if (run.playback?.untilMs !== atMs) return { run, commands: [] };
    return afterItem(nextItem(run, around.nowMs), around);
  }
  return run.timer?.atMs === atMs ? hear({ ...run, timer: null }, { type: 'timeout' }, around) : { run, commands: [] };
}

function afterItem({ run, commands, isDone }: PlaybackStep, around: RunSurroundings): RunStep {
  if (isDone !== true) return { run, commands };
  return after({ run, commands }, next => hear(next, { type: 'played' }, around));
}

/** Does this first, then that. */
function after(first: RunStep, then: (run: FlowRun) => RunStep): RunStep {
  const next = then(first.run);
  const begun = [...(first.begun ?? []), ...(next.begun ?? [])];
  return { ...first, ...next, commands: [...first.commands, ...next.commands], begun };
}

function hear(run: FlowRun, event: FlowEvent, around: RunSurroundings): RunStep {
  const turn = turnOf(run, event, around);
  return turn === undefined ? { run, commands: [] } : take(run, turn, around);
}

/** What the step that runs says of an event; undefined: nothing. */
function turnOf(run: FlowRun, event: FlowEvent, around: RunSurroundings): FlowTurn | undefined {
  const entry = run.entries[run.at];
  const action = entry && around.actions.get(entry.action);
  return entry && action?.hear?.(keysOf(entry), run.state, event, sceneOf(run, around));
}

/** True where the flow goes on with a caller whose other party has hung up; else the call is over. */
export function wantsCallerBack(run: FlowRun, around: RunSurroundings): boolean {
  return turnOf(run, { type: 'parted' }, around) !== undefined;
}

/** Begins a step, and those after it, until one waits. */
function beginStep(run: FlowRun, at: number, around: RunSurroundings): RunStep {
  let step: RunStep = { run: at === run.at ? run : { ...run, at }, commands: [] };
  let begins = at;
  for (;;) {
    const entry = step.run.entries[begins];
    if (entry === undefined) return { ...step, ended: 'flow done' };
    const action = around.actions.get(entry.action);
    if (action === undefined) return { ...step, ended: `nobody has the action ${entry.action} any more` };
    const begun = visited(step.run, begins, around.nowMs);
    if (begun.pace.steps > mostSteps) return { ...step, ended: inACircle(begins) };
    const turn = action.begin(keysOf(entry), sceneOf(begun, around));
    step = after(step, () => ({ ...applied(begun, turn, around.nowMs), begun: [begins] }));
    const answers = step.commands.some(command => command.do === 'answer');
    around = answers ? { ...around, answered: true } : around;
    const next = wayOn(step.run, turn);
    if (next === undefined || isOver(turn)) return step;
    step = after(step, done => left(done, around.nowMs));
    begins = next;
  }
}

function inACircle(at: number): string {
  return `its flow runs in a circle at step ${at + 1}: more than ${mostSteps} steps in ${paceMs / 1000} s`;
}

/** What a step wants after something that it heard. */
function take(run: FlowRun, turn: FlowTurn, around: RunSurroundings): RunStep {
  const done = applied(run, turn, around.nowMs);
  const next = wayOn(done.run, turn);
  if (next === undefined || isOver(turn)) return done;
  const over = after(done, step => left(step, around.nowMs));
  return after(over, step => beginStep(step, next, around));
}

function isOver({ commands = [] }: FlowTurn): boolean {
  return commands.some(command => command.do === 'hangup');
}

/** Index of the step that follows; undefined where this one waits. */
function wayOn({ entries, at }: FlowRun, { go, follow }: FlowTurn): number | undefined {
  if (follow !== undefined) return 0;
  if (go === undefined) return undefined;
  return go === 'next' ? at + 1 : entries.findIndex(({ label }) => label === go.label);
}

function visited(run: FlowRun, at: number, nowMs: number): FlowRun {
  const { sinceMs, steps } = run.pace;
  const pace = nowMs - sinceMs < paceMs ? { sinceMs, steps: steps + 1 } : { sinceMs: nowMs, steps: 1 };
  return { ...run, at, pace, state: null, visits: { ...run.visits, [at]: (run.visits[at] ?? 0) + 1 } };
}

function applied(run: FlowRun, turn: FlowTurn, nowMs: number): RunStep {
  const { state, variables, play, music, timer, ask, commands = [], follow } = turn;
  let next: FlowRun = { ...run, ...(state === undefined ? {} : { state }) };
  if (variables !== undefined) next = { ...next, variables: { ...next.variables, ...variables } };
  if (timer !== undefined) {
    const { seconds = 0, forCaller = false } = timer ?? {};
    next = { ...next, timer: timer && { atMs: nowMs + seconds * 1000, forCaller } };
  }
  if (follow !== undefined) next = { ...next, entries: follow, visits: {} };
  let step: RunStep = { run: next, commands };
  if (music !== undefined) step = after(step, before => setMusic(before, music, nowMs));
  if (play !== undefined) step = after(step, before => played(before, play, nowMs));
  return ask === true ? after(step, asked) : step;
}

function asked(run: FlowRun): RunStep {
  const asking = run.serial + 1;
  return { run: { ...run, serial: asking, asking }, commands: [{ do: 'ask', asking }] };
}

function played(run: FlowRun, play: NonNullable<FlowTurn['play']>, nowMs: number): PlaybackStep {
  return play === 'stop' ? stopStep(run, nowMs) : startPlayback(run, play.items, play.times ?? 1, nowMs);
}

/** A step that is done leaves nothing behind. */
function left(run: FlowRun, nowMs: number): RunStep {
  const { run: silent, commands } = stopStep(run, nowMs);
  return { run: { ...silent, timer: null, asking: null }, commands };
}

function held(run: FlowRun, event: HeldEvent): RunStep {
  return { run: { ...run, held: [...run.held, event] }, commands: [] };
}

function paused(run: FlowRun, sinceMs: number): FlowRun {
  return run.pausedMs === null ? { ...pausePlayback(run, sinceMs), pausedMs: sinceMs } : run;
}

/** The caller is back, on another node: what they were hearing goes on, and timers have the rest that they had. */
function resumed(run: FlowRun, around: RunSurroundings): RunStep {
  if (run.pausedMs === null) return { run, commands: [] };
  const gapMs = around.nowMs - run.pausedMs;
  const timer = run.timer && { ...run.timer, atMs: run.timer.atMs + gapMs };
  const begun = resumePlayback({ ...run, timer, pausedMs: null, held: [] }, around.nowMs);
  return run.held.reduce<RunStep>(
    (step, event) =>
      after(step, next => (event.type === 'again' ? beginStep(next, next.at, around) : hear(next, event, around))),
    begun,
  );
}

/**
 * Asterisk has gone on playing meanwhile; what was asked is asked again. Digits were not heard: the caller has as long as they had.
 */
function takenUp(run: FlowRun, blindSinceMs: number, nowMs: number): RunStep {
  if (run.pausedMs !== null) return { run, commands: [] };
  const gapMs = Math.max(0, nowMs - blindSinceMs);
  const timer = run.timer?.forCaller === true ? { ...run.timer, atMs: run.timer.atMs + gapMs } : run.timer;
  const { playback, asking } = run;
  const commands: RunCommand[] = [
    ...(playback?.id == null ? [] : [{ do: 'lookPlay', id: playback.id, sinceMs: blindSinceMs } as const]),
    ...(asking === null ? [] : [{ do: 'ask', asking } as const]),
  ];
  return { run: { ...run, timer }, commands };
}

/** The scene of the step that runs. */
export function sceneOf(run: FlowRun, { call, answered, nowMs }: Omit<RunSurroundings, 'actions'>): FlowScene {
  const variables = { ...callVariables(call, nowMs), ...run.variables };
  const visits = run.visits[run.at] ?? 0;
  const isOnHold = run.music !== null;
  return {
    call,
    answered,
    isOnHold,
    nowMs,
    variables,
    visits,
    text: (text, encode) => fillText(text, variables, encode),
  };
}

/** The action's own keys. */
export function keysOf(entry: FlowRun['entries'][number]): Readonly<Record<string, unknown>> {
  const { action: _, label: __, ...keys } = entry;
  return keys;
}
