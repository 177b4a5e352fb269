// What the generator writes for a farm, against golden files; slots and tables as pure functions.
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { planFarm } from '../../core/farm/farm-plan.js';
import type { EdgeState } from '../../core/ports/edge.js';
import { assignSlots } from '../../kamailio/dispatcher-list.js';
import { KamailioRenderer, type KamailioRendererOptions } from '../../kamailio/kamailio-renderer.js';
import { formatTable, renderTables } from '../../kamailio/edge-tables.js';
import { HoldfastError } from '../../core/errors.js';
import { projectRoot } from '../harness/project-root.js';

const plan = planFarm('127.40.0.0/24', { kamailio: 3, call: 2, conference: 2, registrar: 2, rtpengine: 2 });
const secrets = {
  routeKeys: { current: 'k2', keys: { k1: 'old-route-key', k2: 'new-route-key' } },
  maskKey: 'mask-key',
  nonceSecret: 'nonce-secret',
  lineKey: 'line-key',
  hepKey: 'hep-key',
};
const state: EdgeState = {
  nodes: plan.nodes.map(({ name, farm, address }) => ({
    name,
    farm,
    address,
    state: name === 'call-2' ? 'draining' : 'up',
  })),
  engines: [
    { id: 'e1-1', node: 'rtpengine-1', state: 'dead', successor: 'e2-2' },
    { id: 'e2-2', node: 'rtpengine-2', state: 'up' },
    { id: 'e1-3', node: 'rtpengine-1', state: 'up' },
  ],
  allowed: [],
  emergency: ['112', '911'],
  defence: { strangerRate: 10, strangerRegisters: 50, mostFailures: 5, banSeconds: 60 },
  sources: [{ address: '127.40.0.200', trunk: 'lab', policy: 'p1' }],
  gateways: [],
  lines: [{ trunk: 'carrier', policy: 'p1', contactUser: '4930901820' }],
  logins: [{ user: 'pbx', ha1: 'fedcba9876543210fedcba9876543210', trunk: 'branch', policy: 'p2' }],
  subscribers: [
    {
      user: '1001',
      realm: 'holdfast.test',
      ha1: '0123456789abcdef0123456789abcdef',
      ha1Sha256: 'f'.repeat(64),
      identities: ['+4930'],
      policy: 'p2',
    },
  ],
  policies: [
    { id: 'p1', codecs: ['opus', 'G722', 'PCMA', 'PCMU'] },
    { id: 'p2', codecs: ['PCMA'] },
  ],
  defaultPolicy: 'p1',
  transfers: false,
  fenced: ['conference-2'],
};
const options: KamailioRendererOptions = {
  connections: () => ({ mostConnections: 200, strangerSilenceSeconds: 30 }),
  certificate: () => ({ certificate: '', key: '' }),
  tlsAfterFork: () => '/cache/tls-after-fork.so',
  plan: () => plan,
  domain: () => 'holdfast.test',
  leastExpiresSeconds: () => 60,
  homer: () => '192.0.2.60:9060',
  secrets,
  state: () => state,
};
const renderer = new KamailioRenderer(options);

