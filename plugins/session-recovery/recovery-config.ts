// The session-recovery block of a config file, and the policy it stands for.
import {
  z,
  type Directory,
  type Limits,
  type PluginConfigProblem,
  type RecoveryPolicy,
} from '../../core/plugin-api.js';
import { homerConfig } from './homer/homer-config.js';

const perSecond = z.number().positive().max(100_000);

const trunk = z.strictObject({
  recoveryPerSecond: perSecond.optional().describe('Recovery INVITEs per second to this trunk; default: no limit.'),
  priority: z.number().optional().describe('Higher is recovered first; default 0.'),
});

export const recoveryConfig = z
  .strictObject({
    recoveryPerSecond: perSecond.default(1000).describe('Recovery INVITEs per second to one call node.'),
    patienceSeconds: z
      .number()
      .positive()
      .max(3600)
      .default(30)
      .describe(
        'How long sessions wait for a call node to come up, and for an answer that is no refusal of the moment.',
      ),
    silenceMs: z
      .int()
      .min(300)
      .max(60_000)
      .default(1000)
      .describe(
        'How long a server of any farm must be silent in every way to be dead, where its process is still there.',
      ),
    killFrozen: z
      .boolean()
      .default(true)
      .describe('Kill a process that is silent but still there; false leaves it, fenced, to a debugger.'),
    source: z
      .enum(['ledger', 'trace-source'])
      .default('ledger')
      .describe('ledger: what the daemon saw, the trace source for what it missed. trace-source: that one only.'),
    homer: homerConfig.optional().describe('HOMER as the trace source.'),
    trunks: z
      .record(z.string(), trunk)
      .default({})
      .describe('Trunks that take less than a call node, or matter more than others.'),
    firstNumbers: z
      .array(z.union([z.string(), z.number().transform(String)]))
      .default([])
      .describe(
        'Dialled numbers that are recovered before all others, together with the emergency numbers of the config.',
      ),
  })
  .describe('How the sessions of a dead server are re-created on another one.');
export type RecoveryConfig = z.output<typeof recoveryConfig>;

const firstOfAll = 1_000_000;

export function policyOf(config: RecoveryConfig): RecoveryPolicy {
  const { recoveryPerSecond, patienceSeconds, silenceMs, killFrozen, source, trunks } = config;
  const first = new Set(config.firstNumbers);
  return {
    perSecond: recoveryPerSecond,
    trunkPerSecond: trunk => trunks[trunk]?.recoveryPerSecond ?? Infinity,
    priorityOf: call => {
      if (call.emergency === true || first.has(call.dialled)) return firstOfAll;
      return call.source.kind === 'trunk' ? (trunks[call.source.trunk]?.priority ?? 0) : 0;
    },
    patienceMs: patienceSeconds * 1000,
    silenceMs,
    killFrozen,
    source,
  };
}

export function checkRecovery(config: RecoveryConfig, { trunks, limits }: Directory): PluginConfigProblem[] {
  return [...checkPatience(config, limits), ...checkTrunks(config, trunks)];
}

/** Whoever waits for an RTPEngine hears nothing from it. */
function checkPatience({ patienceSeconds }: RecoveryConfig, { rtpTimeoutSeconds }: Limits): PluginConfigProblem[] {
  if (rtpTimeoutSeconds === 0 || rtpTimeoutSeconds > patienceSeconds) return [];
  const message =
    `patienceSeconds (${patienceSeconds}) is not less than limits.rtpTimeoutSeconds (${rtpTimeoutSeconds}): ` +
    'a call would be ended for its silence while it waits to be recovered';
  return [{ path: ['patienceSeconds'], message, hint: 'raise limits.rtpTimeoutSeconds, or lower patienceSeconds' }];
}

function checkTrunks(config: RecoveryConfig, trunks: Directory['trunks']): PluginConfigProblem[] {
  const known = new Set(trunks.map(trunk => trunk.name));
  return Object.keys(config.trunks)
    .filter(name => !known.has(name))
    .map(name => ({
      path: ['trunks', name],
      message: `there is no trunk "${name}"`,
      ...(known.size === 0 ? {} : { hint: `one of: ${[...known].join(', ')}` }),
    }));
}
