// Whom a call may be connected to, as configs write it: a trunk, a subscriber, a URI.
import { z } from 'zod';
import type { Directory, PluginConfigProblem } from '../plugins/plugin-facts.js';

/** YAML takes 9001 for a number; here it is what is dialled. */
const text = z.union([z.string(), z.number().transform(String)]);

/** Schema of one target in a config: exactly one of `trunk`, `subscriber`, `uri`, which `checkTarget` sees to. */
export const targetConfig = z.strictObject({
  trunk: text.optional().describe('Every gateway of this trunk, best first.'),
  subscriber: text.optional().describe('Every contact of this subscriber; dialled is the one that was dialled.'),
  uri: z
    .string()
    .regex(/^sips?:[^\s<>"@]+@[^\s<>"@]+$/, 'must be a SIP URI, sip:user@host')
    .optional()
    .describe('A SIP URI as it stands.'),
  number: text.optional().describe('Instead of the dialled number, to a trunk.'),
  strip: z
    .int()
    .min(0)
    .max(32)
    .optional()
    .describe('Characters taken from the front of the dialled number, to a trunk.'),
  prefix: text.optional().describe('Put in front of what is left of the number, to a trunk.'),
  ringTimeoutSeconds: z.number().positive().max(600).optional().describe('How long this target may ring.'),
});
/** One target as a config has it. */
export type TargetConfig = z.infer<typeof targetConfig>;

type Path = PluginConfigProblem['path'];

/** What the schema cannot see in a target at `path`. Pure. */
export function checkTarget(target: TargetConfig, directory: Directory, path: Path): readonly PluginConfigProblem[] {
  const kinds = (['trunk', 'subscriber', 'uri'] as const).filter(kind => target[kind] !== undefined);
  if (kinds.length !== 1) return [{ path, message: 'must name exactly one of trunk, subscriber, uri' }];
  const { trunk, subscriber } = target;
  if (trunk !== undefined) {
    const gateways = directory.trunks.find(({ name }) => name === trunk)?.gateways;
    if (gateways?.length === 0) return [{ path: [...path, 'trunk'], message: `trunk ${trunk} has no gateways` }];
    return checkName('trunks', trunk, directory, [...path, 'trunk']);
  }
  const rewritten = (['number', 'strip', 'prefix'] as const).find(key => target[key] !== undefined);
  if (rewritten !== undefined) return [{ path: [...path, rewritten], message: 'is for a trunk only' }];
  if (subscriber === undefined || subscriber === 'dialled' || subscriber.includes('${')) return [];
  return checkName('subscribers', subscriber, directory, [...path, 'subscriber']);
}

/** Whether the config has a trunk or a subscriber of this name. Pure. */
export function checkName(
  kind: 'trunks' | 'subscribers',
  name: string,
  directory: Directory,
  path: Path,
): readonly PluginConfigProblem[] {
  const names = directory[kind].map(entry => entry.name);
  if (names.includes(name)) return [];
  const known = names.length === 0 ? 'there is none' : `there are: ${names.slice(0, 10).join(', ')}`;
  return [{ path, message: `there is no ${kind === 'trunks' ? 'trunk' : 'subscriber'} "${name}"`, hint: known }];
}