function golden(path: string, content: string): void {
  const file = join(projectRoot, 'test/golden/kamailio', path);
  if (process.env['UPDATE_GOLDEN'] !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  assert.equal(content, readFileSync(file, 'utf8'), `${path} differs; if it should: UPDATE_GOLDEN=1`);
}

describe('The generator', () => {
  const setup = renderer.setup(
    plan.nodes.find(node => node.name === 'kamailio-2')!,
    '/var/lib/holdfast/kamailio-2',
  );

  for (const { path, content } of setup.files) it(`writes ${path} as it is known`, () => golden(path, content));

  it('writes secrets for their owner only', () => {
    for (const file of setup.files) assert.equal(file.mode & 0o077, 0, file.path);
  });

  it('runs Kamailio in the foreground as a user of its own', () => {
    assert.equal(setup.process.user, 'holdfast-kamailio');
    assert.ok(setup.process.args.includes('-DD'));
    assert.equal(setup.process.env, undefined);
  });

  it('has a Kamailio with TLS forget at each fork what OpenSSL holds for its parent', () => {
    const withTls = { ...plan, streams: { tls: 5061 } };
    const { process } = new KamailioRenderer({ ...options, plan: () => withTls }).setup(plan.nodes[0]!, '/folder');
    assert.deepEqual(process.env, { LD_PRELOAD: '/cache/tls-after-fork.so' });
    assert.deepEqual(process.args.slice(-2), ['-x', 'tlsf']);
  });
});

describe('Slots', () => {
  const names = (of: EdgeState): string[] => assignSlots(of).map(slot => slot.node.name);
  const without = (name: string): EdgeState => ({ ...state, nodes: state.nodes.filter(node => node.name !== name) });
  const as = (name: string, its: EdgeState['nodes'][number]['state']): EdgeState => ({
    ...state,
    nodes: state.nodes.map(node => (node.name === name ? { ...node, state: its } : node)),
  });

  it('keep their order whatever the states of the nodes are', () => {
    for (const its of ['up', 'suspect', 'dead', 'draining'] as const)
      assert.deepEqual(names(as('call-1', its)), names(state));
  });

  it('move only to or from the node that comes or goes', () => {
    const fewer = names(without('call-2'));
    names(state).forEach((name, i) => assert.ok(name === fewer[i] || name === 'call-2'));
  });

  it('do not depend on the order of the nodes', () => {
    assert.deepEqual(names({ ...state, nodes: [...state.nodes].reverse() }), names(state));
  });

  it('of suspects are used when nobody is up', () => {
    const slots = assignSlots(as('call-1', 'suspect')).filter(slot => slot.setid === 1);
    assert.ok(slots.filter(slot => slot.node.name === 'call-1').every(slot => slot.node.state === 'up'));
    assert.ok(slots.filter(slot => slot.node.name === 'call-2').every(slot => slot.node.state === 'draining'));
  });

  it('without any node are refused', () => {
    const none = { ...state, nodes: state.nodes.filter(node => node.farm !== 'registrar') };
    assert.throws(
      () => assignSlots(none),
      (error: unknown) => HoldfastError.is(error, 'DISPATCHER_REFUSED'),
    );
  });
});

describe('Tables', () => {
  const tables = renderTables(state, secrets);

  it("send a dead engine's dialogs to its successor's engine, and new calls to living ones", () => {
    assert.equal(tables.engines['e1-1'], 2);
    assert.equal(tables.engines['e1-3'], 1);
    assert.deepEqual([tables.engines['moved-e1-1'], tables.engines['moved-e1-3']], [1, undefined]);
    const chosen = Array.from({ length: 64 }, (_, i) => tables.engineslots[String(i)]);
    assert.deepEqual(new Set(chosen), new Set(['e2-2', 'e1-3']));
    assert.equal(tables.engineslots['other-e2-2'], 'e1-3');
  });

  it('bear another generation for another content, whatever the order of its rows', () => {
    const generation = (of: EdgeState): unknown => renderTables(of, secrets).sources['#generation'];
    assert.notEqual(generation({ ...state, sources: [] }), generation(state));
    const two = [...state.sources, { address: '127.40.0.201', trunk: 'lab', policy: 'p1' }];
    assert.equal(generation({ ...state, sources: two }), generation({ ...state, sources: [...two].reverse() }));
  });

  it('tell which Asterisks are dead, beside what they are called', () => {
    const nodes = state.nodes.map(
      node => ({ ...node, state: /^(call|rtpengine)-1$/.test(node.name) ? 'dead' : 'up' }) as const,
    );
    const rows = Object.entries(renderTables({ ...state, nodes }, secrets).nodes);
    const { address } = nodes.find(node => node.name === 'call-1')!;
    assert.deepEqual(
      rows.filter(([, name]) => name === 'call-1'),
      [
        [address, 'call-1'],
        [`dead-${address}`, 'call-1'],
      ],
    );
    assert.equal(rows.filter(([key]) => key.startsWith('dead-')).length, 1);
  });

  it('escape what db_text would read as the end of a column', () => {
    assert.match(formatTable({ 'a:b': 'c\\d' }), /^a\\:b:0:0:c\\\\d$/m);
  });
});
