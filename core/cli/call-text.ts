// One call for the terminal: what it is, its legs with their times, and the ladder of its messages. Pure.
import type { FoundCall, ShownCall } from '../inspect/call-view.js';
import { hopsOf, type Hop } from '../trace/hops.js';
import { ladder } from '../trace/ladder.js';
import { drawLadder, type Lane, type Rung } from './ladder.js';
import { styleState, type Style } from './style.js';
import { formatTable, printable } from './table.js';

const roomyColumns = 120;

export function formatFound(calls: readonly FoundCall[], style: Style, columns?: number): string {
  if (calls.length === 0) return 'No call found.\n';
  const rows = calls.map(({ id, state, startedAt, callerNumber, dialled, outcome, sipStatus, sipCallIds }) => [
    id ?? '(no call)',
    styleState(style, state),
    secondsOf(startedAt, columns),
    callerNumber === '' ? null : callerNumber,
    dialled === '' ? null : dialled,
    [outcome, sipStatus].filter(part => part !== null).join(' ') || null,
    id === null ? { whole: sipCallIds.join(' ') } : sipCallIds.join(' '),
  ]);
  return formatTable(['CALL', 'STATE', 'STARTED (UTC)', 'FROM', 'TO', 'OUTCOME', 'CALL-IDS'], rows, {
    columns,
    shortens: ['CALL-IDS', 'TO', 'FROM'],
    omits: ['CALL-IDS'],
  });
}

export function formatCall(call: ShownCall, style: Style, columns?: number): string {
  return [heading(call, style), legTable(call, style, columns), messages(call, style, columns)]
    .filter(part => part !== '')
    .join('\n');
}

/** Milliseconds are for `call show` where there is little room. */
function secondsOf(at: string | null, columns = Infinity): string | null {
  const text = clock(at);
  return columns < roomyColumns ? (text?.slice(0, -4) ?? null) : text;
}

/** `2026-01-31 10:20:30.123` */
function clock(at: string | null): string | null {
  return at === null ? null : at.replace('T', ' ').replace('Z', '');
}

function heading(call: ShownCall, style: Style): string {
  const { id, state, callerNumber, dialled, source, route, conference, startedAt, reason, endedBy } = call;
  const what = id === null ? `No call of ours; what the Kamailios saw of it` : `Call ${id}`;
  const facts = [
    ['from', `${callerNumber}${source === null ? '' : ` (${source})`}`],
    ['to', `${dialled}${route === null ? '' : ` (route ${route})`}`],
    ['began', `${clock(startedAt) ?? ''} UTC`],
    ['lasted', lasted(call)],
    [
      'mixed',
      conference === null ? '' : `on ${conference.node}${conference.room === null ? '' : `, room ${conference.room}`}`,
    ],
    ...call.transfers.map(one => ['moved', transferred(one, startedAt)]),
    ['ended', endedBy === null ? '' : `by ${endedBy}: ${reason ?? ''}`],
    ['nodes', nodes(call)],
  ].filter(([, fact]) => fact !== '' && fact !== undefined);
  return [
    `${style('bold', printable(what))}: ${styleState(style, state)}${outcome(call)}`,
    ...facts.map(([name = '', fact = '']) => `  ${name.padEnd(7)} ${printable(fact)}`),
    '',
  ].join('\n');
}

function transferred({ at, by, kind, to, call }: ShownCall['transfers'][number], startedAt: string | null): string {
  const where = `${to === '' ? '' : ` to ${to}`}${call === null ? '' : ` with call ${call}`}`;
  return `${kind} transfer${where}: the ${by} is replaced, ${since(startedAt, at) ?? '?'} s after the beginning`;
}

function outcome({ outcome, sipStatus, limit }: ShownCall): string {
  const parts = [outcome, sipStatus === null ? null : String(sipStatus), limit === null ? null : `limit ${limit}`];
  const told = parts.filter(part => part !== null).join(', ');
  return told === '' ? '' : ` (${told})`;
}

function lasted({ startedAt, answeredAt, endedAt }: ShownCall): string {
  if (startedAt === null || endedAt === null) return '';
  const whole = `${since(startedAt, endedAt) ?? ''} s`;
  return answeredAt === null ? `${whole}, not answered` : `${whole}, ${since(answeredAt, endedAt) ?? ''} s answered`;
}

function nodes({ nodes, recoveries }: ShownCall): string {
  return `${nodes.join(', ')}${recoveries === 0 ? '' : `; recovered ${recoveries === 1 ? 'once' : `${recoveries} times`}`}`;
}

