// Watches one server: its process and its voices. For the sentinel's thread.
import { readFileSync } from 'node:fs';
import { CpuWait } from '../host/cpu-wait.js';
import { ProcessEye } from '../host/process-table.js';
import type { Voice } from '../ports/voices.js';
import { askerOf, type Asker } from './askers.js';
import type { ListeningClock } from './listening-clock.js';
import { isQuiet, judge, type VoiceSigns, type Verdict } from './verdict.js';
import type { WatchedNode } from './sentinel-protocol.js';

/** How long a new watch waits for first answers before it says that there are none, ms. */
const firstWordMs = 500;
/** What each pause of ours is worth to a silent server, ms: it is asked several times meanwhile. */
const creditMs = 400;
/** Clock ticks a second of /proc/PID/stat: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** A verdict with the first sign of a death, ms since 1970. */
export type NewVerdict = Verdict & { readonly firstSignMs: number; readonly processGone: boolean };

export class Watch {
  readonly node: WatchedNode;
  readonly #eye: ProcessEye;
  readonly #ears: readonly Ear[];
  readonly #clock: ListeningClock;
  readonly #openedMs: number;
  readonly #openedAtMs = Date.now();
  readonly #startedMs: number;
  #listeningSinceMs: number;
  /** Kept while it is silent. */
  #cpuWait: CpuWait | undefined;
  #processGone = false;
  #said: Verdict['health'] | undefined;
  /** When the process was last seen, ms since 1970. */
  #seenMs = Date.now();

  /** `from` is the address that asks. */
  constructor(node: WatchedNode, from: string, streamOpen: boolean, clock: ListeningClock) {
    this.node = node;
    this.#clock = clock;
    this.#openedMs = clock.nowMs;
    this.#listeningSinceMs = this.#openedMs;
    this.#eye = new ProcessEye(node);
    this.#startedMs = node.wasUp === true ? -Infinity : this.#openedMs - ageMs(node.startTicks);
    this.#ears = node.voices.map(voice => new Ear(voice, from, streamOpen, clock));
  }

  set streamOpen(open: boolean) {
    for (const ear of this.#ears) ear.streamOpen = open;
  }

  /**
   * We did not listen ourselves: the silence so far counts for less, as what stopped us may have stopped the server just before. One
   * that lives answers within that time; one that is frozen is found also where there is a pause now and then.
   */
  paused(silenceMs: number): void {
    const { nowMs } = this.#clock;
    for (const ear of this.#ears) ear.wasQuiet = isQuiet(ear.signs, nowMs - this.#listeningSinceMs, nowMs, silenceMs);
    const lastMs = Math.max(...this.#ears.map(ear => ear.signs.answeredMs));
    const silentMs = nowMs - Math.max(lastMs, this.#listeningSinceMs);
    this.#listeningSinceMs = nowMs - Math.max(0, silentMs - creditMs);
  }

  lookAtProcess(): void {
    if (this.#eye.sees()) this.#seenMs = Date.now();
    else this.#processGone = true;
  }

  /** Asks every voice whose turn it is. */
  askInTurn(): void {
    const { nowMs } = this.#clock;
    for (const ear of this.#ears) if (ear.isDue(nowMs)) ear.ask(nowMs);
  }

  askAll(): void {
    const { nowMs } = this.#clock;
    for (const ear of this.#ears) ear.ask(nowMs);
  }

  /** The verdict, where it is another one than last time. */
  judge(silenceMs: number): NewVerdict | undefined {
    const { nowMs } = this.#clock;
    const voices = this.#ears.map(ear => ear.signs);
    const [processGone, listeningSinceMs, startedMs] = [this.#processGone, this.#listeningSinceMs, this.#startedMs];
    const lastMs = Math.max(this.#openedMs, ...voices.map(voice => voice.answeredMs));
    this.#noteSilence(nowMs - Math.max(lastMs, listeningSinceMs), silenceMs);
    const starvedMs = (): number => this.#cpuWait?.ms ?? 0;
    const verdict = judge({ processGone, voices, listeningSinceMs, startedMs, starvedMs }, nowMs, silenceMs);
    if (verdict.health === this.#said) return undefined;
    // A thread that was started anew must not take healthy nodes' calls away while it gets to know them.
    const isFirst = this.#said === undefined && nowMs - this.#openedMs < firstWordMs;
    if (isFirst && verdict.health === 'suspect') return undefined;
    this.#said = verdict.health;
    const firstSignMs = processGone
      ? this.#seenMs
      : Math.max(this.#openedAtMs, ...this.#ears.map(ear => ear.heardAtMs));
    return { ...verdict, firstSignMs, processGone };
  }

  /** What it waits for a CPU at the beginning of a silence is not known: looking costs some ms, and most silences are short. */
  #noteSilence(silentMs: number, silenceMs: number): void {
    if (silentMs < silenceMs / 3) this.#cpuWait = undefined;
    else this.#cpuWait ??= new CpuWait(this.node.pid);
  }

  close(): void {
    this.#eye.close();
    for (const ear of this.#ears) ear.close();
  }
}

/** What is heard of one voice. */
class Ear {
  streamOpen: boolean;
  wasQuiet = false;
  readonly #voice: Voice;
  readonly #asker: Asker;
  #answeredMs = 0;
  #refusedMs = 0;
  #askedMs = 0;
  #heardAtMs = 0;

  constructor(voice: Voice, from: string, streamOpen: boolean, clock: ListeningClock) {
    this.#voice = voice;
    this.streamOpen = streamOpen;
    this.#asker = askerOf(voice, from, {
      answered: () => {
        this.#answeredMs = clock.nowMs;
        this.#heardAtMs = clock.turnedAtMs;
        this.wasQuiet = false;
      },
      refused: () => (this.#refusedMs = clock.nowMs),
    });
  }

  /** When it last answered, ms since 1970. */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  get signs(): VoiceSigns {
    const { name, suspectAfter } = this.#voice;
    const hasStream = this.#voice.via === 'http' && this.#voice.hasStream;
    const streamOpen = hasStream ? this.streamOpen : undefined;
    const { wasQuiet } = this;
    return { name, suspectAfter, streamOpen, answeredMs: this.#answeredMs, refusedMs: this.#refusedMs, wasQuiet };
  }

  isDue(nowMs: number): boolean {
    return nowMs - this.#askedMs >= this.#voice.everyMs;
  }

  ask(nowMs: number): void {
    this.#askedMs = nowMs;
    this.#asker.ask();
  }

  close(): void {
    this.#asker.close();
  }
}

/** How long ago a process was started: both count from the machine's start, proc(5). */
function ageMs(startTicks: number): number {
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return Math.max(0, uptimeSeconds - startTicks / ticksPerSecond) * 1_000;
}
