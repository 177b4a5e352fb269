// Two phones in a call through a farm, each with a tone of its own: made, and proven to be whole.
import assert from 'node:assert/strict';
import { dialogSchema, type Dialog } from '../../core/ledger/dialog.js';
import type { Farm } from './farm.js';
import type { IncomingCall } from './incoming-call.js';
import { keptRecords } from './kept-records.js';
import type { InviteOptions, OutgoingCall } from './outgoing-call.js';
import type { SipCall } from './sip-call.js';
import type { SipDialog } from './sip-dialog.js';
import type { SipEndpoint } from './sip-endpoint.js';
import { waitFor } from './wait-for.js';

const callerHz = 440;
const calleeHz = 660;

export class PhonePair {
  readonly caller: OutgoingCall;
  readonly callee: IncomingCall;

  private constructor(caller: OutgoingCall, callee: IncomingCall) {
    this.caller = caller;
    this.callee = callee;
  }

  /** Calls `number` from `alice`, which `bob` answers; resolves when each hears the other. */
  static async call(farm: Farm, alice: SipEndpoint, bob: SipEndpoint, number = '70001'): Promise<PhonePair> {
    const { caller, callee } = await PhonePair.ring(alice, bob, farm.uri(number));
    return PhonePair.answer(caller, callee);
  }

  /** Calls `uri` from `alice`; resolves when it has come to `bob`, and fails with what `alice` saw as soon as it is refused. */
  static async ring(alice: SipEndpoint, bob: SipEndpoint, uri: string, options?: InviteOptions): Promise<PhonePair> {
    const arriving = bob.incoming(10_000);
    const caller = await alice.invite(uri, options);
    return new PhonePair(caller, await caller.reaches(arriving));
  }

  /** The callee, who has been called, answers; resolves when each hears the other. */
  static async answer(caller: OutgoingCall, callee: IncomingCall, hearMs?: number): Promise<PhonePair> {
    await callee.answer();
    await caller.answered();
    const pair = new PhonePair(caller, callee);
    caller.audio.sendTone(callerHz);
    callee.audio.sendTone(calleeHz);
    await pair.hear(hearMs);
    return pair;
  }

  /** Two phones that are in a call already. */
  static of(caller: OutgoingCall, callee: IncomingCall): PhonePair {
    return new PhonePair(caller, callee);
  }

  get calls(): readonly SipCall[] {
    return [this.caller, this.callee];
  }

  /** Name of the call node that has the call now. */
  async node(farm: Farm): Promise<string> {
    return waitFor('the call to be listed', async () => {
      const row = (await farm.calls()).find(({ legs }) => legs.some(leg => leg.callId === this.caller.callId));
      return row?.legs[0]?.node;
    });
  }

  /** The store has both dialogs as the phones have them: the next daemon knows what it needs, whenever this one dies. */
  async isKept(farm: Farm): Promise<void> {
    await isKept(farm, ...this.calls);
  }

  /** Each hears the other's tone, and nobody else's. */
  async hear(deadlineMs = 15_000): Promise<void> {
    await Promise.all([this.caller.audio.hears(calleeHz, deadlineMs), this.callee.audio.hears(callerHz, deadlineMs)]);
  }

  /** Both have had a re-INVITE since they had `before` of them. */
  async reinvited(before: readonly number[], deadlineMs = 20_000): Promise<void> {
    await waitFor(
      'both phones to be re-INVITEd',
      () => this.calls.every((call, i) => call.reinvites.length > (before[i] ?? 0)),
      {
        deadlineMs,
        describe: () => this.calls.map(call => call.ladder()).join('\n'),
      },
    );
  }

  /** Sound has come back to both: the gap before it is in their reports. */
  async soundsAgain(): Promise<void> {
    const before = this.calls.map(call => call.audio.report().packets);
    const more = (): boolean => this.calls.every((call, i) => call.audio.report().packets > (before[i] ?? 0) + 10);
    const describe = (): string =>
      this.calls.map(call => `${call.ladder()}\n${JSON.stringify(call.audio.report())}`).join('\n');
    await waitFor('sound at both phones', more, { deadlineMs: 10_000, describe });
    await this.hear();
  }

  get reinvites(): readonly number[] {
    return this.calls.map(call => call.reinvites.length);
  }

  /** A request of each phone in its dialog is answered: its dialog is whole at our side. */
  async holdAndResume(): Promise<void> {
    for (const call of this.calls) {
      await this.#reinvite(call, 'sendonly');
      await this.#reinvite(call, 'sendrecv');
    }
    await this.hear();
  }

  /** A re-INVITE that overtakes the ACK of the one before is refused for the moment (RFC 3261 §14.2). */
  async #reinvite(call: SipCall, direction: 'sendonly' | 'sendrecv'): Promise<void> {
    const accepted = async (): Promise<boolean> => (await call.reinvite({ direction })).status === 200;
    await waitFor(`200 to a re-INVITE, ${direction}`, accepted, { everyMs: 100, describe: () => call.ladder() });
  }

  /** One hangs up, and our BYE reaches the other. */
  async hangup(by: 'caller' | 'callee'): Promise<void> {
    const [first, second] = by === 'caller' ? [this.caller, this.callee] : [this.callee, this.caller];
    assert.equal(await first.hangup(), 200, first.ladder());
    const { by: who } = await second.ended();
    assert.equal(who, 'them');
  }
}

/** The store has the dialogs of these calls as their phones have them. */
export async function isKept(farm: Farm, ...calls: readonly SipCall[]): Promise<void> {
  const kept = (): Dialog[] => keptRecords(farm.state, 'dialogs').map(value => dialogSchema.parse(value));
  await waitFor(
    'the dialogs to be in the store',
    () => calls.every(({ dialog }) => kept().some(one => isAsAt(one, dialog))),
    { describe: () => JSON.stringify({ kept: kept(), phones: calls.map(({ dialog }) => dialog) }) },
  );
}

/** Our side's dialog is whole and no older than the phone's. */
function isAsAt(ours: Dialog, phone: SipDialog): boolean {
  const [sent, heard] = [ours.localCseq ?? -1, ours.remoteCseq ?? 0];
  const isWhole = ours.state === 'confirmed' && ours.holes.length === 0;
  return ours.callId === phone.callId && isWhole && sent >= phone.remoteCseq && heard >= phone.localCseq;
}
