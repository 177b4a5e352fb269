// HOMER 7 as a source of dialogs: all Call-IDs of a dead node in one question, asked again while its writer is behind.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  messageOf,
  type PluginLogger,
  type TracedSip,
  type TraceQuery,
  type TraceSource,
} from '../../../core/plugin-api.js';
import { HomerClient } from './homer-client.js';
import type { HomerConfig } from './homer-config.js';
import { readTransactionReply } from './homer-reply.js';
import { hasOpenTransaction } from './open-transactions.js';

const path = '/call/transaction';
/** Call-IDs in one request: each is a parameter of one SQL statement there, and its messages a part of one answer here. */
const batch = 250;
const pauseMs = 500;

type Found = ReadonlyMap<string, readonly TracedSip[]>;

export class HomerSource implements TraceSource {
  readonly name = 'HOMER';
  readonly #client: HomerClient;
  readonly #patienceMs: number;
  readonly #timeoutMs: number;
  readonly #log: PluginLogger;

  constructor(config: HomerConfig, log: PluginLogger) {
    this.#timeoutMs = config.timeoutSeconds * 1000;
    this.#patienceMs = config.patienceSeconds * 1000;
    this.#client = new HomerClient({ ...config, timeoutMs: this.#timeoutMs });
    this.#log = log;
  }

  /**
   * heplify-server writes every few seconds, and each of its workers by a clock of its own, so no message proves that an
   * earlier one is there. A Call-ID is asked for again while nothing of it has come, or while a transaction that it was
   * lately in has not come in full; at most for `patienceSeconds`.
   */
  async messages({ callIds, fromMs, toMs }: TraceQuery, signal: AbortSignal): Promise<readonly TracedSip[]> {
    const began = Date.now();
    const whole = AbortSignal.any([signal, AbortSignal.timeout(this.#patienceMs + this.#timeoutMs)]);
    const written = toMs + this.#patienceMs;
    const giveUp = Math.min(began + this.#patienceMs, written);
    const found = new Map<string, readonly TracedSip[]>();
    let open = [...new Set(callIds)];
    while (open.length > 0) {
      const askedAt = Date.now();
      try {
        for (const [callId, messages] of await this.#ask(open, fromMs, toMs, whole)) found.set(callId, messages);
      } catch (error) {
        if (found.size === 0) throw error;
        this.#log.warn({ error }, `asking HOMER again failed, going on with what it gave before: ${messageOf(error)}`);
        break;
      }
      if (askedAt >= giveUp) break;
      open = open.filter(callId => !isSettled(found.get(callId), toMs - this.#patienceMs));
      if (open.length > 0 && !(await paused(whole))) break;
    }
    this.#report(callIds, found, Date.now() - began);
    return [...found.values()].flat().sort((a, b) => a.atMs - b.atMs);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #ask(callIds: readonly string[], fromMs: number, toMs: number, signal: AbortSignal): Promise<Found> {
    const wanted = new Set(callIds);
    const found = new Map<string, TracedSip[]>();
    for (let i = 0; i < callIds.length; i += batch) {
      for (const message of await this.#askBatch(callIds.slice(i, i + batch), fromMs, toMs, signal)) {
        // HOMER's correlation may add other calls, and its range is one of whole seconds.
        if (!wanted.has(message.callId) || message.atMs < fromMs || message.atMs > toMs) continue;
        const known = found.get(message.callId);
        if (known) known.push(message);
        else found.set(message.callId, [message]);
      }
    }
    return found;
  }

  async #askBatch(
    callIds: readonly string[],
    fromMs: number,
    toMs: number,
    signal: AbortSignal,
  ): Promise<readonly TracedSip[]> {
    // homer-app cuts both ends down to the second (data/service/search.go, GetTransaction).
    const timestamp = { from: Math.floor(fromMs / 1000) * 1000, to: Math.ceil(toMs / 1000) * 1000 };
    // `whitelist` names addresses to leave out. A search without `callid` makes the handler panic.
    const param = { transaction: {}, limit: 200, search: { '1_call': { callid: callIds } }, whitelist: [] };
    const reply = await this.#client.post(path, { timestamp, param }, signal);
    try {
      return readTransactionReply(reply);
    } catch (error) {
      throw this.#client.invalid(path, error);
    }
  }

  #report(callIds: readonly string[], found: Found, tookMs: number): void {
    const missing = callIds.filter(callId => !found.has(callId));
    const fields = { asked: callIds.length, found: found.size, tookMs };
    if (missing.length === 0) this.#log.info(fields, `HOMER knows all ${callIds.length} dialogs`);
    else this.#log.warn({ ...fields, missing }, `HOMER has nothing of ${missing.length} of ${callIds.length} dialogs`);
  }
}

/** What has come fits together; or it is so old that the rest of it was lost, and is not on its way. */
function isSettled(messages: readonly TracedSip[] | undefined, lateSinceMs: number): boolean {
  if (messages === undefined) return false;
  return messages.every(({ atMs }) => atMs < lateSinceMs) || !hasOpenTransaction(messages);
}

async function paused(signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(pauseMs, undefined, { signal });
    return true;
  } catch {
    // Out of time: what has been found is the answer.
    return false;
  }
}
