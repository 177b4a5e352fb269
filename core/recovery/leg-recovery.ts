// Recovers one session: sends its INVITE from a node, waits for what comes of it, and tries again where that is worth while.
import { setTimeout as sleep } from 'node:timers/promises';
import { HoldfastError, messageOf } from '../errors.js';
import {
  bridgeVariable,
  recoveredContext,
  trunkEndpointName,
  type AriClient,
  type AriEvent,
  type EventOf,
} from '../ports/asterisk.js';
import { finalStatus } from '../calls/sip-status.js';
import { judgeAnswer } from './recovery-plan.js';
import type { LostSession } from './recovery-record.js';
import { recoveryCseq, recoveryVariables } from './recovery-variables.js';

/** `gone`: the far end has ended the dialog itself. `ended`: we ended it. */
export interface LegOutcome {
  readonly result: 'recovered' | 'gone' | 'ended' | 'failed' | 'again elsewhere';
  readonly reason: string;
  /** The far end's final response to the INVITE, where there was one. */
  readonly sipStatus?: number;
}

export interface LegRecoveryOptions {
  readonly session: LostSession;
  readonly ari: (node: string) => AriClient;
  readonly hasCredentials: (trunk: string) => boolean;
  readonly patienceMs: () => number;
  /** The bridge that it belongs in, if there is one. */
  readonly bridge: () => string | undefined;
}

type Happened =
  | { readonly kind: 'up' }
  | { readonly kind: 'hungUp' }
  | { readonly kind: 'refused'; readonly sipStatus: number }
  | { readonly kind: 'nodeDied' };

/** Pauses before another INVITE, in the mean; the last one repeats. A phone whose own re-INVITE is under way is done in some hundred ms. */
const pausesMs = [100, 100, 200, 200, 400, 400, 1000];

/**
 * ms from the refusal of this attempt (1 is the first) to the next. Half as much more or less by chance, as RFC 3261 §14.1 wants it: the far end
 * may be one that recovers the same dialog in the same moment. `random`: 0 to below 1.
 */
export function pauseAfter(attempt: number, random = Math.random()): number {
  const meanMs = pausesMs[Math.min(attempt, pausesMs.length) - 1] ?? 0;
  return meanMs * (0.5 + random);
}

/** How long one INVITE may go unanswered, seconds: it is sent again after 0.5, 1.5 and 3.5 s (RFC 3261 §17.1.1.2). */
const answerSeconds = 8;
/** The channel of an attempt that was refused leaves its name behind for some ms; one starved of CPU, for longer. */
const lookAgainMs = 50;
const mostLooks = 40;
/** How many nodes may refuse the order before it is given up. */
const ariAttempts = 2;
/** How long the sentinel may take to find that a node which an order did not reach is dead. */
const unreachedMs = 100;

export class LegRecovery {
  readonly #options: LegRecoveryOptions;
  readonly #beganMs = Date.now();
  #happened: (what: Happened) => void = () => undefined;
  #isWaiting = false;
  #ariFailures = 0;
  /** The last INVITE was answered, and not with a 2xx. */
  #isRefused = false;
  /** True from the moment that something may have been sent. */
  begun = false;
  attempts = 0;
  /** What its INVITEs were answered with, other than a 2xx, in order. */
  readonly refusals: number[] = [];
  /** When the last INVITE was asked for, ms since 1970; 0 before. */
  invitedMs = 0;
  lastCseq = 0;
  /** The bridge that the last INVITE's channel joins as it comes up. */
  bridgeId: string | undefined;
  conferenceReady: Promise<void> = Promise.resolve();

  constructor(options: LegRecoveryOptions) {
    this.#options = options;
  }

  /** From `new`, or from where an earlier daemon left it: its channel is there, under way or up. */
  async run(node: string, from: 'new' | 'under way' | 'up'): Promise<LegOutcome> {
    this.begun = true;
    if (from === 'up') return { result: 'recovered', reason: 'it was up already' };
    let happened = from === 'under way' ? await this.#wait() : await this.#invite(node);
    for (;;) {
      if ('result' in happened) return happened;
      if (happened.kind === 'up') return { result: 'recovered', reason: 'answered' };
      if (happened.kind === 'hungUp') return { result: 'gone', reason: 'the far end hung up as it answered' };
      if (happened.kind === 'nodeDied') return this.#elsewhere(`${node} died too`);
      const { sipStatus } = happened;
      this.#isRefused = true;
      // Asterisk gives a status of its own to one whose time was over.
      const isSilent = this.invitedMs > 0 && Date.now() - this.invitedMs >= answerSeconds * 1000;
      if (isSilent) return { result: 'failed', reason: 'the far end did not answer', sipStatus };
      this.refusals.push(sipStatus);
      const verdict = judgeAnswer(sipStatus);
      if (verdict === 'gone') return { result: 'gone', reason: 'the far end had hung up', sipStatus };
      if (verdict === 'failed') return { result: 'failed', reason: `the far end answered ${sipStatus}`, sipStatus };
      if (Date.now() - this.#beganMs > this.#options.patienceMs()) {
        return {
          result: 'failed',
          reason: `the far end still answered ${sipStatus} after ${this.attempts} attempts`,
          sipStatus,
        };
      }
      await sleep(pauseAfter(this.attempts));
      happened = await this.#invite(node);
    }
  }

