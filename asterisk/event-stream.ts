// One Asterisk's event stream: opened again without end, half-open connections noticed, a snapshot after each opening.
import WebSocket from 'ws';
import { messageOf } from '../core/errors.js';
import type { Logger } from '../core/log.js';
import type { AriClient, AriEvent, AriSnapshot, AsteriskListener } from '../core/ports/asterisk.js';
import { readEvent } from './ari-event.js';

export interface EventStreamOptions {
  readonly node: string;
  /** e.g. `ws://127.40.0.31:8088/ari/events?app=holdfast&subscribeAll=true` */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly ari: AriClient;
  /** Tells Asterisk which event types to send at all. */
  readonly filter: () => Promise<void>;
  readonly listener: AsteriskListener;
  readonly log: Logger;
}

const pingEveryMs = 1_000;
/** Without a pong for this long the connection is half open. */
const silenceMs = 2_000;
/** Bytes of one event; the largest are a few kilobytes. */
const maxPayload = 1 << 20;
const firstPauseMs = 100;
const longestPauseMs = 2_000;

export class EventStream {
  readonly #options: EventStreamOptions;
  #socket: WebSocket | undefined;
  #pauseMs = firstPauseMs;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #isCut = false;
  connected = false;
  /** Events that could not be read, and events of types nobody asked for. */
  readonly counters = { garbage: 0, skipped: 0 };

  constructor(options: EventStreamOptions) {
    this.#options = options;
    this.#open();
  }

  /**
   * Its Asterisk is dead: nothing more is heard of it, or tried, until `again`. The connection of a frozen one would seem open for a while, also when
   * its next process is up already.
   */
  cut(reason: string): void {
    const socket = this.#socket;
    this.#isCut = true;
    this.#socket = undefined;
    clearTimeout(this.#retry);
    socket?.terminate();
    this.#disconnected(reason);
  }

  /** There is another process. */
  again(): void {
    if (!this.#isCut || this.#closed) return;
    this.#isCut = false;
    this.#pauseMs = firstPauseMs;
    this.#open();
  }

  /** Resolves once the connection is down and the listener will be told nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    if (!socket || socket.readyState === WebSocket.CLOSED) return;
    // Not events.once: it rejects on the error that ending a connection half made is.
    const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
    socket.terminate();
    await closed;
  }

  #open(): void {
    const { url, user, password } = this.#options;
    const socket = new WebSocket(url, {
      auth: `${user}:${password}`,
      handshakeTimeout: 2_000,
      perMessageDeflate: false,
      maxPayload,
    });
    this.#socket = socket;
    /** Events that come before the snapshot is taken wait for it. */
    let waiting: AriEvent[] | undefined = [];
    let heardMs = Date.now();
    let reason = 'closed by Asterisk';
    const watch = setInterval(() => {
      if (Date.now() - heardMs > silenceMs) {
        reason = `silent for ${silenceMs} ms`;
        socket.terminate();
      } else if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, pingEveryMs);
    socket.on('pong', () => (heardMs = Date.now()));
    socket.on('open', () => {
      heardMs = Date.now();
      void this.#begin(socket, () => {
        const held = waiting ?? [];
        waiting = undefined;
        return held;
      });
    });
    socket.on('message', data => {
      if (this.#socket !== socket) return;
      heardMs = Date.now();
      const event = readEvent(data, this.counters);
      if (!event) return;
      if (waiting) waiting.push(event);
      else this.#tell(event);
    });
    socket.on('error', error => (reason = messageOf(error)));
    socket.on('close', () => {
      clearInterval(watch);
      if (this.#socket === socket) this.#lost(reason);
    });
  }

  /**
   * Snapshot first, then what came meanwhile, then what comes: no event is lost. What happened while the snapshot was being
   * taken may be in both.
   */
  async #begin(socket: WebSocket, release: () => AriEvent[]): Promise<void> {
    const { ari, filter, listener, log, node } = this.#options;
    try {
      await filter();
      const [info, channels, bridges] = await Promise.all([
        ari.asterisk.getInfo(),
        ari.channels.list(),
        ari.bridges.list(),
      ]);
      if (this.#closed || socket.readyState !== WebSocket.OPEN) return;
      const snapshot: AriSnapshot = { channels, bridges, startupTime: info.status.startup_time };
      this.connected = true;
      this.#pauseMs = firstPauseMs;
      log.info({ node, channels: channels.length, bridges: bridges.length }, `ARI of ${node} is connected`);
      listener.connected(snapshot);
      for (const event of release()) this.#tell(event);
    } catch (error) {
      log.debug({ node, error }, `no snapshot of ${node}: ${messageOf(error)}`);
      socket.terminate();
    }
  }

  #tell(event: AriEvent): void {
    try {
      this.#options.listener.event(event);
    } catch (error) {
      this.#options.log.error(
        { node: this.#options.node, event: event.type, error },
        `event not handled: ${messageOf(error)}`,
      );
    }
  }

  #disconnected(reason: string): void {
    const { listener, log, node } = this.#options;
    if (!this.connected) return;
    this.connected = false;
    if (!this.#closed) log.warn({ node, reason }, `ARI of ${node} is cut: ${reason}`);
    listener.disconnected(reason);
  }

  #lost(reason: string): void {
    this.#disconnected(reason);
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.#open(), this.#pauseMs * (0.75 + Math.random() / 2));
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }
}
