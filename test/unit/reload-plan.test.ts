// `holdfast diff`: what a config's change asks of the farm is what the files that it changes ask for.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AsteriskRenderer } from '../../asterisk/asterisk-renderer.js';
import { allNeeds } from '../../core/config/changed-parts.js';
import type { HoldfastConfig } from '../../core/config/holdfast-config.js';
import { loadConfig } from '../../core/config/load-config.js';
import { edgeSettings } from '../../core/farm/edge-settings.js';
import { untouchedState } from '../../core/farm/farm-rendering.js';
import type { ReloadPlan } from '../../core/farm/reload-plan.js';
import { ReloadPlanner, type Renderers } from '../../core/farm/reload-planner.js';
import { silentLogger } from '../../core/log.js';
import { transcodingPolicies } from '../../core/plugin-api.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';
import type { EdgeState } from '../../core/ports/edge.js';
import type { NodeHost } from '../../core/ports/node-host.js';
import { KamailioRenderer } from '../../kamailio/kamailio-renderer.js';
import { EngineRenderer } from '../../rtpengine/rtpengine-process.js';

const base = `domain: a.test
farm: {kamailio: 2, call: 1, conference: 1, registrar: 1, rtpengine: 1}
trunks: {lab: {sources: [.200], gateways: [.208]}}
subscribers: {"1001": {secret: a}}
plugins: {registrar: , transcoding-policy: , routing: }
`;

const secrets = {
  routeKeys: { current: 'k1', keys: { k1: 'key' } },
  ...{ maskKey: 'mask', nonceSecret: 'nonce', lineKey: 'line', hepKey: 'hep' },
};

function renderers(config: HoldfastConfig, state: EdgeState): Renderers {
  const { plan, homer } = config.farm;
  const asterisk = new AsteriskRenderer({
    plan: () => plan,
    prefix: '/opt/asterisk',
    domain: () => config.domain,
    ariPassword: node => node,
    registration: () => config.registration,
    subscribers: () => edgeSettings(config).subscribers,
    trunks: () =>
      config.trunks.flatMap(({ name, credentials, register }) =>
        credentials ? [{ name, ...credentials, ...(register && { domain: register.domain }) }] : [],
      ),
  });
  const kamailio = new KamailioRenderer({
    connections: () => ({ mostConnections: 200, strangerSilenceSeconds: 30 }),
    certificate: () => ({ certificate: '', key: '' }),
    tlsAfterFork: () => '/cache/tls-after-fork.so',
    plan: () => plan,
    domain: () => config.domain,
    leastExpiresSeconds: () => config.registration.minSeconds,
    homer: () => homer,
    ...{ secrets, state: () => state },
  });
  return { kamailio, call: asterisk, conference: asterisk, registrar: asterisk, rtpengine: new EngineRenderer() };
}

