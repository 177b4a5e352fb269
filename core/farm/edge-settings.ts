// What config and plugins mean for the edge: sources, subscribers' digests, codec policies, transfers. Pure.
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { EdgeConfig, NumbersConfig, SubscriberConfig, TrunkConfig } from '../config/holdfast-config.js';
import type { EdgeGateway, EdgeSubscriber } from '../ports/edge.js';
import { transportOf } from '../trunks/gateway-transport.js';
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
    readonly numbers: Pick<NumbersConfig, 'emergency'>;
  },
  policies: TranscodingPolicies = plainPolicies,
  transfers = false,
): EdgeSettings {
  return {
    transfers,
    policies: policies.policies,
    defaultPolicy: policies.defaultPolicy,
    sources: config.trunks.flatMap(trunk =>
      trunk.sources.map(address => ({
        ...{ address, trunk: trunk.name, policy: policies.policyFor({ trunk: trunk.name }) },
        ...(trunk.register === undefined ? {} : { contactUser: trunk.register.user }),
      })),
    ),
    lines: config.trunks.flatMap(({ name: trunk, register }) =>
      register === undefined ? [] : [{ trunk, policy: policies.policyFor({ trunk }), contactUser: register.user }],
    ),
    logins: config.trunks.flatMap(({ name: trunk, login }) => {
      if (login === undefined) return [];
      const { username: user, secret } = login;
      const { ha1 } = digestsOf(user, config.domain, secret);
      return [{ user, ha1, trunk, policy: policies.policyFor({ trunk }) }];
    }),
    gateways: config.trunks.flatMap(connectedGateways),
    // Of a gateway that is a name only its own sources are known.
    allowed: [...new Set([...config.edge.allow, ...config.trunks.flatMap(gatewayAddresses)])],
    defence: config.edge.defence,
    emergency: config.numbers.emergency,
    subscribers: config.subscribers.map(({ name, secret, identities }) => ({
      user: name,
      realm: config.domain,
      ...digestsOf(name, config.domain, secret),
      identities,
      policy: policies.policyFor({ subscriber: name }),
    })),
  };
}

function connectedGateways({ name: trunk, gateways, register }: TrunkConfig): readonly EdgeGateway[] {
  const all = [...gateways, ...(register?.registrars ?? [])].flatMap(({ id, address, tls }) => {
    const transport = transportOf(address);
    return id === undefined || transport === 'udp' ? [] : [{ id, trunk, transport, ...(tls ? { tls } : {}) }];
  });
  return [...new Map(all.map(one => [one.id, one])).values()];
}

function gatewayAddresses({ gateways, register }: TrunkConfig): readonly string[] {
  return [...gateways, ...(register?.registrars ?? [])]
    .map(({ address }) => address.replace(/:\d+(;.*)?$/, ''))
    .filter(host => isIPv4(host));
}

/** All that leaves the daemon of a secret (RFC 8760 §2.3, A1 hashed). */
export function digestsOf(user: string, realm: string, secret: string): Pick<EdgeSubscriber, 'ha1' | 'ha1Sha256'> {
  const hashed = (algorithm: 'md5' | 'sha256'): string =>
    createHash(algorithm).update(`${user}:${realm}:${secret}`).digest('hex');
  return { ha1: hashed('md5'), ha1Sha256: hashed('sha256') };
}
