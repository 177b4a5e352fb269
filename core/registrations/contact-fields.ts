// What a registrar holds of a contact: the fields of its object, read. Pure.
import { contactsParameter, flowParameter } from '../ports/edge.js';
import { parseNameAddr, splitOutside } from '../trace/sip-header.js';

/** A contact as one registrar has it. */
export interface HeldContact {
  readonly uri: string;
  /** ms since the epoch */
  readonly expiresMs: number;
  /** As the registrar keeps it. */
  readonly pathHeader: string;
  /** Route values towards it, nearest first; none where its URI says where it is. */
  readonly path: readonly string[];
  /** RFC 3261 §20.10 */
  readonly q: number;
  /** `IP:port` that its packets come from, of a phone behind NAT or on a connection. */
  readonly flow: string | null;
  /** Which connection that is: `<tcp|tls>~<Kamailio>~<its start>~<number>`. */
  readonly connection: string | null;
  /** Of its REGISTERs: a phone keeps it (RFC 3261 §10.2). */
  readonly callId: string;
  readonly userAgent: string;
}

type Fields = readonly { readonly attribute: string; readonly value: string }[];

const toldOnly = new RegExp(`;${contactsParameter}=[^;]*`);

/** Undefined where it is no contact of a phone. */
export function readContact(fields: Fields): HeldContact | undefined {
  const field = (name: string): string => fields.find(({ attribute }) => attribute === name)?.value ?? '';
  const [uri, expires] = [field('uri'), Number(field('expiration_time'))];
  if (uri === '' || !(expires > 0)) return undefined;
  const entries = splitOutside(field('path'), ',');
  const own = entries.map(parametersOf).find(entry => entry.has(flowParameter) || entry.has(contactsParameter));
  return {
    uri,
    expiresMs: expires * 1000,
    pathHeader: field('path'),
    path: entries.filter(leadsOn).map(entry => `<${parseNameAddr(entry).uri.replace(toldOnly, '')}>`),
    q: preference(uri, own?.get(contactsParameter)),
    ...readFlow(own?.get(flowParameter)),
    callId: field('call_id'),
    userAgent: field('user_agent'),
  };
}

function readFlow(flow: string | undefined): Pick<HeldContact, 'flow' | 'connection'> {
  const [address = '', port = '', ...connection] = flow?.split('~') ?? [];
  return {
    flow: flow === undefined ? null : `${address}:${port}`,
    connection: connection.length === 0 ? null : connection.join('~'),
  };
}

/** An entry of ours without a flow only tells us something. */
function leadsOn(entry: string): boolean {
  const parameters = parametersOf(entry);
  return parameters.has(flowParameter) || !parameters.has(contactsParameter);
}

function parametersOf(entry: string): ReadonlyMap<string, string> {
  // As a URI's own parameters stand where a header's would, without its brackets they are read as those.
  return parseNameAddr(parseNameAddr(entry).uri).parameters;
}

/** The phone's own Contact headers have it: a REGISTER may bring several, each with a q of its own. */
function preference(uri: string, escapedContacts: string | undefined): number {
  if (escapedContacts === undefined) return 1;
  const contact = splitOutside(unescaped(escapedContacts), ',')
    .map(parseNameAddr)
    .find(one => addressOf(one.uri) === addressOf(uri));
  const q = Number(contact?.parameters.get('q') ?? 1);
  return q >= 0 && q <= 1 ? q : 1;
}

/** An Asterisk writes a URI's parameters in an order of its own. */
function addressOf(uri: string): string {
  return uri.replace(/[;?].*$/s, '').toLowerCase();
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
