// Finds calls by an id or a number and shows one with its legs and messages: live ones, those that are over, and traces of none.
import type { CallDetailRecord } from '../calls/call-facts.js';
import type { CallRecord } from '../calls/call-record.js';
import { legFacts, transferFacts } from '../calls/cdr-of.js';
import { searchRecords, type WrittenRecord } from '../cdr/cdr-search.js';
import { HoldfastError } from '../errors.js';
import type { WholeTraceMessage } from '../trace/trace-message.js';
import { shownLegState, type FoundCall, type ShownCall } from './call-view.js';

export interface CallInspectorOptions {
  readonly calls: () => readonly CallRecord[];
  /** SIP Call-ID of a leg that its record does not have yet. */
  readonly sipCallIdOf: (legId: string) => string | undefined;
  readonly isOnHold: (callId: string, legId: string) => boolean;
  readonly conference: (id: string) => ShownCall['conference'];
  /** The CDR file, absolute. */
  readonly file: () => string;
  readonly trace: {
    messages(callId: string, whole: boolean): Promise<readonly WholeTraceMessage[]>;
    find(text: string, most: number): Promise<readonly string[]>;
  };
  /** Names of the farm's own addresses. */
  readonly ends: () => Readonly<Record<string, string>>;
}

/** Records of calls that ended last, kept here: the file may lag behind while it cannot be written. */
const keptRecords = 1_000;

export class CallInspector {
  readonly #options: CallInspectorOptions;
  readonly #ended = new Map<string, CallDetailRecord>();

  constructor(options: CallInspectorOptions) {
    this.#options = options;
  }

