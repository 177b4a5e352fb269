// Who writes the files of each farm's servers, and the keys that Kamailios are given.
import { asteriskPrefix } from '../../../asterisk/asterisk-prefix.js';
import { AsteriskRenderer } from '../../../asterisk/asterisk-renderer.js';
import type { EdgeSecrets } from '../../../kamailio/edge-model.js';
import { KamailioRenderer } from '../../../kamailio/kamailio-renderer.js';
import { tlsAfterFork } from '../../../kamailio/tls-after-fork.js';
import { EngineRenderer } from '../../../rtpengine/rtpengine-process.js';
import { edgeSettings } from '../../farm/edge-settings.js';
import type { FarmName } from '../../farm/farm-plan.js';
import type { FarmSecrets } from '../../farm/farm-secrets.js';
import type { EdgeCertificate, EdgeState } from '../../ports/edge.js';
import type { NodeRenderer } from '../../ports/node-host.js';
import type { Given } from './graph.js';

export function renderersOf(
  { live, secrets }: Pick<Given, 'live' | 'secrets'>,
  state: () => EdgeState,
  certificate: () => EdgeCertificate,
): Readonly<Record<FarmName, NodeRenderer>> {
  const asterisk = asteriskRenderer({ live, secrets });
  // Said before anything is started, as with Asterisk.
  if (live.plan.streams.tls !== undefined) tlsAfterFork();
  return {
    call: asterisk,
    conference: asterisk,
    registrar: asterisk,
    rtpengine: new EngineRenderer(),
    kamailio: new KamailioRenderer({
      plan: () => live.plan,
      domain: () => live.config.domain,
      leastExpiresSeconds: () => live.config.registration.minSeconds,
      homer: () => live.config.farm.homer,
      secrets: edgeSecrets(secrets),
      state,
      connections: () => live.config.edge,
      certificate,
      tlsAfterFork,
    }),
  };
}

function asteriskRenderer({ live, secrets }: Pick<Given, 'live' | 'secrets'>): AsteriskRenderer {
  return new AsteriskRenderer({
    plan: () => live.plan,
    prefix: asteriskPrefix(),
    domain: () => live.config.domain,
    ariPassword: node => ariPassword(secrets, node),
    subscribers: () => edgeSettings(live.config).subscribers,
    rtpTimeout: () => ({
      seconds: live.config.limits.rtpTimeoutSeconds,
      onHoldSeconds: live.config.limits.rtpTimeoutOnHoldSeconds,
    }),
    registration: () => live.config.registration,
    trunks: () =>
      live.config.trunks.flatMap(({ name, credentials, register }) =>
        credentials ? [{ name, ...credentials, ...(register && { domain: register.domain }) }] : [],
      ),
  });
}

export function ariPassword(secrets: FarmSecrets, node: string): string {
  return secrets.derive(`ari ${node}`);
}

export function edgeSecrets(secrets: FarmSecrets): EdgeSecrets {
  return {
    routeKeys: { current: 'k1', keys: { k1: secrets.derive('route k1') } },
    maskKey: secrets.derive('topology mask'),
    nonceSecret: secrets.derive('digest nonce'),
    lineKey: secrets.derive('trunk lines'),
    hepKey: secrets.derive('hep'),
  };
}
