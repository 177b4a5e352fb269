// A REGISTER as it is sent to a provider, and what its answer says (RFC 3261 §10). Pure.
import { flowParameter, registrarHeader } from '../ports/edge.js';
import { scanSip } from '../trace/sip-scanner.js';
import { readChallenge, type DigestChallenge } from './digest-answer.js';

/** Who is registered, and as what. */
export interface Registrant {
  /** `user@domain`: the address of record without its scheme. */
  readonly aor: string;
  /** `sip:user@VIP:5060;line=…`, with the transport of the registrar: always the same, so that a registrar replaces what it has. */
  readonly contact: string;
}

export interface RegisterRequest extends Registrant {
  /** `host:port` that it is sent to, with `;transport=` behind it where that is not UDP. */
  readonly registrar: string;
  /** The edge's way there, where that is a connection. */
  readonly flow?: string | undefined;
  /** Of all REGISTERs of this registrant (RFC 3261 §10.2.4). */
  readonly callId: string;
  readonly cseq: number;
  /** 0 ends the registration. */
  readonly expiresSeconds: number;
  readonly credentials: readonly (readonly [name: string, value: string])[];
}

/** What a registrar has answered, as far as it counts. */
export interface RegisterAnswer {
  readonly sipStatus: number;
  readonly reason: string;
  /** Of a 2xx: how long our Contact is registered; undefined where it says nothing of it. */
  readonly grantedSeconds?: number | undefined;
  /** Of a 423. */
  readonly minExpiresSeconds?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
  /** Of a 401 or 407: the one that can be answered. */
  readonly challenge?: DigestChallenge | undefined;
}

/** The domain part of the address of record alone (RFC 3261 §10.2). */
export function registerUri({ aor }: Registrant): string {
  return `sip:${aor.slice(aor.lastIndexOf('@') + 1)}`;
}

/** Where answers go: the edge knows it, and tells nobody outside. */
export function formatRegister(request: RegisterRequest, sentBy: string): string {
  const { aor, contact, registrar, flow, callId, cseq, expiresSeconds, credentials } = request;
  const way = flow === undefined ? '' : `;${flowParameter}=${flow}`;
  return [
    `REGISTER ${registerUri(request)} SIP/2.0`,
    `Via: SIP/2.0/UDP ${sentBy};branch=z9hG4bK${callId.slice(0, 16)}${cseq}`,
    `${registrarHeader}: sip:${registrar}${way}`,
    'Max-Forwards: 70',
    `From: <sip:${aor}>;tag=${callId.slice(0, 12)}`,
    `To: <sip:${aor}>`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} REGISTER`,
    `Contact: <${contact}>`,
    `Expires: ${expiresSeconds}`,
    ...credentials.map(([name, value]) => `${name}: ${value}`),
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

/** The final response to a REGISTER, with what it answers; undefined for anything else. */
export function readRegisterAnswer(
  datagram: Buffer,
  contactOf: (callId: string) => string | undefined,
): { readonly callId: string; readonly cseq: number; readonly answer: RegisterAnswer } | undefined {
  const message = scanSip(datagram);
  if (message?.status === undefined || message.status < 200 || message.cseqMethod !== 'REGISTER') return undefined;
  const { status: sipStatus, reason, callId, cseq } = message;
  const contact = contactOf(callId);
  if (cseq === undefined || contact === undefined) return undefined;
  const fields = (name: string): readonly string[] => valuesOf(datagram.toString('utf8'), name);
  const isProxy = sipStatus === 407;
  const asked = isProxy ? 'proxy-authenticate' : 'www-authenticate';
  // Other phones of the account may be listed too; whoever lists one means ours, however it has written it.
  const { contacts } = message;
  const own = contacts.find(({ uri }) => isSame(uri, contact)) ?? (contacts.length === 1 ? contacts[0] : undefined);
  const granted = seconds(own?.parameters.get('expires')) ?? message.expiresSeconds;
  return {
    ...{ callId, cseq },
    answer: {
      ...{ sipStatus, reason },
      ...(sipStatus < 300 ? { grantedSeconds: granted } : {}),
      ...(sipStatus === 423 ? { minExpiresSeconds: seconds(fields('min-expires')[0]) } : {}),
      ...(sipStatus >= 300 ? { retryAfterSeconds: seconds(fields('retry-after')[0]) } : {}),
      ...(sipStatus === 401 || isProxy ? { challenge: readChallenge(fields(asked), isProxy) } : {}),
    },
  };
}

/** By the token, which nobody rewrites who wants to be understood; whatever they make of host and order. */
function isSame(uri: string, contact: string): boolean {
  return uri === contact || parametersOf(uri) === parametersOf(contact);
}

function parametersOf(uri: string): string {
  return /;line=[0-9a-f]+/i.exec(uri)?.[0].toLowerCase() ?? uri;
}

/** RFC 3261 §25.1, delta-seconds; a Retry-After may have a comment and a duration behind it. */
function seconds(value: string | undefined): number | undefined {
  const digits = /^\s*"?(\d{1,9})\b/.exec(value ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function valuesOf(text: string, name: string): readonly string[] {
  const head = text.split(/\r?\n\r?\n/, 1)[0] ?? '';
  const lines = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
  return lines.flatMap(line => {
    const colon = line.indexOf(':');
    return line.slice(0, colon).trim().toLowerCase() === name ? [line.slice(colon + 1).trim()] : [];
  });
}
