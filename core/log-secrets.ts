// Keeps secrets out of the log: by the names of fields, wherever a line may have them.

const secretKeys: ReadonlySet<string> = new Set(['secret', 'password', 'ha1', 'ha1Sha256', 'authorization', 'token']);
const censored = '[redacted]';
/** Fields, what is in them, and what is in that. */
const levels = 3;

/** `value` itself where it has no secret, as nearly every line; else a copy without. An error's own fields are its describer's. */
export function withoutSecrets<T>(value: T, left = levels): T {
  if (typeof value !== 'object' || value === null || value instanceof Error || left === 0) return value;
  const entries = Object.entries(value as Readonly<Record<string, unknown>>);
  const kept = entries.map(([key, one]) => (secretKeys.has(key) ? censored : withoutSecrets(one, left - 1)));
  if (kept.every((one, i) => one === entries[i]?.[1])) return value;
  return (Array.isArray(value) ? kept : Object.fromEntries(entries.map(([key], i) => [key, kept[i]]))) as T;
}
