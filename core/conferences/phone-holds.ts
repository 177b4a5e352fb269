// Phones that hold by themselves (sendonly, inactive): who comes beside one later, or anew, hears music as if there from the start.
import type { AsteriskFarm } from '../ports/asterisk.js';
import { innerLegId, present, type ConferenceRecord, type Participant } from './conference-record.js';
import { ignoreGone } from './inner-legs.js';

export interface PhoneHoldsOptions {
  readonly asterisks: AsteriskFarm;
  /** Whether a leg's phone holds the call, as its Asterisk said last. */
  readonly isHolding: (callId: string, legId: string) => boolean;
}

export class PhoneHolds {
  readonly #options: PhoneHoldsOptions;

  constructor(options: PhoneHoldsOptions) {
    this.#options = options;
  }

  /**
   * A leg, or its inner leg, has a new channel in its bridge. Asterisk tells those who are in a holding phone's bridge in that moment, and tells
   * them by itself when it resumes.
   */
  async attached(conference: ConferenceRecord, member: Participant): Promise<void> {
    const ofMember = (channelId: string) => ({ holder: member, channelId });
    if (conference.mixing === 'conference-farm') return this.#tell(ofMember(innerLegId(member)), member.callNode);
    const others = present(conference).filter(one => one.legId !== member.legId);
    const pairs = others.flatMap(other => [ofMember(other.legId), { holder: other, channelId: member.legId }]);
    await Promise.all(pairs.map(pair => this.#tell(pair, member.callNode)));
  }

  async #tell({ holder, channelId }: { holder: Participant; channelId: string }, node: string): Promise<void> {
    const { asterisks, isHolding } = this.#options;
    const { channels } = asterisks.node(node).ari;
    if (!isHolding(holder.callId, holder.legId)) return;
    // One that is not there yet is told when it is attached itself.
    await ignoreGone(channels.hold({ channelId }));
    if (!isHolding(holder.callId, holder.legId)) await ignoreGone(channels.unhold({ channelId }));
  }
}
