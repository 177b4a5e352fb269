// The servers of the farm: their processes on this host, and the adapters that speak to each kind of them.
import { AriFarm } from '../../../asterisk/asterisk-farm.js';
import { KamailioFarm } from '../../../kamailio/edge-farm.js';
import { EnginePool } from '../../../rtpengine/node-pool.js';
import { CertificateKeeper } from '../../farm/certificate-keeper.js';
import { nodeNamed } from '../../farm/farm-plan.js';
import { LocalHost } from '../../host/local-host.js';
import { NftBalancer } from '../../host/nft-balancer.js';
import { statePaths } from '../../host/state-folder.js';
import type { Get, Given, Make } from './graph.js';
import { ariPassword, edgeSecrets, renderersOf } from './renderers.js';
import { tokens } from './tokens.js';

export function wireServers(given: Given, make: Make): void {
  const { live, log, secrets, stateFolder } = given;
  make(tokens.host, () => new LocalHost(stateFolder));
  make(tokens.balancer, () => new NftBalancer(live.plan));
  make(tokens.media, () => new EnginePool(live.plan.nodes, { localAddress: live.plan.daemonAddress }));
  make(tokens.asterisks, () => {
    // Also of one that is leaving, or has left: it keeps the address that it is asked for first.
    const addressOf = (name: string): string => nodeNamed(live.plan.subnet, name)?.address ?? '0.0.0.0';
    return new AriFarm({ addressOf, passwordOf: node => ariPassword(secrets, node), log });
  });
  make(tokens.edge, get => {
    const states = get(tokens.states);
    return new KamailioFarm({
      instances: () => states.nodes('kamailio'),
      addressOf: name => states.node(name)?.address,
      daemonAddress: live.plan.daemonAddress,
      secrets: edgeSecrets(secrets),
      ...(live.plan.streams.tls === undefined ? {} : { tlsPort: live.plan.streams.tls }),
      writeFiles: (node, files, user) => get(tokens.host).writeFiles(node, files, user),
    });
  });
  make(tokens.certificates, get => {
    const folder = statePaths(stateFolder).certificateFolder;
    return new CertificateKeeper({ folder, config: () => live.config, edge: get(tokens.edge), log });
  });
  make(tokens.renderers, get => {
    const certificates = get(tokens.certificates);
    return renderersOf(
      given,
      () => get(tokens.sync).state(),
      () => certificates.current,
    );
  });
}

/** Lets go of the sockets to the servers, which go on. */
export function closeServers(get: Get): void {
  get(tokens.host).close();
  get(tokens.edge).close();
  get(tokens.media).close();
}
