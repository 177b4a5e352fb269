// Telephone numbers as people and carriers write them, and as E.164 has them. Pure.
import {
  getCountryCallingCode,
  isSupportedCountry,
  parsePhoneNumberFromString,
  type CountryCode,
} from 'libphonenumber-js/max';

/**
 * How a trunk writes numbers: `e164` +4930901820, `plain` 4930901820, `international` 004930901820 (with the prefix of its country),
 * `national` 030901820, and foreign ones international. `as-is`: nothing is changed.
 */
export const numberFormats = ['as-is', 'e164', 'plain', 'international', 'national'] as const;
export type NumberFormat = (typeof numberFormats)[number];

export interface NumberRules {
  readonly format: NumberFormat;
  /** ISO 3166-1 alpha-2: of numbers without a country's code. */
  readonly country?: string;
}

export function isCountry(text: string): boolean {
  return isSupportedCountry(text);
}

/** E.164 with its `+`; undefined for what is no telephone number there is: extensions, names, short and emergency numbers. */
export function readNumber(text: string, { format, country }: NumberRules): string | undefined {
  const bare = text.replace(/[ ().-]/g, '');
  if (!/^\+?\d{3,20}$/.test(bare)) return undefined;
  if (bare.startsWith('+')) return withCountryCode(bare);
  if (format === 'plain' && /^[1-9]\d{6,}$/.test(bare)) return withCountryCode(`+${bare}`);
  if (country !== undefined) return withoutCountryCode(bare, country as CountryCode);
  // Without a country only the two prefixes of international calls that most of the world dials can be told.
  const code = /^(?:00|011)([1-9]\d{6,})$/.exec(bare)?.[1];
  return code === undefined ? undefined : withCountryCode(`+${code}`);
}

/** Also of a country that nobody knows: its prefix can still be allowed or blocked. */
function withCountryCode(text: string): string {
  const number = parsePhoneNumberFromString(text);
  return number?.isPossible() === true ? number.number : text;
}

/**
 * Without the prefix of a national or international call it must be a number there is, as 1001 might be an extension; and where national
 * calls begin with 0, one without it is none.
 */
function withoutCountryCode(text: string, country: CountryCode): string | undefined {
  const number = parsePhoneNumberFromString(text, country);
  if (number === undefined) return foreign(text, country);
  const marked = text.startsWith('0') || text.startsWith(idd(country));
  const isNational = !number.format('NATIONAL').startsWith('0') && number.isValid();
  return isNational || (marked && number.isPossible()) ? number.number : foreign(text, country);
}

function foreign(text: string, country: CountryCode): string | undefined {
  const prefix = idd(country);
  return text.startsWith(prefix) && text.length >= prefix.length + 7 ? `+${text.slice(prefix.length)}` : undefined;
}

/** As a trunk wants it; what is no E.164 number stays as it is. How a number is dialled at home is known of those that there are. */
export function writeNumber(e164: string, { format, country }: NumberRules): string {
  if (format === 'as-is' || format === 'e164' || !e164.startsWith('+')) return e164;
  const digits = e164.slice(1);
  if (format === 'plain') return digits;
  const from = country as CountryCode | undefined;
  const number = format === 'national' ? parsePhoneNumberFromString(e164) : undefined;
  if (from !== undefined && number?.isValid() === true && number.countryCallingCode === getCountryCallingCode(from)) {
    return number.format('NATIONAL').replace(/\D/g, '');
  }
  return `${from === undefined ? '00' : idd(from)}${digits}`;
}

/** A foreign number of every country, to see by what it is dialled from there. */
const satellite = '881612345678';
const prefixes = new Map<string, string>();

/** Prefix of international calls from a country, e.g. 00 or 011. */
function idd(country: CountryCode): string {
  const known = prefixes.get(country);
  if (known !== undefined) return known;
  const written = parsePhoneNumberFromString(`+${satellite}`)?.format('IDD', { fromCountry: country }) ?? '';
  const digits = written.replace(/\D/g, '');
  const prefix = digits.endsWith(satellite) ? digits.slice(0, -satellite.length) : '00';
  prefixes.set(country, prefix);
  return prefix;
}

/** As many digits too many does a carrier pass over. */
const mostSurplus = 12;

/** A premium rate number of its country; digits after the number's end do not hide it. */
export function isPremium(e164: string): boolean {
  for (let surplus = 0; surplus <= mostSurplus && e164.length - surplus > 7; surplus++) {
    const number = parsePhoneNumberFromString(surplus === 0 ? e164 : e164.slice(0, -surplus));
    if (number?.isValid() === true) return number.getType() === 'PREMIUM_RATE';
  }
  return false;
}

/** Digits of the country's code, e.g. 2 for +49…; 3 where it is not known. */
export function countryCodeLength(e164: string): number {
  return parsePhoneNumberFromString(e164)?.countryCallingCode.length ?? 3;
}
