// Reads what the dialplan hands over with an inbound INVITE: the arguments of StasisStart.
import type { AriChannel } from '../ports/asterisk.js';
import type { CallSource, IncomingCall } from './call-facts.js';

/** Everything of an incoming call but our own id. */
export type InviteFacts = Omit<IncomingCall, 'id'>;

/**
 * `args`: `inbound`, then URI-encoded: SIP Call-ID, source as the edge named it (`trunk:NAME` or `subscriber:NAME`) and
 * the user part of the Request-URI. Undefined where one is missing: then the INVITE did not come through the edge.
 */
export function readInvite(args: readonly string[], channel: AriChannel): InviteFacts | undefined {
  const [, sipCallId = '', sourceName = '', dialled = ''] = args.map(decode);
  const source = readSource(sourceName);
  if (sipCallId === '' || dialled === '' || !source) return undefined;
  return {
    sipCallId,
    source,
    dialled,
    callerNumber: channel.caller.number,
    callerName: channel.caller.name,
    headers: {},
  };
}

function readSource(text: string): CallSource | undefined {
  const [kind, name = ''] = text.split(':', 2);
  if (name === '') return undefined;
  if (kind === 'trunk') return { kind, trunk: name };
  if (kind === 'subscriber') return { kind, subscriber: name };
  return undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
