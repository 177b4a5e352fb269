// The policies of a config: a pure function from codec lists to ids and from a leg to its policy's id.
import { createHash } from 'node:crypto';
import type { TranscodingPolicies, TranscodingPolicy } from '../../core/plugin-api.js';

/** RTP encoding names (RFC 3551, RFC 7587, …) of what RTPEngine transcodes to and from PCMU. */
export const codecNames = ['opus', 'G722', 'PCMA', 'PCMU', 'GSM', 'speex', 'iLBC', 'G729', 'AMR', 'AMR-WB'] as const;
export type CodecName = (typeof codecNames)[number];

export interface PolicyConfig {
  readonly default: readonly CodecName[];
  readonly trunks: Readonly<Record<string, readonly CodecName[]>>;
  readonly subscribers: Readonly<Record<string, readonly CodecName[]>>;
}

/** Pure. A subscriber's policy goes before a trunk's; equal codec lists are one policy. */
export function policyTable(config: PolicyConfig): TranscodingPolicies {
  const lists = [config.default, ...Object.values(config.trunks), ...Object.values(config.subscribers)];
  const policies = new Map(
    lists.map((codecs): [string, TranscodingPolicy] => [policyId(codecs), { id: policyId(codecs), codecs }]),
  );
  const byTrunk = idsOf(config.trunks);
  const bySubscriber = idsOf(config.subscribers);
  const defaultPolicy = policyId(config.default);
  return {
    policies: [...policies.values()],
    defaultPolicy,
    policyFor: ({ trunk, subscriber }) =>
      (subscriber === undefined ? undefined : bySubscriber.get(subscriber)) ??
      (trunk === undefined ? undefined : byTrunk.get(trunk)) ??
      defaultPolicy,
  };
}

/**
 * An id that the same codec list has in every daemon and after every reload, because calls in progress carry it: `p` and
 * eleven characters of its hash. `[a-z0-9]{12}`.
 */
export function policyId(codecs: readonly CodecName[]): string {
  const hash = createHash('sha256').update(codecs.join(',').toLowerCase()).digest();
  return `p${hash.readBigUInt64BE().toString(36).padStart(13, '0').slice(-11)}`;
}

function idsOf(lists: Readonly<Record<string, readonly CodecName[]>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(lists).map(([name, codecs]) => [name, policyId(codecs)]));
}