  /** Told what happens to the channel; true when it was waited for. */
  hears(event: AriEvent): boolean {
    if (!this.#isWaiting) return false;
    if (event.type === 'StasisStart') this.#happened({ kind: 'up' });
    else if (event.type === 'ChannelDestroyed') this.#happened(endOf(event));
    return event.type === 'StasisStart' || event.type === 'ChannelDestroyed';
  }

  nodeDied(): void {
    this.#happened({ kind: 'nodeDied' });
  }

  async #invite(node: string): Promise<Happened | LegOutcome> {
    const { session, ari } = this.#options;
    this.attempts++;
    this.invitedMs = Date.now();
    const answered = this.#wait();
    const order = {
      ...{ endpoint: this.#endpoint(), context: recoveredContext, extension: 's', channelId: session.legId },
      ...{ formats: 'ulaw', timeout: answerSeconds, variables: this.#variables() },
    };
    for (let looks = 0; ; looks++) {
      try {
        await ari(node).channels.originate(order);
        return await answered;
      } catch (error) {
        const isTaken = HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 409;
        if (!isTaken || looks === mostLooks) return await this.#notTaken(node, error, answered);
      }
      // From an order whose answer was lost: then what happens to it will be heard. Else it is the channel of the last attempt,
      // of whose end we have heard before Asterisk has forgotten its name; or a refusal of another kind, as what is told of one is told
      // again of the next ones on that connection (main/channel_internal_api.c: `ast_channel_errno` is never reset).
      if (!this.#isRefused && (await this.#isThere(node))) return answered;
      await sleep(lookAgainMs);
    }
  }

  async #isThere(node: string): Promise<boolean> {
    const found = this.#options.ari(node).channels.get({ channelId: this.#options.session.legId });
    return found.then(() => true).catch(() => false);
  }

  async #notTaken(node: string, error: unknown, answered: Promise<Happened>): Promise<Happened | LegOutcome> {
    const reason = `${node} did not take it: ${messageOf(error)}`;
    const isUnreached = HoldfastError.is(error, 'ARI_UNREACHABLE');
    if (isUnreached) {
      // As like as not it has died, too, and the sentinel is about to say so. If it has taken the order nevertheless, that is heard.
      const heard = await Promise.race([answered, sleep(unreachedMs)]);
      if (heard !== undefined && heard.kind !== 'nodeDied') return heard;
    }
    this.#happened({ kind: 'nodeDied' });
    if (!isUnreached) this.#ariFailures++;
    const isOver = isUnreached
      ? Date.now() - this.#beganMs > this.#options.patienceMs()
      : this.#ariFailures === ariAttempts;
    return isOver ? { result: 'failed', reason } : this.#elsewhere(reason);
  }

  /** As if nothing of it were on any node: it may run again. */
  reset(): void {
    this.begun = false;
    this.#isRefused = false;
  }

  #elsewhere(reason: string): LegOutcome {
    this.reset();
    return { result: 'again elsewhere', reason };
  }

  #endpoint(): string {
    const { session, hasCredentials } = this.#options;
    if (session.dialog === null) return 'Local/s@echo/n';
    const name = session.trunk !== null && hasCredentials(session.trunk) ? trunkEndpointName(session.trunk) : 'edge';
    // Where it goes is in the variables.
    return `PJSIP/${name}/sip:session@recovery.invalid`;
  }

  #variables(): Readonly<Record<string, string>> {
    const { dialog } = this.#options.session;
    this.bridgeId = this.#options.bridge();
    const joining = this.bridgeId === undefined ? {} : { [bridgeVariable]: this.bridgeId };
    if (dialog === null) return joining;
    this.lastCseq = recoveryCseq(dialog, this.attempts);
    return { ...recoveryVariables(dialog, this.lastCseq), ...joining };
  }

  /** Asterisk itself gives up after `answerSeconds`; this is the net below. */
  #wait(): Promise<Happened> {
    return new Promise(resolve => {
      const late = setTimeout(() => this.#happened({ kind: 'refused', sipStatus: 408 }), (answerSeconds + 2) * 1000);
      this.#isWaiting = true;
      this.#happened = what => {
        // In this turn: what Asterisk says right behind it, of a phone that hangs up at once, is not for us any more.
        this.#isWaiting = false;
        this.#happened = () => undefined;
        clearTimeout(late);
        resolve(what);
      };
    });
  }
}

/** How an attempt's channel ended that never came up. A 2xx is Asterisk's to a BYE: it overtook the far end's answer to the INVITE (patches/0010). */
function endOf({ tech_cause: status, cause }: EventOf<'ChannelDestroyed'>): Happened {
  if (status !== undefined && status >= 200 && status < 300) return { kind: 'hungUp' };
  return { kind: 'refused', sipStatus: finalStatus(status, cause) };
}
