// SIP messages as a test endpoint reads and writes them (RFC 3261 §7, §20): tolerant, order-keeping, text in and text out.

export type Header = readonly [name: string, value: string];

const compactNames: Readonly<Record<string, string>> = {
  v: 'Via',
  f: 'From',
  t: 'To',
  i: 'Call-ID',
  m: 'Contact',
  l: 'Content-Length',
  c: 'Content-Type',
  k: 'Supported',
  e: 'Content-Encoding',
  s: 'Subject',
};

/** Headers whose rows may be joined by commas (RFC 3261 §7.3.1). */
const lists = new Set([
  'via',
  'route',
  'record-route',
  'contact',
  'path',
  'service-route',
  'allow',
  'supported',
  'require',
]);

export class SipMessage {
  readonly startLine: string;
  readonly headers: readonly Header[];
  readonly body: string;

  constructor(startLine: string, headers: readonly Header[], body = '') {
    this.startLine = startLine;
    this.headers = headers;
    this.body = body;
  }

  /** Undefined for what has no SIP start line, e.g. a keep-alive. */
  static parse(data: Buffer | string): SipMessage | undefined {
    const text = data.toString();
    const end = /\r?\n\r?\n/.exec(text);
    const head = end ? text.slice(0, end.index) : text;
    const [startLine = '', ...lines] = head.replace(/\r?\n[ \t]+/g, ' ').split(/\r?\n/);
    if (!/^SIP\/2\.0 \d{3}|^[A-Z]+ \S+ SIP\/2\.0$/.test(startLine)) return undefined;
    const headers = lines.flatMap(line => {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).trim();
      return colon < 1 ? [] : rows(compactNames[name.toLowerCase()] ?? name, line.slice(colon + 1).trim());
    });
    return new SipMessage(startLine, headers, end ? text.slice(end.index + end[0].length) : '');
  }

  /** 0 for a request. */
  get status(): number {
    return this.startLine.startsWith('SIP/2.0 ') ? Number(this.startLine.slice(8, 11)) : 0;
  }

  get isRequest(): boolean {
    return this.status === 0;
  }

  get requestUri(): string {
    return this.isRequest ? (this.startLine.split(' ')[1] ?? '') : '';
  }

  /** Of a response: the method of its request. */
  get method(): string {
    return this.isRequest ? (this.startLine.split(' ')[0] ?? '') : (this.get('CSeq').split(/\s+/)[1] ?? '');
  }

  get cseq(): number {
    return parseInt(this.get('CSeq'), 10);
  }

  get callId(): string {
    return this.get('Call-ID');
  }

  get fromTag(): string {
    return parameter(this.get('From'), 'tag');
  }

  get toTag(): string {
    return parameter(this.get('To'), 'tag');
  }

  /** Of the topmost Via. */
  get branch(): string {
    return parameter(this.get('Via'), 'branch');
  }

  /** The first row of that name, or ''. */
  get(name: string): string {
    return this.all(name)[0] ?? '';
  }

  all(name: string): readonly string[] {
    const wanted = name.toLowerCase();
    return this.headers.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
  }

  /** The same message with all rows of these names replaced, at the place of the first; none removes them. */
  with(name: string, ...values: readonly string[]): SipMessage {
    const wanted = name.toLowerCase();
    const at = this.headers.findIndex(([key]) => key.toLowerCase() === wanted);
    const others = this.headers.filter(([key]) => key.toLowerCase() !== wanted);
    const place = at < 0 ? others.length : at;
    const replaced = values.map((value): Header => [name, value]);
    return new SipMessage(this.startLine, [...others.slice(0, place), ...replaced, ...others.slice(place)], this.body);
  }

  toString(): string {
    const rest = this.headers.filter(([name]) => name.toLowerCase() !== 'content-length');
    const lines = [this.startLine, ...rest.map(([name, value]) => `${name}: ${value}`)];
    return `${lines.join('\r\n')}\r\nContent-Length: ${Buffer.byteLength(this.body)}\r\n\r\n${this.body}`;
  }
}

function rows(name: string, value: string): Header[] {
  if (!lists.has(name.toLowerCase())) return [[name, value]];
  return splitList(value).map(item => [name, item]);
}

/** Splits at the commas that are neither in quotes nor in angle brackets. */
export function splitList(value: string): string[] {
  const items: string[] = [];
  let [start, quoted, bracket] = [0, false, false];
  for (let i = 0; i < value.length; i++) {
    const char = value[i];
    if (char === '\\' && quoted) i++;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && char === '<') bracket = true;
    else if (!quoted && char === '>') bracket = false;
    else if (!quoted && !bracket && char === ',') {
      items.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  items.push(value.slice(start).trim());
  return items;
}

/** A header parameter (after the address, where there is one), or ''. */
export function parameter(value: string, name: string): string {
  const close = value.lastIndexOf('>');
  const found = new RegExp(`;\\s*${name}\\s*=\\s*([^;,\\s]+)`, 'i').exec(close < 0 ? value : value.slice(close));
  return found?.[1] ?? '';
}

/** The URI of a name-addr or addr-spec: `"A" <sip:a@b;lr>;tag=1` gives `sip:a@b;lr`. */
export function uriOf(value: string): string {
  const bracket = /<([^>]*)>/.exec(value.replace(/"(\\.|[^"\\])*"/, ''));
  return bracket?.[1] ?? value.split(';')[0]?.trim() ?? '';
}

export interface HostPort {
  readonly address: string;
  readonly port: number;
}

/** Where a SIP URI points. Names are not resolved: test endpoints live on addresses. */
export function hostPortOf(uri: string): HostPort {
  const found = /^sips?:(?:[^@]*@)?(\d+\.\d+\.\d+\.\d+)(?::(\d+))?/i.exec(uri);
  if (!found) throw new Error(`not a SIP URI with an IPv4 address: ${uri}`);
  return { address: found[1] ?? '', port: Number(found[2] ?? 5060) };
}
