// The graph of the daemon's parts: a factory for each, made when it is first asked for. Only this file knows tsyringe.
import 'reflect-metadata';
import { container, instanceCachingFactory, type InjectionToken } from 'tsyringe';
import type { HoldfastConfig } from '../../config/holdfast-config.js';
import type { LiveConfig } from '../../daemon-parts.js';
import type { FarmSecrets } from '../../farm/farm-secrets.js';
import type { RootLogger } from '../../log.js';
import type { Store } from '../../store/store.js';

/** What is given from outside the graph. */
export interface Given {
  readonly live: LiveConfig;
  readonly stateFolder: string;
  readonly secrets: FarmSecrets;
  readonly log: RootLogger;
  readonly store: Store;
  /** The daemon's config file anew, or another one. */
  readonly reloadConfig: (path?: string) => HoldfastConfig;
}

/** Names a part, and is of its type: a wrong dependency is a compile error. */
export type Token<T> = InjectionToken<T>;
export const token = <T>(name: string): Token<T> => Symbol(name);

export type Get = <T>(key: Token<T>) => T;
export type Make = <T>(key: Token<T>, factory: (get: Get) => T) => void;
/** Registers the factories of parts that belong together. */
export type Wiring = (given: Given, make: Make) => void;

/** No part sees the graph: it is given the parts it needs, or a function where two need each other. */
export function wire(given: Given, wirings: readonly Wiring[]): Get {
  const graph = container.createChildContainer();
  // Parts are asked for by others for each call: looked up by their symbol alone, once they are made.
  const made = new Map<unknown, unknown>();
  const get: Get = <T>(key: Token<T>): T => {
    if (!made.has(key)) made.set(key, graph.resolve(key));
    return made.get(key) as T;
  };
  const make: Make = (key, factory) => {
    graph.register(key, { useFactory: instanceCachingFactory(() => factory(get)) });
  };
  for (const wiring of wirings) wiring(given, make);
  return get;
}
