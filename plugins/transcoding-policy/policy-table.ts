// The policies of a config: a pure function from codec lists and use of SRTP to ids, and from a leg to its policy's id.
import { createHash } from 'node:crypto';
import type { SrtpUse, TranscodingPolicies, TranscodingPolicy } from '../../core/plugin-api.js';

/** RTP encoding names (RFC 3551, RFC 7587, …) of what RTPEngine transcodes to and from PCMU. */
export const codecNames = ['opus', 'G722', 'PCMA', 'PCMU', 'GSM', 'speex', 'iLBC', 'G729', 'AMR', 'AMR-WB'] as const;
export type CodecName = (typeof codecNames)[number];

export const srtpUses = ['off', 'optional', 'required'] as const satisfies readonly SrtpUse[];

/** One thing that is decided by subscriber, else by trunk, else for all. */
export interface ByLeg<T> {
  readonly default: T;
  readonly trunks: Readonly<Record<string, T>>;
  readonly subscribers: Readonly<Record<string, T>>;
}

/** Codecs, and beside them SRTP: who has a list of codecs of its own need not have a word on SRTP, and the other way round. */
export interface PolicyConfig extends ByLeg<readonly CodecName[]> {
  readonly srtp: ByLeg<SrtpUse>;
}

/** Pure. A subscriber's policy goes before a trunk's; equal ones are one policy. */
export function policyTable(config: PolicyConfig): TranscodingPolicies {
  const policies = new Map(
    valuesOf(config).flatMap(codecs =>
      valuesOf(config.srtp).map((srtp): [string, TranscodingPolicy] => {
        const id = policyId(codecs, srtp);
        return [id, { id, codecs, srtp }];
      }),
    ),
  );
  const policyFor: TranscodingPolicies['policyFor'] = leg =>
    policyId(valueFor(config, leg), valueFor(config.srtp, leg));
  return { policies: [...policies.values()], defaultPolicy: policyFor({}), policyFor };
}

/**
 * An id that the same policy has in every daemon and after every reload, because calls in progress carry it: `p` and
 * eleven characters of its hash. `[a-z0-9]{12}`.
 */
export function policyId(codecs: readonly CodecName[], srtp: SrtpUse = 'off'): string {
  const text = `${codecs.join(',').toLowerCase()}${srtp === 'off' ? '' : ` srtp ${srtp}`}`;
  const hash = createHash('sha256').update(text).digest();
  return `p${hash.readBigUInt64BE().toString(36).padStart(13, '0').slice(-11)}`;
}

function valuesOf<T>(byLeg: ByLeg<T>): readonly T[] {
  return [byLeg.default, ...Object.values(byLeg.trunks), ...Object.values(byLeg.subscribers)];
}

function valueFor<T>(byLeg: ByLeg<T>, { trunk, subscriber }: Parameters<TranscodingPolicies['policyFor']>[0]): T {
  const own = (values: Readonly<Record<string, T>>, name: string | undefined): T | undefined =>
    name !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
  return own(byLeg.subscribers, subscriber) ?? own(byLeg.trunks, trunk) ?? byLeg.default;
}
