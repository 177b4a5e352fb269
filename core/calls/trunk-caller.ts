// How callers are shown to a trunk: with which number, in which format, with which assertion and privacy. Pure.
import { readNumber, writeNumber, type NumberRules } from '../numbers/phone-number.js';
import { sipUri, userOf } from './sip-uri.js';
import type { CallerIdentity, Presentation } from './caller-identity.js';

export interface CallerRules {
  /** Number of ours that the trunk knows. */
  readonly number?: string;
  /** Whom it is shown: `number` stands in for a `caller` who has none in E.164. */
  readonly show: 'caller' | 'number';
  /** Of P-Asserted-Identity. */
  readonly asserted: 'caller' | 'number' | 'none';
  readonly privacy: 'pass' | 'hide' | 'show';
}

/** What a trunk wants of callers and of numbers. */
export interface TrunkCaller {
  readonly numbers: NumberRules;
  readonly caller?: CallerRules;
}

/** The caller of a call from this trunk, in E.164. What it asserts in words of its own is left as it is. */
export function callerFrom(caller: CallerIdentity, numbers: NumberRules): CallerIdentity {
  if (numbers.format === 'as-is') return caller;
  const read = (number: string): string => readNumber(number, numbers) ?? number;
  const presented = caller.presented && { ...caller.presented, number: read(caller.presented.number) };
  return { ...caller, callerNumber: read(caller.callerNumber), presented };
}

/** The caller as a trunk's rules have it, before it is presented. `number` is what the route or a plugin wants shown. */
export function callerFor<Caller extends CallerIdentity>(
  caller: Caller,
  { numbers, caller: rules }: TrunkCaller,
  number: string | undefined,
): { readonly caller: Caller; readonly number?: string } {
  const asked = number === undefined ? {} : { number };
  if (rules === undefined) return { caller, ...asked };
  const privacy = rules.privacy === 'show' ? [] : rules.privacy === 'hide' ? ['id'] : caller.privacy;
  const isKnown = readNumber(number ?? caller.callerNumber, { ...numbers, format: 'as-is' }) !== undefined;
  const stands = rules.number !== undefined && (rules.show === 'number' || !isKnown) ? { number: rules.number } : asked;
  return { caller: { ...caller, privacy }, ...stands };
}

/** Numbers as the trunk writes them, and the assertion that it wants. */
export function presentedTo(
  shown: Presentation,
  { numbers, caller: rules }: TrunkCaller,
  domain: string,
): Presentation {
  const write = (number: string): string => {
    const e164 = readNumber(number, { ...numbers, format: 'as-is' });
    return e164 === undefined || numbers.format === 'as-is' ? number : writeNumber(e164, numbers);
  };
  const { 'p-asserted-identity': asserted, ...others } = shown.headers;
  const own =
    rules?.asserted === 'number' && rules.number !== undefined ? `<${sipUri(write(rules.number), domain)}>` : undefined;
  const said = own === undefined ? asserted?.map(value => rewritten(value, write)) : [own];
  const isSaid = asserted !== undefined && rules?.asserted !== 'none';
  return {
    ...shown,
    number: shown.fromHost === undefined ? write(shown.number) : shown.number,
    headers: isSaid && said !== undefined ? { ...others, 'p-asserted-identity': said } : others,
  };
}

/** A name-addr or addr-spec with the number of its URI as the trunk writes it. */
function rewritten(value: string, write: (number: string) => string): string {
  return value
    .replace(
      /sips?:[^@\s<>;]+@/i,
      uri => `${uri.slice(0, uri.indexOf(':') + 1)}${sipUri(write(userOf(uri)), '').slice(4)}`,
    )
    .replace(/tel:(\+?[0-9().-]+)/i, (_, number: string) => `tel:${write(number)}`);
}
