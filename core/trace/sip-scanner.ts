// Finds in a SIP message what a trace and a ledger of dialogs need, tolerantly: it observes, it does not judge. Pure.
import { branchOf, parseNameAddr, parseVia, splitOutside, type NameAddr, type Via } from './sip-header.js';

/** Compact forms (RFC 3261 §7.3.3) of the headers read here. */
const longNames: Readonly<Record<string, string>> = {
  c: 'content-type',
  f: 'from',
  i: 'call-id',
  l: 'content-length',
  m: 'contact',
  t: 'to',
  v: 'via',
  x: 'session-expires',
};
const wanted = new Set([...Object.values(longNames), 'cseq', 'route', 'record-route', 'expires']);
const ours = 'x-holdfast-';
const noBody = Buffer.alloc(0);

/** One message. What is asked for is taken apart when it is asked for: a trace wants little of it, a ledger more. */
export class SipMessage {
  readonly kind: 'request' | 'response';
  readonly startLine: string;
  /** A request's method; of a response, the CSeq's (empty where there is none). */
  readonly method: string;
  /** Empty for a response. */
  readonly requestUri: string;
  /** Undefined for a request. */
  readonly status: number | undefined;
  /** Empty for a request. */
  readonly reason: string;
  readonly callId: string;
  readonly cseq: number | undefined;
  /** The method that the CSeq names; empty where there is none. */
  readonly cseqMethod: string;
  /** Our own headers by their name in lower case, e.g. `x-holdfast-leg`; the first of each. */
  readonly holdfast: ReadonlyMap<string, string>;
  /** The blank line after the headers is there: none of them was cut off. */
  readonly isHeadWhole: boolean;
  readonly #values: Headers['values'];
  readonly #rest: Buffer;
  #from: NameAddr | undefined;
  #to: NameAddr | undefined;

  constructor(startLine: string, start: StartLine, callId: string, { values, holdfast }: Headers, rest?: Buffer) {
    const cseq = parseCseq(values.get('cseq')?.[0]);
    this.kind = start.kind;
    this.startLine = startLine;
    this.method = start.kind === 'request' ? start.method : (cseq?.method ?? '');
    this.requestUri = start.kind === 'request' ? start.requestUri : '';
    this.status = start.kind === 'response' ? start.status : undefined;
    this.reason = start.kind === 'response' ? start.reason : '';
    this.callId = callId;
    this.cseq = cseq?.number;
    this.cseqMethod = cseq?.method ?? '';
    this.holdfast = holdfast;
    this.#values = values;
    this.isHeadWhole = rest !== undefined;
    this.#rest = rest ?? noBody;
  }