  noteEnded(record: CallDetailRecord): void {
    this.#ended.set(record.callId, record);
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > keptRecords && oldest !== undefined) this.#ended.delete(oldest);
  }

  /** Calls that have `text` in an id, a number or a target; the latest first, those that are up before all others. */
  async find(text: string, most: number): Promise<readonly FoundCall[]> {
    const live = this.#options.calls().filter(call => this.#idsOf(call).some(id => id.includes(text)));
    const found = live.map(call => foundLive(call, this.#sipCallIds(call))).reverse();
    const known = new Set(live.map(({ id }) => id));
    for (const record of await this.#records(text, most + known.size, record =>
      idsOfRecord(record).some(id => id.includes(text)),
    )) {
      if (known.has(record.callId)) continue;
      known.add(record.callId);
      found.push(foundEnded(record));
    }
    return [...found, ...(await this.#onTheWire(text, most - found.length, found))].slice(0, most);
  }

  /** The call of this id of ours, or of a leg with this SIP Call-ID. Throws CALL_NOT_FOUND. */
  async show(id: string, whole: boolean): Promise<ShownCall> {
    const call = this.liveCall(id);
    if (call) return this.#shown(shownLive(call, this.#legs(call), this.#conferenceOf(call)), whole);
    const [record] = await this.#records(id, 1, record => sipAndOwnIds(record).includes(id));
    if (record) return this.#shown(shownEnded(record), whole);
    const seen = await this.#shown({ ...nothingKnown, legs: [{ ...unknownLeg, sipCallId: id }] }, whole);
    if (seen.messages.length > 0) return { ...seen, ...summaryOf(seen.messages), legs: [] };
    throw new HoldfastError('CALL_NOT_FOUND', `no call has the id or SIP Call-ID "${id}"`, {
      remedy: 'look for a part of it, or for a number, with: holdfast find TEXT',
    });
  }

  /** A call that is up, by our id or a leg's SIP Call-ID. */
  liveCall(id: string): CallRecord | undefined {
    return this.#options.calls().find(call => call.id === id || this.#sipCallIds(call).includes(id));
  }

  async #records(
    text: string,
    most: number,
    matches: (record: WrittenRecord) => boolean,
  ): Promise<readonly WrittenRecord[]> {
    const kept = [...this.#ended.values()].reverse().filter(matches).slice(0, most);
    if (kept.length >= most) return kept;
    const ids = new Set(kept.map(({ callId }) => callId));
    const written = await searchRecords({ file: this.#options.file(), text, matches, most });
    return [...kept, ...written.filter(({ callId }) => !ids.has(callId))];
  }

  /** What the Kamailios saw and no call of ours has. */
  async #onTheWire(text: string, most: number, found: readonly FoundCall[]): Promise<readonly FoundCall[]> {
    if (most <= 0) return [];
    const known = new Set(found.flatMap(({ sipCallIds }) => sipCallIds));
    const callIds = await this.#options.trace.find(text, most + known.size).catch(() => []);
    const others = callIds.filter(callId => !known.has(callId)).slice(0, most);
    const traced = await Promise.all(others.map(callId => this.#messages(callId, false)));
    return traced.flatMap((messages, i) =>
      messages.length === 0 ? [] : [{ ...summaryOf(messages), id: null, state: 'wire', sipCallIds: [others[i] ?? ''] }],
    );
  }

  /** With the messages of its legs, as far as they are still kept. */
  async #shown(call: Omit<ShownCall, 'messages' | 'ends'>, whole: boolean): Promise<ShownCall> {
    const callIds = [...new Set(call.legs.flatMap(leg => leg.sipCallId ?? []))];
    const messages = (await Promise.all(callIds.map(callId => this.#messages(callId, whole)))).flat();
    return { ...call, messages: messages.sort((a, b) => a.atMs - b.atMs), ends: this.#options.ends() };
  }

  async #messages(callId: string, whole: boolean): Promise<readonly WholeTraceMessage[]> {
    return this.#options.trace.messages(callId, whole).catch(() => []);
  }

  #sipCallIds(call: CallRecord): string[] {
    return call.legs.flatMap(leg => leg.sipCallId ?? this.#options.sipCallIdOf(leg.id) ?? []);
  }

  #idsOf(call: CallRecord): string[] {
    return [call.id, call.callerNumber, call.dialled, ...call.legs.map(leg => leg.peer), ...this.#sipCallIds(call)];
  }

  #legs(call: CallRecord): ShownCall['legs'] {
    return call.legs.map(leg => ({
      ...legFacts(leg),
      sipCallId: leg.sipCallId ?? this.#options.sipCallIdOf(leg.id) ?? null,
      state: shownLegState(leg),
      onHold: this.#options.isOnHold(call.id, leg.id),
      held: leg.held,
    }));
  }

  #conferenceOf({ conferenceId }: CallRecord): ShownCall['conference'] {
    return conferenceId === null ? null : this.#options.conference(conferenceId);
  }
}

/** A number has many calls: it names none of them. */
function sipAndOwnIds({ callId, sipCallIds }: WrittenRecord): string[] {
  return [callId, ...sipCallIds];
}

function idsOfRecord({ callId, callerNumber, dialled, sipCallIds, legs }: WrittenRecord): string[] {
  return [callId, callerNumber, dialled, ...sipCallIds, ...legs.map(leg => leg.peer)];
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function foundLive(call: CallRecord, sipCallIds: readonly string[]): FoundCall {
  const { id, state, callerNumber, dialled, startedMs } = call;
  return { id, state, startedAt: iso(startedMs), callerNumber, dialled, outcome: null, sipStatus: null, sipCallIds };
}

function foundEnded({
  callId,
  startedAt,
  callerNumber,
  dialled,
  outcome,
  sipStatus,
  sipCallIds,
}: WrittenRecord): FoundCall {
  return { id: callId, state: 'ended', startedAt, callerNumber, dialled, outcome, sipStatus, sipCallIds };
}

function sourceOf(source: WrittenRecord['source']): string | null {
  if (source === null) return null;
  return source.kind === 'trunk' ? `trunk ${source.trunk}` : `subscriber ${source.subscriber}`;
}

type Shown = Omit<ShownCall, 'messages' | 'ends'>;

const nothingKnown: Shown = {
  ...{ id: null, state: 'wire', startedAt: null, callerNumber: '', dialled: '', outcome: null, sipStatus: null },
  ...{ source: null, route: null, answeredAt: null, endedAt: null, endedBy: null, reason: null, limit: null },
  ...{ nodes: [], recoveries: 0, conference: null, transfers: [], legs: [] },
};

const unknownLeg: ShownCall['legs'][number] = {
  ...{
    direction: 'inbound',
    peer: '',
    sipCallId: null,
    node: '',
    state: '',
    onHold: false,
    held: false,
    sipStatus: null,
  },
  ...{ startedAt: null, ringingAt: null, answeredAt: null, endedAt: null },
};

function shownLive(call: CallRecord, legs: ShownCall['legs'], conference: ShownCall['conference']): Shown {
  const { id, state, callerNumber, dialled, routeName, startedMs, answeredMs, ending, lostNodes, recoveries } = call;
  return {
    ...{ id, state, callerNumber, dialled, route: routeName, recoveries, conference, legs },
    transfers: transferFacts(call),
    startedAt: iso(startedMs),
    answeredAt: answeredMs === null ? null : iso(answeredMs),
    endedAt: ending ? iso(ending.atMs) : null,
    outcome: ending?.outcome ?? null,
    sipStatus: ending?.sipStatus ?? null,
    endedBy: ending?.by ?? null,
    reason: ending?.reason ?? null,
    limit: ending?.limit ?? null,
    source: sourceOf(call.source),
    nodes: [...new Set([...lostNodes, ...legs.map(leg => leg.node)])],
  };
}

function shownEnded(record: WrittenRecord): Shown {
  const { callId, callerNumber, dialled, route, startedAt, answeredAt, endedAt, outcome, sipStatus } = record;
  const { endedBy, reason, limit, nodes, recoveries, transfers, sipCallIds, legs } = record;
  return {
    ...{ id: callId, state: 'ended', callerNumber, dialled, route, startedAt, answeredAt, endedAt, outcome, sipStatus },
    ...{ endedBy, reason, limit, nodes, recoveries, transfers, conference: null, source: sourceOf(record.source) },
    // A record of an earlier version names its dialogs only.
    legs:
      legs.length > 0
        ? legs.map(leg => ({ ...leg, state: 'terminated', onHold: false, held: false }))
        : sipCallIds.map((sipCallId, i) => ({ ...unknownLeg, direction: i === 0 ? 'inbound' : 'outbound', sipCallId })),
  };
}

/** What the messages of a Call-ID tell where there is no call. */
function summaryOf(
  messages: readonly WholeTraceMessage[],
): Pick<FoundCall, 'startedAt' | 'callerNumber' | 'dialled' | 'outcome' | 'sipStatus'> {
  const [first] = messages;
  const user = /^\w+ +sips?:([^@;>]+)@/i.exec(first?.startLine ?? '')?.[1];
  const last = [...messages].reverse().find(({ status }) => status !== null && status >= 200);
  return {
    startedAt: first ? iso(first.atMs) : null,
    callerNumber: '',
    dialled: user ?? '',
    outcome: first?.method ?? null,
    sipStatus: last?.status ?? null,
  };
}