function since(from: string | null, to: string | null): string | null {
  return from === null || to === null ? null : ((Date.parse(to) - Date.parse(from)) / 1000).toFixed(3);
}

/** Times in seconds since the call began. */
function legTable({ legs, startedAt }: ShownCall, style: Style, columns?: number): string {
  if (legs.length === 0) return '';
  const rows = legs.map(leg => [
    leg.direction,
    leg.peer,
    leg.node,
    `${styleState(style, leg.state)}${leg.onHold ? ' (on hold)' : ''}${leg.held ? ' (holds)' : ''}`,
    leg.sipStatus,
    since(startedAt, leg.startedAt),
    since(startedAt, leg.ringingAt),
    since(startedAt, leg.answeredAt),
    since(startedAt, leg.endedAt),
    leg.sipCallId,
  ]);
  const headings = ['LEG', 'PEER', 'NODE', 'STATE', 'STATUS', 'BEGAN', 'RANG', 'ANSWERED', 'ENDED', 'CALL-ID'];
  return formatTable(headings, rows, { columns, shortens: ['CALL-ID', 'PEER'], omits: ['CALL-ID'] });
}

function messages(call: ShownCall, style: Style, columns?: number): string {
  if (call.messages.length === 0) return 'Its messages are no longer kept: they are for some minutes only.\n';
  const hops = hopsOf(call.messages);
  const ends = new LadderEnds(call);
  const rungs = hops.map((hop): Rung => ends.rung(hop));
  const drawn = drawLadder(ends.lanes(), rungs, style, columns);
  const lines = drawn ?? ladder(call.messages, end => call.ends[hostOf(end)]);
  return lines.map(line => `${line}\n`).join('');
}

/** `SDP`; of `application/dtmf-relay; x=y` its subtype. */
function bodyName(contentType: string): string {
  const type = contentType.split(';')[0]?.trim().toLowerCase() ?? '';
  return type === 'application/sdp' ? 'SDP' : (type.split('/')[1] ?? 'body');
}

function hostOf(end: string): string {
  return end.replace(/:\d+$/, '');
}

/** The edge as the end of a message that a Kamailio answered itself. */
const edge = 'edge';

/** Which lane an end of a message is: a node of ours by its name, the outside by the leg that it belongs to. */
class LadderEnds {
  readonly #call: ShownCall;
  readonly #outside = new Map<string, Lane>();
  readonly #inside = new Map<string, Lane>();
  #hasEdge = false;

  constructor(call: ShownCall) {
    this.#call = call;
  }

  /** The caller, the edge where it spoke for itself, our nodes, and whom they called. */
  lanes(): Lane[] {
    const [caller, ...callees] = [...this.#outside.values()];
    return [
      ...(caller ? [caller] : []),
      ...(this.#hasEdge ? [{ key: edge, title: [edge, 'Kamailios'] as const }] : []),
      ...this.#inside.values(),
      ...callees,
    ];
  }

  rung(hop: Hop): Rung {
    const { atMs, via, summary, retransmission, contentType } = hop;
    return {
      ...{ atMs, via, again: retransmission },
      from: this.#lane(hop.from, hop.callId),
      to: this.#lane(hop.to, hop.callId),
      text: contentType === null ? summary : `${summary} (${bodyName(contentType)})`,
    };
  }

  #lane(end: string | null, callId: string): string {
    if (end === null) {
      this.#hasEdge = true;
      return edge;
    }
    const host = hostOf(end);
    const node = this.#call.ends[host];
    if (node !== undefined) {
      if (!this.#inside.has(node)) this.#inside.set(node, { key: node, title: [node, host] });
      return node;
    }
    const index = this.#call.legs.findIndex(leg => leg.sipCallId === callId);
    // Without a call the caller is whoever was heard of first.
    const key = index < 0 ? end : `leg ${index}`;
    if (!this.#outside.has(key)) this.#outside.set(key, { key, title: [this.#who(index), end] });
    return key;
  }

  #who(index: number): string {
    const leg = this.#call.legs[index];
    if (!leg) return this.#outside.size === 0 ? 'caller' : 'callee';
    const who = leg.direction === 'inbound' ? 'caller' : 'callee';
    const user = /^sips?:([^@;]+)@/.exec(leg.peer)?.[1] ?? leg.peer;
    return user === '' ? who : `${who} ${user}`;
  }
}
