// Takes the values of SIP header fields apart, tolerantly: lists, name-addr, parameters, Via. Pure.

/** A `name-addr` or `addr-spec` with its header parameters (RFC 3261 §20.10), as From, To and Contact have it. */
export interface NameAddr {
  /** Without quotes and escapes; empty where there is none. */
  readonly displayName: string;
  readonly uri: string;
  /** Names in lower case; empty value for a parameter that has none. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** One Via value (RFC 3261 §20.42). */
export interface Via {
  /** As sent, e.g. `UDP`; empty where the value is not one of SIP/2.0. */
  readonly transport: string;
  /** `host` or `host:port`. */
  readonly sentBy: string;
  readonly branch: string | undefined;
  readonly parameters: ReadonlyMap<string, string>;
}

const none: ReadonlyMap<string, string> = new Map();
const quote = 34;
const backslash = 92;

/** Splits at `separator` outside quoted strings and angle brackets; empty parts are left out. */
export function splitOutside(value: string, separator: ',' | ';'): string[] {
  if (!value.includes(separator)) return value.trim() === '' ? [] : [value.trim()];
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  let bracketed = false;
  for (let i = 0; i <= value.length; i++) {
    const character = value[i];
    if (quoted && character === '\\') i++;
    else if (character === '"' && !bracketed) quoted = !quoted;
    else if (quoted) continue;
    else if (character === '<') bracketed = true;
    else if (character === '>') bracketed = false;
    else if (!bracketed && character === separator) {
      parts.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(value.slice(start).trim());
  return parts.filter(part => part !== '');
}

export function parseNameAddr(value: string): NameAddr {
  const open = indexOutsideQuotes(value, '<');
  if (open < 0) {
    // Without brackets, what follows the first semicolon belongs to the header, not to the URI (RFC 3261 §20).
    const end = value.indexOf(';');
    const uri = (end < 0 ? value : value.slice(0, end)).trim();
    return { displayName: '', uri, parameters: end < 0 ? none : parseParameters(value.slice(end + 1)) };
  }
  const close = value.indexOf('>', open);
  return {
    displayName: unquote(value.slice(0, open).trim()),
    uri: value.slice(open + 1, close < 0 ? undefined : close).trim(),
    parameters: close < 0 ? none : parseParameters(value.slice(close + 1)),
  };
}

export function parseVia(value: string): Via {
  const end = value.indexOf(';');
  const sent = end < 0 ? value : value.slice(0, end);
  const parameters = end < 0 ? none : parseParameters(value.slice(end + 1));
  const match = /^SIP\s*\/\s*2\.0\s*\/\s*([^\s/]+)\s+(\S.*)$/i.exec(sent);
  return {
    transport: match?.[1] ?? '',
    sentBy: match?.[2]?.replace(/\s+/g, '') ?? '',
    branch: parameters.get('branch'),
    parameters,
  };
}

/** The branch of a Via value, as `parseVia` finds it, where nothing else of it is wanted. */
export function branchOf(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (/["<]/.test(value)) return parseVia(value).branch;
  const found = /;[ \t]*branch[ \t]*(?:=([^;]*))?(?:;|$)/i.exec(value);
  return found ? (found[1] ?? '').trim() : undefined;
}

function parseParameters(text: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const part of splitOutside(text, ';')) {
    const equals = part.indexOf('=');
    const name = (equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase();
    // The first one counts: what a second one says must not shadow it.
    if (!parameters.has(name)) parameters.set(name, equals < 0 ? '' : unquote(part.slice(equals + 1).trim()));
  }
  return parameters;
}

function indexOutsideQuotes(value: string, wanted: string): number {
  const first = value.indexOf(wanted);
  if (first < 0 || !value.includes('"')) return first;
  let quoted = false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (quoted && code === backslash) i++;
    else if (code === quote) quoted = !quoted;
    else if (!quoted && value[i] === wanted) return i;
  }
  return -1;
}

function unquote(text: string): string {
  if (!text.startsWith('"')) return text;
  const inner = text.slice(1, text.length > 1 && text.endsWith('"') ? -1 : undefined);
  return inner.replace(/\\(.)/g, '$1');
}
