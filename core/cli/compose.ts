// What commands ask of the whole: a daemon, a check of its config, the files of its servers, a demo. It is wired in compose/.
import { join } from 'node:path';
import { loadConfig } from '../config/load-config.js';
import { ControlServer } from '../control/control-server.js';
import { readCertificate } from '../farm/certificate-keeper.js';
import { certificateWarning } from '../farm/edge-certificate.js';
import { keptAuthorities } from '../farm/kept-authorities.js';
import { keepIdentity } from '../farm/farm-identity.js';
import { ports } from '../farm/farm-plan.js';
import { makePrivateFolder, renderFiles, untouchedState, writeRendering } from '../farm/farm-rendering.js';
import { FarmSecrets } from '../farm/farm-secrets.js';
import { makeStateFolder, statePaths } from '../host/state-folder.js';
import { createLogger, silentLogger } from '../log.js';
import { PluginHost } from '../plugins/plugin-host.js';
import { openLmdbStore } from '../store/lmdb-store.js';
import { wireAccounts } from './compose/accounts.js';
import { wireCalls } from './compose/calls.js';
import { wireConferences } from './compose/conferences.js';
import { operationsOf, wireDaemon } from './compose/daemon.js';
import { wireFarm } from './compose/farm.js';
import { wire, type Given } from './compose/graph.js';
import { settingsUnder, wirePlugins } from './compose/plugins.js';
import { wireRecovery } from './compose/recovery.js';
import { wireRegistrations } from './compose/registrations.js';
import { renderersOf } from './compose/renderers.js';
import { closeServers, wireServers } from './compose/servers.js';
import { tokens } from './compose/tokens.js';
import { wireTrunks } from './compose/trunks.js';
import type {
  ConfigSummary,
  DemoOptions,
  DemoReport,
  FarmPlace,
  RecoveryDemoReport,
  RenderOptions,
  RunningDaemon,
} from './composition.js';

export async function startDaemon({ configPath, subnet, stateFolder }: FarmPlace): Promise<RunningDaemon> {
  const overrides = subnet === undefined ? {} : { subnet };
  const authorities = keptAuthorities(statePaths(stateFolder).certificateFolder);
  const config = loadConfig(configPath, { ...overrides, lastAuthorities: file => authorities[file] });
  const log = createLogger({
    level: config.log.level,
    ...(config.log.file === undefined ? {} : { file: join(stateFolder, config.log.file) }),
  });
  makeStateFolder(stateFolder);
  const given: Given = {
    live: { config, plan: config.farm.plan },
    stateFolder,
    secrets: FarmSecrets.open(stateFolder),
    log,
    store: openLmdbStore(join(stateFolder, 'store'), log),
    reloadConfig: path => loadConfig(path ?? configPath, overrides),
  };
  const get = wire(given, [
    wireServers,
    wireFarm,
    wirePlugins,
    wireRegistrations,
    wireTrunks,
    wireCalls,
    wireConferences,
    wireRecovery,
    wireAccounts,
    wireDaemon,
  ]);
  const daemon = get(tokens.daemon);
  await keepIdentity(given.store, config, get(tokens.host).running().length > 0);
  const socketPath = statePaths(stateFolder).controlSocket;
  await daemon.start(new ControlServer({ operations: operationsOf(given, get, configPath), socketPath, log }));
  return {
    stopped: daemon.stopped.then(() => closeServers(get)),
    reload: async () => {
      await daemon.reload(line => log.info({}, line));
    },
    close: () => daemon.close(),
  };
}

export async function checkConfig(
  configPath: string,
  subnet: string | undefined,
  forStart = false,
): Promise<ConfigSummary> {
  const config = loadConfig(configPath, {
    ...(subnet === undefined ? {} : { subnet }),
    ...(forStart ? { lastAuthorities: () => '' } : {}),
  });
  const deprecations = await new PluginHost({ log: silentLogger }).check(config);
  // Its own, the farm makes at its start.
  const certificate = forStart ? undefined : config.edge.certificate && (await readCertificate(config, ''));
  const expiry = certificate && certificateWarning(certificate, Date.now());
  return {
    subnet: config.farm.subnet,
    edge: `${config.farm.plan.publicVip}:${ports.sip}`,
    nodes: config.farm.plan.nodes.map(node => node.name),
    plugins: config.plugins.map(plugin => plugin.name),
    warnings: [
      ...config.warnings,
      ...deprecations,
      ...(expiry === undefined ? [] : [`edge.tls.certificate: ${expiry}`]),
    ],
    ...(config.farm.state === undefined ? {} : { stateFolder: config.farm.state }),
    ...(config.log.file === undefined ? {} : { logFile: config.log.file }),
  };
}

export async function renderFarm(options: RenderOptions): Promise<readonly string[]> {
  const { configPath, subnet, outFolder, keyFile, nodeFolder } = options;
  const config = loadConfig(configPath, subnet === undefined ? {} : { subnet });
  const plugins = new PluginHost({ log: silentLogger });
  await plugins.start(config);
  const settings = settingsUnder(config, plugins);
  await plugins.stop();
  const { plan } = config.farm;
  makePrivateFolder(outFolder);
  const secrets = keyFile === undefined ? FarmSecrets.open(outFolder) : FarmSecrets.read(keyFile);
  const certificate =
    plan.streams.tls === undefined ? undefined : await readCertificate(config, join(outFolder, 'certificate'));
  const renderers = renderersOf(
    { live: { config, plan }, secrets },
    () => untouchedState(plan, settings),
    () => certificate ?? { certificate: '', key: '' },
  );
  const files = renderFiles(plan, renderers, nodeFolder ?? outFolder);
  await writeRendering(outFolder, files);
  return files.map(({ path }) => path);
}

/** The demo's phones are those of the test kit, loaded only here. */
export async function demoCall(options: DemoOptions, print: (line: string) => void): Promise<DemoReport> {
  const kit = await import('../../test/harness/demo-call.js');
  return kit.demoCall(options, print);
}

export async function demoRecovery(options: DemoOptions, print: (line: string) => void): Promise<RecoveryDemoReport> {
  const kit = await import('../../test/harness/demo-recovery.js');
  return kit.demoRecovery(options, print);
}
