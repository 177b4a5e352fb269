// Dialogs rebuilt from a collector's copies of what the edge received: put right where an Asterisk saw it otherwise. Pure.
import { DialogLedger } from '../ledger/dialog-ledger.js';
import type { Dialog } from '../ledger/dialog.js';
import type { TracedSip } from '../ports/trace-source.js';
import { scanSip } from '../trace/sip-scanner.js';

export interface TracedFarm {
  /** Name of the Asterisk at `address:port`. */
  readonly nodeOf: (end: string) => string | undefined;
  /** `address:port`, as in Record-Route. */
  readonly publicVip: string;
  readonly privateVip: string;
}

const recordRoute = /^Record-Route[ \t]*:/i;
const initialInvite = /^INVITE /;
const toTag = /^(?:To|t)[ \t]*:.*;[ \t]*tag[ \t]*=/i;

/** Confirmed dialogs by Call-ID; `messages` in the order of time. Those that have ended are not among them. */
export function tracedDialogs(messages: readonly TracedSip[], farm: TracedFarm): Map<string, Dialog> {
  const byCallId = new Map<string, TracedSip[]>();
  for (const message of messages) {
    const known = byCallId.get(message.callId);
    if (known) known.push(message);
    else byCallId.set(message.callId, [message]);
  }
  const dialogs = new Map<string, Dialog>();
  for (const [callId, own] of byCallId) {
    const dialog = rebuild(callId, own, farm);
    if (dialog?.state === 'confirmed') dialogs.set(callId, dialog);
  }
  return dialogs;
}

/**
 * Both ways in any case: a copy may be missing in which the far end took its call back from hold, and who holds it still answers
 * so (RFC 3264 §6.1). With `recvonly` the one would be deaf, though it holds nothing.
 */
function rebuild(callId: string, messages: readonly TracedSip[], farm: TracedFarm): Dialog | undefined {
  const ledger = new DialogLedger({ now: () => messages.at(-1)?.atMs ?? 0 });
  const routes = routesOfOurAnswer(messages, farm);
  // A copy from outside does not tell where it went: to the Asterisk that the dialog was on then.
  let node = messages.map(({ source }) => farm.nodeOf(source)).find(name => name !== undefined);
  for (const { raw, source, atMs } of messages) {
    const fromNode = farm.nodeOf(source);
    node = fromNode ?? node;
    const seen = fromNode === undefined ? asSeenInside(raw, routes, farm) : raw;
    const sip = scanSip(Buffer.from(seen));
    if (sip) ledger.take(sip, { fromNode, toNode: fromNode === undefined ? node : undefined, atMs });
  }
  const dialog = ledger.dialog(callId);
  return dialog && { ...dialog, localSdp: dialog.localSdp && { ...dialog.localSdp, direction: 'sendrecv' } };
}

/** RFC 3261 §12.1.1: a response that makes a dialog copies the Record-Route of its request. */
function routesOfOurAnswer(messages: readonly TracedSip[], farm: TracedFarm): readonly string[] {
  for (const { raw, source } of messages) {
    if (farm.nodeOf(source) === undefined || !raw.startsWith('SIP/2.0 ')) continue;
    const routes = headOf(raw).filter(line => recordRoute.test(line));
    if (routes.length > 0) return routes;
  }
  return [];
}

/** The edge adds Record-Route to a phone's INVITE, and shows its inner side in the phone's responses (cfg-media.ts). */
function asSeenInside(raw: string, routes: readonly string[], { publicVip, privateVip }: TracedFarm): string {
  const head = headOf(raw);
  const rest = raw.slice(head.join('\r\n').length);
  if (raw.startsWith('SIP/2.0 ')) {
    return (
      head.map(line => (recordRoute.test(line) ? line.replaceAll(publicVip, privateVip) : line)).join('\r\n') + rest
    );
  }
  if (!initialInvite.test(raw) || head.some(line => toTag.test(line))) return raw;
  const [start = '', ...headers] = head;
  return [start, ...routes, ...headers.filter(line => !recordRoute.test(line))].join('\r\n') + rest;
}

function headOf(raw: string): string[] {
  const end = raw.indexOf('\r\n\r\n');
  return (end < 0 ? raw : raw.slice(0, end)).split('\r\n');
}