describe('what a reload would change', () => {
  let file: string;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-plan-'));
    file = join(folder, 'test.yaml');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const load = async (text: string): Promise<HoldfastConfig> => {
    await writeFile(file, text);
    return loadConfig(file, { env: {} });
  };

  /** A farm that was started on `running`, asked about `next`. `held` changes what a node's folder has. */
  async function plan(running: string, next: string, held: Record<string, string> = {}): Promise<ReloadPlan> {
    const config = await load(running);
    const after = await load(next);
    const plugins = new PluginHost({ log: silentLogger });
    await plugins.start(config);
    const state = untouchedState(config.farm.plan, edgeSettings(config, plugins.service(transcodingPolicies)));
    const started = renderers(config, state);
    const host: Partial<NodeHost> = {
      folder: node => `/state/${node}`,
      process: () => ({ pid: 7, startTicks: 1 }),
      readFile: async (name, path) => {
        const node = config.farm.plan.nodes.find(one => one.name === name)!;
        const files = started[node.farm].setup(node, `/state/${name}`).files;
        return held[`${name}/${path}`] ?? files.find(one => one.path === path)?.content;
      },
    };
    const planner = new ReloadPlanner({
      ...{ live: () => ({ config, plan: config.farm.plan }), loadConfig: () => after, renderers },
      host: host as NodeHost,
      edgeState: () => state,
      tryOut: async () => {
        const trial = new PluginHost({ log: silentLogger });
        await trial.start(after);
        const policies = trial.service(transcodingPolicies);
        const provider = trial.providerOf(transcodingPolicies);
        await trial.stop();
        return {
          ...{ settings: edgeSettings(after, policies), underNew: edgeSettings(config, policies) },
          providers: provider === undefined ? [] : [provider],
        };
      },
    });
    return planner.plan(undefined);
  }

  const cases: readonly (readonly [what: string, next: string, parts: string, nodes: string])[] = [
    ['nothing', `# only a comment\n${base}`, '', ''],
    [
      'a trunk’s gateway',
      base.replace('.208', '.209'),
      'trunks.lab.gateways: list-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload',
    ],
    [
      'a trunk’s source',
      base.replace('.200', '.201'),
      'trunks.lab.sources: list-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload',
    ],
    [
      'a trunk’s credentials',
      base.replace('[.208]', '[.208], credentials: {username: u, secret: s}'),
      'trunks.lab.credentials: endpoint-reload',
      'call-1: endpoint-reload',
    ],
    [
      'a trunk’s login',
      base.replace('[.208]', '[.208], login: {username: u, secret: s}'),
      'trunks.lab.login: list-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload',
    ],
    [
      'a registration with a trunk',
      base.replace('[.208]', '[.208], credentials: {username: u, secret: s}, register: {domain: b.test}'),
      'trunks.lab.register: list-reload endpoint-reload, trunks.lab.credentials: endpoint-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload, call-1: endpoint-reload',
    ],
    [
      'a subscriber’s secret',
      base.replace('secret: a', 'secret: b'),
      'subscribers.1001.secret: list-reload endpoint-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload, registrar-1: endpoint-reload',
    ],
    ['a display name', base.replace('secret: a', 'secret: a, name: A'), 'subscribers.1001.name:', ''],
    [
      'a subscriber more',
      base.replace('secret: a}', 'secret: a}, "1002": {secret: c}'),
      'subscribers.1002: list-reload endpoint-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload, registrar-1: endpoint-reload',
    ],
    [
      'the plugin that decides codecs',
      base.replace('transcoding-policy: ', 'transcoding-policy: {default: [PCMA]}'),
      'plugins.transcoding-policy: list-reload',
      'kamailio-1: list-reload, kamailio-2: list-reload',
    ],
    [
      'a plugin that decides none',
      base.replace('routing: ', 'routing: {routes: [{dial: x, echo: true}]}'),
      'plugins.routing:',
      '',
    ],
    [
      'a Kamailio more',
      base.replace('kamailio: 2', 'kamailio: 3'),
      'farm.kamailio: list-reload node-start',
      'kamailio-1: list-reload, kamailio-2: list-reload, kamailio-3: node-start',
    ],
    [
      'a Kamailio less',
      base.replace('kamailio: 2', 'kamailio: 1'),
      'farm.kamailio: node-leave',
      'kamailio-2: node-leave',
    ],
    ...(['call', 'conference', 'registrar'] as const).map(
      farm =>
        [
          `a ${farm} node more`,
          base.replace(`${farm}: 1`, `${farm}: 2`),
          `farm.${farm}: list-reload node-start`,
          `kamailio-1: list-reload, kamailio-2: list-reload, ${farm}-2: node-start`,
        ] as const,
    ),
    [
      'the collector of HEP',
      base.replace('rtpengine: 1', 'rtpengine: 1, homer: 192.0.2.7'),
      'farm.homer: rolling-restart',
      'kamailio-1: rolling-restart, kamailio-2: rolling-restart',
    ],
  ];
  for (const [what, next, parts, nodes] of cases) {
    test(`${what}: each part asks for what the files of the nodes ask for`, async () => {
      const { changes, nodes: changed, needs } = await plan(base, next);
      assert.equal(changes.map(({ part, needs: own }) => `${part}: ${own.join(' ')}`.trim()).join(', '), parts);
      assert.equal(changed.map(({ node, needs: own }) => `${node}: ${own.join(' ')}`).join(', '), nodes);
      assert.deepEqual(allNeeds(changes), allNeeds(changed));
      assert.deepEqual(needs, allNeeds(changes));
    });
  }

  test('the realm: a full restart, also where files ask for less', async () => {
    const { changes, needs } = await plan(base, base.replace('a.test', 'b.test'));
    assert.deepEqual(changes, [{ part: 'domain', needs: ['full-restart'] }]);
    assert.ok(needs.includes('full-restart'));
  });

  test('a node that was started on an older file is due for a restart, though the config is the same', async () => {
    const { changes, nodes } = await plan(base, base, { 'call-1/asterisk.conf': 'of an older build' });
    assert.deepEqual(changes, []);
    assert.deepEqual(nodes, [
      { node: 'call-1', needs: ['rolling-restart'], files: [{ path: 'asterisk.conf', need: 'rolling-restart' }] },
    ]);
  });
});
