// Typed events whose listeners cannot hurt each other: eventemitter3 with each listener guarded and named.
import { EventEmitter } from 'eventemitter3';
import type { Logger } from '../log.js';

/** Event names and the tuple of facts each one carries. */
export type EventMap<Events> = { readonly [Name in keyof Events]: readonly unknown[] };

type Listener<Facts extends readonly unknown[]> = (...facts: Facts) => unknown;

/**
 * Tells facts to its listeners in the order in which they registered. A listener that throws or rejects is logged under
 * its owner's name and stops neither the others nor the emitter. Events are not awaited.
 */
export class Emitter<Events extends EventMap<Events>> {
  readonly #emitter = new EventEmitter<string, unknown>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Registers a listener under its owner's name (for the log); the disposer removes it, and may be called twice. */
  on<Name extends keyof Events & string>(name: Name, owner: string, listener: Listener<Events[Name]>): () => void {
    const guarded = (...facts: unknown[]): void => {
      this.#guard(name, owner, () => listener(...(facts as unknown as Events[Name])));
    };
    this.#emitter.on(name, guarded);
    return () => void this.#emitter.off(name, guarded);
  }

  emit<Name extends keyof Events & string>(name: Name, ...facts: Events[Name]): void {
    this.#emitter.emit(name, ...facts);
  }

  listenerCount(name: keyof Events & string): number {
    return this.#emitter.listenerCount(name);
  }

  removeAll(): void {
    this.#emitter.removeAllListeners();
  }

  #guard(event: string, owner: string, call: () => unknown): void {
    const failed = (error: unknown): void =>
      this.#log.error({ event, owner, error }, `listener of ${owner} for ${event} failed`);
    try {
      const outcome = call();
      if (outcome instanceof Promise) outcome.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}
