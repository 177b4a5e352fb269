// Emergency numbers: calls to them pass every limit and are recovered first. Pure.

/** What a phone knows without being told (3GPP TS 22.101 section 10.1.1), less 08, which is how many numbers begin. */
export const emergencyByDefault = ['112', '911', '000', '110', '118', '119', '999'] as const;

/** By what was dialled, or by what a target gets after the route took an outside line's digit away. */
export function isEmergency(numbers: readonly string[], called: readonly string[]): boolean {
  return called.some(number => numbers.includes(number));
}
