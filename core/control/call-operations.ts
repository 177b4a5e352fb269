// What an operator or a plugin does to a call that is up: end it, put a party of it on hold, or give one another party.
import type { CallControl, CallParty, PartyName, RunningCall } from '../calls/call-control-facts.js';
import type { CallEngine } from '../calls/call-engine.js';
import { isLive, type CallRecord, type LegRecord } from '../calls/call-record.js';
import { userOf } from '../calls/sip-uri.js';
import { isSameParty, partyOf } from '../calls/transfer-question.js';
import { isUp, mayAdd, mayRefer, transferee } from '../calls/transfers.js';
import type { Conferences } from '../conferences/conferences.js';
import { HoldfastError } from '../errors.js';
import type { CallInspector } from '../inspect/call-inspector.js';

/** What calls are kept by; found at each use, as plugins are given operations on calls before there are any. */
export interface CallKeepers {
  readonly engine: () => Pick<CallEngine, 'tell' | 'merge' | 'book'>;
  readonly inspector: () => Pick<CallInspector, 'liveCall'>;
  readonly conferences: () => Pick<Conferences, 'hold' | 'isOnHold'>;
}

const lookEveryMs = 50;
/** How long a hang-up waits for the other ends to have hung up. */
const hangupPatienceMs = 5_000;

export class CallOperations implements CallControl {
  readonly #keepers: CallKeepers;

  constructor(keepers: CallKeepers) {
    this.#keepers = keepers;
  }

  list(): readonly RunningCall[] {
    return this.#keepers
      .engine()
      .book.list()
      .filter(({ ending }) => ending === null)
      .map(call => this.#facts(call));
  }

  async hangup(wanted: string): Promise<void> {
    await this.end(wanted);
  }

  /** As `hangup`, and says whether it is over. */
  async end(wanted: string): Promise<{ readonly id: string; readonly over: boolean }> {
    const engine = this.#keepers.engine();
    const { id } = this.#call(wanted);
    engine.tell(id, { type: 'hangup', reason: 'hung up by the operator' });
    for (const endMs = Date.now() + hangupPatienceMs; engine.book.record(id) !== undefined && Date.now() < endMs;)
      await look();
    return { id, over: engine.book.record(id) === undefined };
  }

  async hold(wanted: string, party: PartyName = 'caller'): Promise<RunningCall> {
    const call = this.#call(wanted);
    return this.#hold(call, [this.#party(call, party).id], true);
  }

  async unhold(wanted: string, party?: PartyName): Promise<RunningCall> {
    const call = this.#call(wanted);
    const legs = party === undefined ? call.legs : [this.#party(call, party)];
    return this.#hold(
      call,
      legs.map(leg => leg.id),
      false,
    );
  }

  async transfer(
    wanted: string,
    to: string,
    replaced: 'caller' | 'callee' = 'callee',
    progress: (line: string) => void = () => undefined,
  ): Promise<void> {
    const engine = this.#keepers.engine();
    const call = this.#call(wanted);
    const { id } = call;
    const leg = replacedLeg(call, replaced);
    if (leg === undefined) {
      throw notTransferred(id, to, 'it is not a call of two that are talking, or a transfer is under way', {
        remedy: `holdfast call show ${id}`,
      });
    }
    const before = call.legs.length;
    engine.tell(id, { type: 'referred', leg, dialled: to, commanded: true });
    progress(`calling ${to}`);
    const after = await this.#transferred(id);
    if (after?.ending === null && after.legs.some(one => one.id === leg && (!isLive(one) || one.ending))) return;
    throw notTransferred(id, to, whyNot(after, before), { remedy: whatIsLeft(id, after) });
  }

  async transferToCall(
    wanted: string,
    otherWanted: string,
    replaced: 'caller' | 'callee' = 'callee',
    replacedOther?: 'caller' | 'callee',
  ): Promise<void> {
    const engine = this.#keepers.engine();
    const [call, other] = [this.#call(wanted), this.#call(otherWanted)];
    const leg = replacedLeg(call, replaced);
    const otherLeg = leg && otherReplacedLeg(call, leg, other, replacedOther);
    const remaining = otherLeg && transferee(other, otherLeg);
    if (leg === undefined || otherLeg === undefined || !remaining) {
      const why = 'one of them is not a call of two that are talking, or a transfer is under way, or nobody is in both';
      throw notTransferred(call.id, `call ${other.id}`, why, {
        remedy: 'name who leaves: --replace and --replace-other',
      });
    }
    const dialled = userOf(remaining.peer) || remaining.peer;
    const replaces = { call: other.id, leg: otherLeg };
    engine.tell(call.id, { type: 'referred', leg, dialled, commanded: true, other: replaces });
    const after = await this.#transferred(call.id);
    if (after?.transfers.some(done => done.call === other.id) === true) return;
    const why = after === undefined ? 'it has ended meanwhile' : 'one of the two has ended meanwhile';
    throw notTransferred(call.id, `call ${other.id}`, why, { remedy: `holdfast call show ${call.id}` });
  }

  async add(
    wanted: string,
    number: string,
    by: PartyName = 'caller',
    progress: (line: string) => void = () => undefined,
  ): Promise<RunningCall> {
    const engine = this.#keepers.engine();
    const call = this.#call(wanted);
    const { id } = call;
    const leg = this.#party(call, by);
    if (!mayAdd(call, leg.id)) {
      throw new HoldfastError(
        'CALL_REFUSED',
        `nobody can come into call ${id}: they are not talking, or a transfer is under way`,
        {
          remedy: `holdfast call show ${id}`,
        },
      );
    }
    const before = call.legs.length;
    engine.tell(id, { type: 'referred', leg: leg.id, dialled: number, commanded: true, adds: true });
    progress(`calling ${number}`);
    const after = await this.#transferred(id);
    if (after?.ending === null && after.legs.slice(before).some(isUp)) return this.#facts(after);
    const why = `${number} is not in call ${id}: ${whyNot(after, before)}`;
    throw new HoldfastError('CALL_REFUSED', why, { remedy: whatIsLeft(id, after) });
  }

  async merge(wanted: string, otherWanted: string): Promise<RunningCall> {
    const [call, other] = [this.#call(wanted), this.#call(otherWanted)];
    const engine = this.#keepers.engine();
    await engine.merge(call.id, other.id);
    return this.#facts(engine.book.record(call.id) ?? call);
  }

  /** The call as it is when nothing of the kind is under way any more. */
  async #transferred(id: string): Promise<CallRecord | undefined> {
    const engine = this.#keepers.engine();
    await look();
    while ((engine.book.record(id)?.transfer ?? null) !== null) await look();
    return engine.book.record(id);
  }

  async #hold(call: CallRecord, legs: readonly string[], onHold: boolean): Promise<RunningCall> {
    if ((await this.#keepers.conferences().hold(call.id, legs, onHold)) === undefined) {
      throw new HoldfastError('CALL_REFUSED', `nobody of call ${call.id} can be put on hold: they are not talking`, {
        remedy: `a party is put on hold that talks with another one, or is in a room; see: holdfast call show ${call.id}`,
      });
    }
    return this.#facts(this.#keepers.engine().book.record(call.id) ?? call);
  }

  #party(call: CallRecord, wanted: PartyName): LegRecord {
    const legs = call.legs.filter(isUp);
    const isIt = (leg: LegRecord): boolean => leg.id === wanted || this.#sipCallId(leg) === wanted;
    const side = wanted === 'caller' ? 'inbound' : wanted === 'callee' ? 'outbound' : undefined;
    const [only, ...more] = side === undefined ? legs.filter(isIt) : legs.filter(leg => leg.direction === side);
    if (only && more.length === 0) return only;
    const ids = legs.map(leg => leg.id).join(', ');
    const why = only
      ? `${more.length + 1} parties of call ${call.id} are ${wanted}s`
      : `no party of call ${call.id} is "${wanted}"`;
    const remedy = ids === '' ? 'nobody of it has been answered yet' : `there are: ${ids}`;
    throw new HoldfastError('CALL_REFUSED', why, { remedy });
  }

  #facts(call: CallRecord): RunningCall {
    const { id, source, callerNumber, dialled, conferenceId: conference } = call;
    return {
      id,
      source,
      callerNumber,
      dialled,
      conference,
      parties: call.legs.filter(isUp).map(leg => this.#partyFacts(id, leg)),
    };
  }

  #partyFacts(callId: string, leg: LegRecord): CallParty {
    const { id, peer, direction } = leg;
    const side = direction === 'inbound' ? 'caller' : 'callee';
    const onHold = this.#keepers.conferences().isOnHold(callId, id);
    return { id, side, peer, sipCallId: this.#sipCallId(leg) ?? null, onHold };
  }

  #sipCallId(leg: LegRecord): string | undefined {
    return this.#keepers.engine().book.sipCallIdOf(leg);
  }

