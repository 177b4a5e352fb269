// Pairs what each Kamailio received with what it sent on, so that a message's way shows as one hop. Pure.
import type { TraceMessage } from './trace-message.js';

/** One message on its way through one Kamailio. */
export interface Hop {
  /** When the Kamailio received it, or sent it where it made it itself; ms since 1970. */
  readonly atMs: number;
  /** Who it came from, as `address:port`; null where the Kamailio made it itself. */
  readonly from: string | null;
  /** Name of the Kamailio. */
  readonly via: string;
  /** Where it was sent; null where it went no further. */
  readonly to: string | null;
  readonly callId: string;
  /** e.g. `INVITE`, `re-INVITE`, `180 Ringing`, `200 OK (BYE)`. */
  readonly summary: string;
  /** Of its body; null without one. */
  readonly contentType: string | null;
  /** The same message of the same transaction was seen before. */
  readonly retransmission: boolean;
}

/** A Via that the topology hiding rewrote does not match; what comes in and goes out so close together is one message. */
const unmatchedWithinMs = 100;

/** The hops of these copies in the order of time. Copies of several Call-IDs may be given at once. */
export function hopsOf(messages: readonly TraceMessage[]): Hop[] {
  const inOrder = [...messages].sort((a, b) => a.atMs - b.atMs);
  const sentOf = pair(inOrder);
  const sentOn = new Set(sentOf.values());
  const seen = new Set<string>();
  return inOrder.flatMap(message => {
    const made = message.direction === 'out';
    if (made && sentOn.has(message)) return [];
    const { callId, cseq, method, status, fromTag, viaBranch } = message;
    const identity = [callId, cseq, method, status, fromTag, viaBranch].join('|');
    const retransmission = seen.has(identity);
    seen.add(identity);
    return [
      {
        atMs: message.atMs,
        from: made ? null : message.source,
        via: message.instance,
        to: made ? message.destination : (sentOf.get(message)?.destination ?? null),
        callId,
        summary: summarize(message),
        contentType: message.contentType,
        retransmission,
      },
    ];
  });
}

/** For each received copy the copy of what was sent on: first by the Vias, the rest by nearness. */
function pair(inOrder: readonly TraceMessage[]): Map<TraceMessage, TraceMessage> {
  const received = new Map<string, TraceMessage[]>();
  const sentOf = new Map<TraceMessage, TraceMessage>();
  const take = (sent: TraceMessage, fits: (one: TraceMessage) => boolean): boolean => {
    const open = received.get(what(sent)) ?? [];
    const at = open.findIndex(one => one.atMs <= sent.atMs && fits(one));
    const [one] = at < 0 ? [] : open.splice(at, 1);
    if (one) sentOf.set(one, sent);
    return one !== undefined;
  };
  for (const message of inOrder) {
    if (message.direction !== 'in') continue;
    const key = what(message);
    const open = received.get(key);
    if (open) open.push(message);
    else received.set(key, [message]);
  }
  const sent = inOrder.filter(message => message.direction === 'out');
  const rest = sent.filter(message => !take(message, one => sameTransaction(one, message)));
  for (const message of rest) take(message, one => message.atMs - one.atMs <= unmatchedWithinMs);
  return sentOf;
}

/** A proxy adds its Via to a request and takes it off a response (RFC 3261 §16.6 step 8, §16.7 step 3). */
function sameTransaction(received: TraceMessage, sent: TraceMessage): boolean {
  return sent.status === null
    ? sent.nextViaBranch === received.viaBranch
    : received.nextViaBranch === sent.viaBranch && sent.viaBranch !== null;
}

function what({ instance, callId, cseq, method, status }: TraceMessage): string {
  return [instance, callId, cseq, method, status].join('|');
}

function summarize({ status, reason, method, toTag }: TraceMessage): string {
  if (status === null) return method === 'INVITE' && toTag !== null ? 're-INVITE' : method;
  return `${status}${reason === '' ? '' : ` ${reason}`}${method === 'INVITE' ? '' : ` (${method})`}`;
}
