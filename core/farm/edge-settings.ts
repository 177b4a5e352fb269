// What config and plugins mean for the edge: sources, subscribers' digests, codec policies, transfers. Pure.
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { EdgeConfig, SubscriberConfig, TrunkConfig } from '../config/holdfast-config.js';
import type { EdgeSubscriber } from '../ports/edge.js';
import type { TranscodingPolicies } from '../plugin-api.js';
import type { EdgeSettings } from './edge-sync.js';

/** Where no plugin decides codecs: what almost every phone speaks. */
const plainPolicies: TranscodingPolicies = {
  policies: [{ id: 'plain', codecs: ['PCMA', 'PCMU'] }],
  defaultPolicy: 'plain',
  policyFor: () => 'plain',
};

export function edgeSettings(
  config: {
    readonly domain: string;
    readonly trunks: readonly TrunkConfig[];
    readonly subscribers: readonly SubscriberConfig[];
    readonly edge: EdgeConfig;
  },
  policies: TranscodingPolicies = plainPolicies,
  transfers = false,
): EdgeSettings {
  return {
    transfers,
    policies: policies.policies,
    defaultPolicy: policies.defaultPolicy,
    sources: config.trunks.flatMap(({ name, sources }) =>
      sources.map(address => ({ address, trunk: name, policy: policies.policyFor({ trunk: name }) })),
    ),
    // Of a gateway that is a name only its own sources are known.
    allowed: [...new Set([...config.edge.allow, ...config.trunks.flatMap(gatewayAddresses)])],
    defence: config.edge.defence,
    subscribers: config.subscribers.map(({ name, secret, identities }) => ({
      user: name,
      realm: config.domain,
      ...digestsOf(name, config.domain, secret),
      identities,
      policy: policies.policyFor({ subscriber: name }),
    })),
  };
}

function gatewayAddresses({ gateways }: TrunkConfig): readonly string[] {
  return gateways.map(({ address }) => address.replace(/:\d+$/, '')).filter(host => isIPv4(host));
}

/** All that leaves the daemon of a secret (RFC 8760 §2.3, A1 hashed). */
export function digestsOf(user: string, realm: string, secret: string): Pick<EdgeSubscriber, 'ha1' | 'ha1Sha256'> {
  const hashed = (algorithm: 'md5' | 'sha256'): string =>
    createHash(algorithm).update(`${user}:${realm}:${secret}`).digest('hex');
  return { ha1: hashed('md5'), ha1Sha256: hashed('sha256') };
}
