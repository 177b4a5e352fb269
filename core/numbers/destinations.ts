// Where calls may go, by the front of the called number. Pure.
import { countryCodeLength, isPremium } from './phone-number.js';

/** Prefixes: with a `+` of the number in E.164, without one of the number as the trunk gets it. */
export interface DestinationRules {
  /** Not empty: nothing else may be called. */
  readonly allow: readonly string[];
  readonly block: readonly string[];
}

export interface CalledNumber {
  /** As the trunk gets it. */
  readonly written: string;
  /** Undefined where it is no number of the public network. */
  readonly e164?: string;
}

/** The word in a list of expensive destinations that stands for the premium rate numbers of all countries. */
export const premium = 'premium';

/**
 * Blocked where nobody allows them, as fraud goes there: premium rate, Inmarsat, universal personal numbers, satellites, international networks,
 * international premium rate and shared cost (ITU-T E.164, list of assigned country codes).
 */
export const expensiveByDefault = [premium, '+870', '+878', '+881', '+882', '+883', '+979', '+808'] as const;

/** Why a number may not be called by these rules, in words; undefined where it may. The longest prefix that fits decides. */
export function destinationRefusal(number: CalledNumber, { allow, block }: DestinationRules): string | undefined {
  const blocked = longest(number, block);
  const allowed = longest(number, allow);
  if (blocked !== undefined && blocked.length > (allowed?.length ?? 0)) return `${blocked} is blocked`;
  if (allow.length > 0 && allowed === undefined) return 'it is not among the allowed destinations';
  return undefined;
}

/** The same for an expensive one: only a prefix in `allow` that names it lets it pass, not one of the whole world or a country. */
export function expensiveRefusal(
  number: CalledNumber,
  expensive: readonly string[],
  allow: readonly string[],
): string | undefined {
  const { e164 } = number;
  const allowed = longest(number, allow)?.length ?? 0;
  const prefix = longest(number, expensive);
  if (prefix !== undefined && allowed < prefix.length) return `${prefix} is expensive, and not allowed by name`;
  if (e164 === undefined || !expensive.includes(premium) || !isPremium(e164)) return undefined;
  return allowed > 1 + countryCodeLength(e164) ? undefined : 'it is a premium rate number, and not allowed by name';
}

function longest({ written, e164 }: CalledNumber, prefixes: readonly string[]): string | undefined {
  return prefixes
    .filter(prefix => (prefix.startsWith('+') ? e164?.startsWith(prefix) === true : written.startsWith(prefix)))
    .sort((a, b) => b.length - a.length)[0];
}