  get from(): NameAddr | undefined {
    return (this.#from ??= this.#nameAddr('from'));
  }

  get to(): NameAddr | undefined {
    return (this.#to ??= this.#nameAddr('to'));
  }

  /** Whole values as they came; empty where there is none. */
  get fromValue(): string {
    return this.#first('from') ?? '';
  }

  get toValue(): string {
    return this.#first('to') ?? '';
  }

  get viaValues(): string[] {
    return this.#list('via');
  }

  /** Topmost first. */
  get vias(): Via[] {
    return this.#list('via').map(parseVia);
  }

  /** Branches of the topmost two; undefined for one that has none. */
  get topBranches(): [top: string | undefined, next: string | undefined] {
    const [top, next] = this.#list('via');
    return [branchOf(top), branchOf(next)];
  }

  /** Values with brackets and parameters, as they came, topmost first. */
  get routes(): string[] {
    return this.#list('route');
  }

  get recordRoutes(): string[] {
    return this.#list('record-route');
  }

  get contacts(): NameAddr[] {
    return this.#list('contact').map(parseNameAddr);
  }

  get expiresSeconds(): number | undefined {
    return parseNumber(this.#first('expires'));
  }

  /** RFC 4028 §4: `seconds;refresher=uac`. */
  get sessionExpires(): string | undefined {
    return this.#first('session-expires');
  }

  get contentType(): string | undefined {
    return this.#first('content-type');
  }

  /** What the sender says; undefined where it says none. */
  get contentLength(): number | undefined {
    return parseNumber(this.#first('content-length'));
  }

  /** Part of the payload's memory, not longer than Content-Length. */
  get body(): Buffer {
    return this.#rest.subarray(0, this.contentLength);
  }

  /** Nothing of the body was cut off, as far as Content-Length tells. */
  get isBodyWhole(): boolean {
    return this.isHeadWhole && this.#rest.length >= (this.contentLength ?? 0);
  }

  /** The value of the `o=` line of an SDP body (RFC 4566 §5.2), also of one inside a multipart body. */
  get sdpOrigin(): string | undefined {
    return /(?:^|\n)o=([^\r\n]*)/.exec(this.body.toString())?.[1];
  }

  #first(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  /** Several lines of a header that is a list are one list (RFC 3261 §7.3.1). */
  #list(name: string): string[] {
    const values = this.#values.get(name) ?? [];
    const [only = ''] = values;
    return values.length <= 1 ? splitOutside(only, ',') : values.map(value => splitOutside(value, ',')).flat();
  }

  #nameAddr(name: string): NameAddr | undefined {
    const value = this.#first(name);
    return value === undefined ? undefined : parseNameAddr(value);
  }
}

/** Reads one message; undefined for what is not SIP: no start line of SIP/2.0, or no Call-ID. Never throws. */
export function scanSip(payload: Buffer): SipMessage | undefined {
  const { head, body } = splitMessage(payload);
  const lines = unfold(head);
  const startLine = lines[0]?.trimEnd() ?? '';
  const start = parseStartLine(startLine);
  if (!start) return undefined;
  const headers = readHeaders(lines);
  const callId = headers.values.get('call-id')?.[0] ?? '';
  return callId === '' ? undefined : new SipMessage(startLine, start, callId, headers, body);
}

/**
 * Head and body around the first blank line; no body where there is no such line. Blank lines before the start line are
 * skipped (RFC 3261 §7.5).
 */
function splitMessage(payload: Buffer): { readonly head: string; readonly body?: Buffer } {
  let start = 0;
  while (payload[start] === 13 || payload[start] === 10) start++;
  const crlf = payload.indexOf('\r\n\r\n', start);
  const bare = payload.subarray(0, crlf < 0 ? undefined : crlf).indexOf('\n\n', start);
  if (bare >= 0) return { head: payload.toString('utf8', start, bare), body: payload.subarray(bare + 2) };
  if (crlf >= 0) return { head: payload.toString('utf8', start, crlf), body: payload.subarray(crlf + 4) };
  return { head: payload.toString('utf8', start) };
}

/** Lines, those that begin with white space joined to the one before (RFC 3261 §7.3.1). */
function unfold(head: string): string[] {
  const whole = /\n[ \t]/.test(head) ? head.replace(/\r?\n[ \t]+/g, ' ') : head;
  // What is left of a CRLF is trimmed off with the values' other white space.
  return whole.split('\n');
}

type StartLine =
  | { readonly kind: 'request'; readonly method: string; readonly requestUri: string }
  | { readonly kind: 'response'; readonly status: number; readonly reason: string };

function parseStartLine(line: string): StartLine | undefined {
  const response = /^SIP\/2\.0 +([1-6]\d\d)(?: (.*))?$/i.exec(line);
  if (response) return { kind: 'response', status: Number(response[1]), reason: (response[2] ?? '').trim() };
  const request = /^([\w\-.!%*+`'~]+) +(\S.*) SIP\/2\.0 *$/i.exec(line);
  if (!request) return undefined;
  return { kind: 'request', method: request[1] ?? '', requestUri: (request[2] ?? '').trim() };
}

interface Headers {
  /** By name in lower case, in the order of the lines. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly holdfast: ReadonlyMap<string, string>;
}

/** The headers of these lines, of which the first is the start line. */
function readHeaders(lines: readonly string[]): Headers {
  const values = new Map<string, string[]>();
  const holdfast = new Map<string, string>();
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    if (colon < 1) continue;
    const written = line.slice(0, colon).trim().toLowerCase();
    const name = written.length === 1 ? (longNames[written] ?? written) : written;
    if (wanted.has(name)) {
      const value = line.slice(colon + 1).trim();
      const earlier = values.get(name);
      if (earlier) earlier.push(value);
      else values.set(name, [value]);
    } else if (name.startsWith(ours) && !holdfast.has(name)) {
      holdfast.set(name, line.slice(colon + 1).trim());
    }
  }
  return { values, holdfast };
}

function parseCseq(value: string | undefined): { readonly number: number; readonly method: string } | undefined {
  const match = /^(\d{1,10})\s+(\S+)$/.exec(value ?? '');
  const number = Number(match?.[1]);
  return match && number <= 0xffff_ffff ? { number, method: match[2] ?? '' } : undefined;
}

function parseNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : undefined;
}
