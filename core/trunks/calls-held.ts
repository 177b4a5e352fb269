// How many calls a trunk or subscriber has now: read from the live calls each time, so that no death and no restart leaves a wrong count.
import { callerLeg, isLive, targetOf, type CallRecord } from '../calls/call-record.js';
import { ownerName, type Owner } from './call-limits.js';

export class CallsHeld {
  readonly #calls: () => readonly CallRecord[];
  /** Call → whose limits let it through; a call of an earlier daemon, which is not in here, was let through by that one. */
  readonly #admitted = new Map<string, Set<string>>();

  constructor(calls: () => readonly CallRecord[]) {
    this.#calls = calls;
  }

  /** Calls that `owner` has beside this one. Those that end, and those that were not let through, are none. */
  count(owner: Owner, beside: string): number {
    const name = ownerName(owner);
    return this.#calls().filter(
      call => call.id !== beside && call.ending === null && this.#isAdmitted(call, name) && owns(call, owner),
    ).length;
  }

  /** A call that has its route now: it counts for whoever makes it. */
  begin(callId: string, owner: Owner): void {
    this.#admitted.set(callId, new Set([ownerName(owner)]));
  }

  /** It counts for this one as well; a call of an earlier daemon does for all that it has. */
  admit(callId: string, owner: Owner): void {
    this.#admitted.get(callId)?.add(ownerName(owner));
  }

  forget(callId: string): void {
    this.#admitted.delete(callId);
  }

  #isAdmitted({ id, routeName }: CallRecord, name: string): boolean {
    const owners = this.#admitted.get(id);
    return owners === undefined ? routeName !== null : owners.has(name);
  }
}

function owns(call: CallRecord, owner: Owner): boolean {
  if (ownerName(call.source) === ownerName(owner) && isLive(callerLeg(call))) return true;
  return call.legs.some(leg => {
    if (leg.direction === 'inbound' || !isLive(leg)) return false;
    const { trunk, subscriber } = targetOf(call, leg) ?? {};
    return owner.kind === 'trunk' ? trunk === owner.trunk : subscriber === owner.subscriber;
  });
}
