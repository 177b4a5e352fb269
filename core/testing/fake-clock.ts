// Time in a plugin's test: the timers and dates of this process stand still until the test moves them.
import { promisify } from 'node:util';

interface Timer {
  readonly run: () => void;
  readonly everyMs: number | undefined;
  dueMs: number;
}

/** What is replaced; `node:timers/promises`, and timers made before, stay real. */
const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  Date: globalThis.Date,
  abortAfter: AbortSignal.timeout.bind(AbortSignal),
};

export class FakeClock {
  readonly #timers = new Map<FakeTimer, Timer>();
  readonly #startMs: number;
  #nowMs: number;

  /** Replaces the process's clock by one that stands at `startMs`; until `uninstall()` there can be no other. */
  static install(startMs: number): FakeClock {
    if (globalThis.setTimeout !== real.setTimeout)
      throw new Error('a fake clock is installed already: stop its TestHost');
    return new FakeClock(startMs);
  }

  private constructor(startMs: number) {
    this.#startMs = startMs;
    this.#nowMs = startMs;
    this.#replace();
  }

  uninstall(): void {
    this.#timers.clear();
    const { abortAfter, setImmediate: _, ...globals } = real;
    Object.assign(globalThis, globals);
    AbortSignal.timeout = abortAfter;
    Reflect.deleteProperty(performance, 'now');
  }

  /** Moves on by `ms`: runs what falls due, in order and each at its time, and whatever that sets off. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await turn();
    for (let due = this.#next(untilMs); due !== undefined; due = this.#next(untilMs)) {
      const [key, timer] = due;
      this.#nowMs = timer.dueMs;
      if (timer.everyMs === undefined) this.#timers.delete(key);
      else timer.dueMs += timer.everyMs;
      timer.run();
      await turn();
    }
    this.#nowMs = untilMs;
    await turn();
  }

  #next(untilMs: number): [FakeTimer, Timer] | undefined {
    const due = [...this.#timers].filter(([, { dueMs }]) => dueMs <= untilMs);
    return due.reduce<[FakeTimer, Timer] | undefined>(
      (first, one) => (first === undefined || one[1].dueMs < first[1].dueMs ? one : first),
      undefined,
    );
  }

  #replace(): void {
    const setTimer = (run: (...args: unknown[]) => void, ms = 1, ...args: unknown[]): FakeTimer =>
      this.#add(() => run(...args), ms);
    const sleep = (ms?: number, value?: unknown): Promise<unknown> =>
      new Promise(resolve => setTimer(() => resolve(value), ms));
    Object.assign(globalThis, {
      setTimeout: Object.assign(setTimer, { [promisify.custom]: sleep }),
      clearTimeout: this.#clear(real.clearTimeout),
      setInterval: (run: (...args: unknown[]) => void, ms = 1, ...args: unknown[]) =>
        this.#add(() => run(...args), ms, ms),
      clearInterval: this.#clear(real.clearInterval),
      Date: this.#dates(),
    });
    AbortSignal.timeout = ms => {
      const abort = new AbortController();
      setTimer(() => abort.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
      return abort.signal;
    };
    Object.defineProperty(performance, 'now', { value: () => this.#nowMs - this.#startMs, configurable: true });
  }

  #add(run: () => void, ms: number, everyMs?: number): FakeTimer {
    // As Node does: what is no number, or less than 1, is 1.
    const delayMs = ms >= 1 ? ms : 1;
    const timer: Timer = { run, dueMs: this.#nowMs + delayMs, everyMs: everyMs === undefined ? undefined : delayMs };
    const key = new FakeTimer(() => {
      timer.dueMs = this.#nowMs + delayMs;
      this.#timers.set(key, timer);
    });
    this.#timers.set(key, timer);
    return key;
  }

  #clear(realClear: (timer: NodeJS.Timeout | undefined) => void): (timer: unknown) => void {
    return timer => {
      if (timer instanceof FakeTimer) this.#timers.delete(timer);
      else realClear(timer as NodeJS.Timeout | undefined);
    };
  }

  #dates(): DateConstructor {
    const nowMs = (): number => this.#nowMs;
    return new Proxy(real.Date, {
      construct: (target, args, newTarget) =>
        Reflect.construct(target, args.length === 0 ? [nowMs()] : args, newTarget) as object,
      apply: () => new real.Date(nowMs()).toString(),
      get: (target, key) => (key === 'now' ? nowMs : (Reflect.get(target, key) as unknown)),
    });
  }
}

/** What `setTimeout` gives in Node: an object that can be told not to hold the process up. */
class FakeTimer {
  readonly #again: () => void;
  #holds = true;

  constructor(again: () => void) {
    this.#again = again;
  }

  ref(): this {
    this.#holds = true;
    return this;
  }

  unref(): this {
    this.#holds = false;
    return this;
  }

  hasRef(): boolean {
    return this.#holds;
  }

  refresh(): this {
    this.#again();
    return this;
  }
}

/** Two turns of the event loop: promises that were settled, and what they led to, have run. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise<void>(resolve => real.setImmediate(resolve));
}