  #call(wanted: string): CallRecord {
    const call = this.#keepers.inspector().liveCall(wanted);
    if (call !== undefined) return call;
    throw new HoldfastError('CALL_NOT_FOUND', `no call is up with the id or SIP Call-ID "${wanted}"`, {
      remedy: '`holdfast calls` lists those that are; `holdfast find` finds those that were',
    });
  }
}

/** The leg that another party is to take the place of; undefined where nobody can. */
function replacedLeg(call: CallRecord, replaced: 'caller' | 'callee'): string | undefined {
  const direction = replaced === 'caller' ? 'inbound' : 'outbound';
  return call.legs.find(leg => leg.direction === direction && mayRefer(call, leg.id))?.id;
}

/** The leg of the other call that is the same party's, or the one that is meant; undefined where there is none, or more than one. */
function otherReplacedLeg(
  call: CallRecord,
  legId: string,
  other: CallRecord,
  side: 'caller' | 'callee' | undefined,
): string | undefined {
  if (side !== undefined) return replacedLeg(other, side);
  const leg = call.legs.find(one => one.id === legId);
  const [only, ...more] = other.legs.filter(
    one =>
      leg !== undefined &&
      mayRefer(other, one.id) &&
      isSameParty(partyOf(call, leg), partyOf(other, one)) &&
      (userOf(one.peer) || one.peer) === (userOf(leg.peer) || leg.peer),
  );
  return more.length === 0 && call.id !== other.id ? only?.id : undefined;
}

function whyNot(after: CallRecord | undefined, legsBefore: number): string {
  if (after === undefined || after.ending !== null) return 'the call has ended meanwhile';
  const statuses = after.legs.slice(legsBefore).flatMap(leg => leg.sipStatus ?? []);
  return statuses.length === 0
    ? 'no route for whoever is replaced leads there'
    : `nobody answered: ${statuses.join(', ')}`;
}

function whatIsLeft(id: string, after: CallRecord | undefined): string {
  return after?.ending === null ? 'the call is as it was' : `see why: holdfast call show ${id}`;
}

function notTransferred(id: string, to: string, why: string, { remedy }: { readonly remedy: string }): HoldfastError {
  return new HoldfastError('CALL_NOT_TRANSFERRED', `call ${id} is not transferred to ${to}: ${why}`, { remedy });
}

function look(): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, lookEveryMs));
}
