// HOMER 7's answer to `POST /call/transaction`, read into SIP messages. Pure.
import { z, type TracedSip } from '../../../core/plugin-api.js';

const count = z.coerce.number().nonnegative();
const port = z.coerce.number().int().min(0).max(65_535);

const envelope = z.looseObject({ data: z.looseObject({ messages: z.array(z.unknown()).nullable() }) });

/** A row of hep_proto_1_call with its two JSON columns merged into it (data/service/search.go, getTransactionSummary). */
const row = z.looseObject({
  raw: z.string().min(1),
  srcIp: z.string().min(1),
  srcPort: port,
  dstIp: z.string().min(1),
  dstPort: port,
  callid: z.string().exactOptional(),
  sid: z.string().exactOptional(),
  payloadType: count.exactOptional(),
  timeSeconds: count.exactOptional(),
  timeUseconds: count.exactOptional(),
  micro_ts: count.exactOptional(),
});
type Row = z.output<typeof row>;

const sipPayload = 1;

/** The SIP messages of an answer. Throws TypeError, naming what is wrong, for what is no such answer. */
export function readTransactionReply(reply: unknown): TracedSip[] {
  const outer = envelope.safeParse(reply);
  if (!outer.success) throw new TypeError(z.prettifyError(outer.error));
  const rows = outer.data.data.messages ?? [];
  const found: TracedSip[] = [];
  let refusal: z.ZodError | undefined;
  for (const candidate of rows) {
    // HOMER's correlation adds rows of other kinds: RTCP reports, log lines, whatever bears the same Call-ID.
    if (!isSip(candidate)) continue;
    const parsed = row.safeParse(candidate);
    const message = parsed.success ? tracedSip(parsed.data) : undefined;
    if (message) found.push(message);
    else refusal ??= parsed.error ?? new z.ZodError([]);
  }
  if (found.length === 0 && refusal) throw new TypeError(`not one of ${rows.length} rows: ${z.prettifyError(refusal)}`);
  return found;
}

function isSip(candidate: unknown): boolean {
  if (typeof candidate !== 'object' || candidate === null) return true;
  return !('payloadType' in candidate) || Number(candidate.payloadType) === sipPayload;
}

function tracedSip(message: Row): TracedSip | undefined {
  const callId = message.callid ?? message.sid;
  const atMs = timeOf(message);
  if (callId === undefined || atMs === undefined) return undefined;
  const { raw, srcIp, srcPort, dstIp, dstPort } = message;
  return { callId, atMs, source: formatEnd(srcIp, srcPort), destination: formatEnd(dstIp, dstPort), raw };
}

/**
 * heplify-server keeps the sender's seconds and microseconds; `micro_ts` is microseconds in some releases of homer-app,
 * milliseconds in others, and cannot be taken for the other by its size: 1e14 is 1973 or the year 5138.
 */
function timeOf({ timeSeconds, timeUseconds, micro_ts: stamp }: Row): number | undefined {
  if (timeSeconds !== undefined && timeUseconds !== undefined) return timeSeconds * 1000 + timeUseconds / 1000;
  if (stamp === undefined) return undefined;
  return stamp >= 1e14 ? stamp / 1000 : stamp;
}

function formatEnd(address: string, number: number): string {
  return address.includes(':') ? `[${address}]:${number}` : `${address}:${number}`;
}
