// Tells the far end of a session that is not recovered what its dead node cannot tell any more.
import { messageOf } from '../errors.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { PlannedLeg } from './recovery-plan.js';
import type { DialogSource, StandInPort } from './recovery-ports.js';

export interface FarEndsOptions {
  readonly standIn: StandInPort;
  readonly source: DialogSource;
  readonly log: Logger;
}

export class FarEnds {
  readonly #standIn: StandInPort;
  readonly #source: DialogSource;
  readonly #log: Logger;

  constructor({ standIn, source, log }: FarEndsOptions) {
    this.#standIn = standIn;
    this.#source = source;
    this.#log = log;
  }

  /** Hangs up a confirmed dialog, after the requests that a new node has sent in it. */
  hangUp(dialog: Dialog, lastCseq: number): void {
    const after = { ...dialog, localCseq: Math.max(dialog.localCseq ?? 0, lastCseq) };
    void this.#standIn
      .bye(after)
      .catch((error: unknown) =>
        this.#log.debug({ sipCallId: dialog.callId, error }, `no BYE for ${dialog.callId}: ${messageOf(error)}`),
      );
  }

  /** Ends a leg as far as it had come. The wire, by `invite`, knows better than the record who is answered: an answer may die with its node. */
  end({ call, leg, dialog }: PlannedLeg, invite: OpenInvite | undefined): void {
    const standIn = this.#standIn;
    const told = ((): Promise<unknown> => {
      if (!invite) return leg.state === 'confirmed' && dialog ? standIn.bye(dialog) : Promise.resolve();
      if (leg.direction === 'inbound') return standIn.refuse(invite, 503, 'Service Unavailable');
      return invite.answeredBy ? standIn.acknowledgeAndBye(invite) : this.#cancel(invite);
    })();
    told.catch((error: unknown) =>
      this.#log.warn({ call: call.id, leg: leg.id, error }, `far end not told: ${messageOf(error)}`),
    );
  }

  /** One who answers at that very moment has a call with nobody: only the ledger sees its 2xx. */
  async #cancel(invite: OpenInvite): Promise<void> {
    await this.#standIn.cancel(invite);
    const answered = (await this.#source.openInvites(invite.node)).find(one => one.callId === invite.callId);
    if (answered?.answeredBy) await this.#standIn.acknowledgeAndBye(answered);
  }
}
