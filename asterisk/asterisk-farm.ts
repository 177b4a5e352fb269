// All Asterisks of the farm as core sees them: a client and an event stream per node.
import { z } from 'zod';
import { ports } from '../core/farm/farm-plan.js';
import type { Logger } from '../core/log.js';
import {
  stasisApp,
  type AriClient,
  type AsteriskFarm,
  type AsteriskListener,
  type AsteriskNode,
  type RequestDelay,
} from '../core/ports/asterisk.js';
import { ariClient, callAri } from './ari-client.js';
import { heardEvents } from './ari-event.js';
import { AriRequester } from './ari-requester.js';
import { EventStream } from './event-stream.js';

export interface AriFarmOptions {
  readonly addressOf: (node: string) => string;
  readonly passwordOf: (node: string) => string;
  readonly log: Logger;
  /** Types of events to be sent. Default: those that core acts upon. */
  readonly events?: readonly string[];
}

/** Nodes are made when they are first asked for, and forgotten when they are closed. */
export class AriFarm implements AsteriskFarm {
  readonly #options: AriFarmOptions;
  readonly #nodes = new Map<string, Node>();

  constructor(options: AriFarmOptions) {
    this.#options = options;
  }

  node(name: string): AsteriskNode {
    const known = this.#nodes.get(name);
    if (known) return known;
    const { addressOf, passwordOf, log, events = heardEvents } = this.#options;
    const node = new Node({ name, address: addressOf(name), password: passwordOf(name), log, events }, () =>
      this.#nodes.delete(name),
    );
    this.#nodes.set(name, node);
    return node;
  }
}

interface NodeOptions {
  readonly name: string;
  readonly address: string;
  readonly password: string;
  readonly log: Logger;
  readonly events: readonly string[];
}

/** ms; below the time for which idle connections are kept (ari-requester.ts). */
const connectEveryMs = 10 * 60_000;

class Node implements AsteriskNode {
  readonly name: string;
  readonly ari: AriClient;
  readonly #requester: AriRequester;
  readonly #about: NodeOptions;
  readonly #forget: () => void;
  #stream: EventStream | undefined;
  #keepOpen: NodeJS.Timeout | undefined;

  constructor(about: NodeOptions, forget: () => void) {
    this.name = about.name;
    this.#about = about;
    this.#forget = forget;
    const origin = `http://${about.address}:${ports.ari}`;
    this.#requester = new AriRequester({ node: about.name, origin, user: stasisApp, password: about.password });
    this.ari = ariClient(this.#requester);
  }

  get connected(): boolean {
    return this.#stream?.connected ?? false;
  }

  requestDelay(): RequestDelay {
    return this.#requester.times.look();
  }

  open(listener: AsteriskListener): void {
    const { address, password, log, events } = this.#about;
    this.#requester.resume();
    this.#stream?.again();
    this.#keepOpen ??= setInterval(() => this.connected && this.#requester.connect(), connectEveryMs).unref();
    this.#stream ??= new EventStream({
      node: this.name,
      // All channels: an application that follows single ones no longer hears of them once they leave Stasis.
      url: `ws://${address}:${ports.ari}/ari/events?app=${stasisApp}&subscribeAll=true`,
      user: stasisApp,
      password,
      ari: this.ari,
      filter: async () => {
        const filter = { allowed: events.map(type => ({ type })) };
        await callAri(this.#requester, 'applications.filter', { applicationName: stasisApp, filter }, z.unknown());
      },
      listener: {
        connected: snapshot => {
          listener.connected(snapshot);
          this.#requester.connect();
        },
        disconnected: reason => listener.disconnected(reason),
        event: event => listener.event(event),
      },
      log,
    });
  }

  async abandon(): Promise<void> {
    const why = `${this.name} was declared dead`;
    this.#stream?.cut(why);
    await this.#requester.abandon(why);
  }

  async close(): Promise<void> {
    this.#forget();
    clearInterval(this.#keepOpen);
    await this.#stream?.close();
    await this.#requester.close();
  }
}
