// What the renderer writes for an Asterisk of each role, against golden files.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { AsteriskRenderer } from '../../asterisk/asterisk-renderer.js';
import { renderCallPjsip } from '../../asterisk/pjsip-conf.js';
import { plainRegistration } from '../../core/config/subscriber-schema.js';
import { planFarm, type FarmNode } from '../../core/farm/farm-plan.js';
import type { NodeSetup } from '../../core/ports/node-host.js';
import { projectRoot } from '../harness/project-root.js';

const plan = planFarm('127.40.0.0/24', { kamailio: 3, call: 2, conference: 2, registrar: 2, rtpengine: 2 });
const renderer = new AsteriskRenderer({
  plan: () => plan,
  prefix: '/opt/asterisk',
  domain: () => 'holdfast.test',
  ariPassword: node => `secret-of-${node}`,
  registration: () => plainRegistration,
  subscribers: () => [
    { user: '1001', realm: 'holdfast.test', ha1: '0123456789abcdef0123456789abcdef', ha1Sha256: '0'.repeat(64) },
    { user: '1002', realm: 'holdfast.test', ha1: 'fedcba9876543210fedcba9876543210', ha1Sha256: 'f'.repeat(64) },
  ],
  rtpTimeout: () => ({ seconds: 300, onHoldSeconds: 3600 }),
  trunks: () => [{ name: 'carrier', username: 'holdfast', secret: 'a;secret' }],
});

function nodeOf(name: string): FarmNode {
  const found = plan.nodes.find(node => node.name === name);
  assert.ok(found);
  return found;
}

const setupOf = (name: string): NodeSetup => renderer.setup(nodeOf(name), `/var/lib/holdfast/${name}`);

function golden(path: string, content: string): void {
  const file = join(projectRoot, 'test/golden/asterisk', path);
  if (process.env['UPDATE_GOLDEN'] !== undefined) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  assert.equal(content, readFileSync(file, 'utf8'), `${path} differs; if it should: UPDATE_GOLDEN=1`);
}

const ofTheRole = new Set(['modules.conf', 'pjsip.conf', 'extensions.conf']);
const said = (content: string): boolean => !content.startsWith(';');

for (const role of ['call', 'conference', 'registrar']) {
  describe(`The renderer, for a ${role} node`, () => {
    for (const { path, content } of setupOf(`${role}-1`).files.filter(file => ofTheRole.has(file.path)))
      it(`writes ${path} as it is known`, () => golden(`${role}/${path}`, content));
  });
}

describe('The renderer, for every node', () => {
  for (const { path, content } of setupOf('call-1')
    .files.filter(file => !ofTheRole.has(file.path) && file.encoding === undefined)
    .filter(file => said(file.content)))
    it(`writes ${path} as it is known`, () => golden(`all/${path}`, content));

  it('writes the same files for each role, for their owner only', () => {
    const paths = (name: string): string[] => setupOf(name).files.map(file => file.path);
    const isHeard = (path: string): boolean => /^(sounds\/|musiconhold)/.test(path);
    assert.deepEqual(paths('conference-1'), paths('call-1'));
    assert.deepEqual(
      paths('registrar-1'),
      paths('call-1').filter(path => !isHeard(path)),
    );
    for (const { path, mode } of setupOf('call-1').files) assert.equal(mode, 0o600, path);
  });

  it('runs Asterisk in the foreground as a user of its own', () => {
    const { command, args, user } = setupOf('call-1').process;
    assert.equal(command, '/opt/asterisk/sbin/asterisk');
    assert.deepEqual(args.slice(0, 2), ['-C', '/var/lib/holdfast/call-1/asterisk.conf']);
    assert.ok(args.includes('-f'));
    assert.equal(user, 'holdfast-asterisk');
  });

  it('gives each node an identity of its own', () => {
    const identities = plan.nodes
      .filter(({ farm }) => farm === 'call' || farm === 'conference' || farm === 'registrar')
      .map(({ name }) => setupOf(name).files.find(({ path }) => path === 'asterisk.conf')?.content)
      .map(content => /^entityid = (.*)$/m.exec(content ?? '')?.[1]);
    assert.equal(identities.length, 6);
    assert.equal(new Set(identities).size, 6);
    assert.match(identities[0] ?? '', /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  });

  it('listens on its own address only', () => {
    for (const name of ['call-2', 'conference-1', 'registrar-2']) {
      const binds = setupOf(name).files.flatMap(({ content }) => [...content.matchAll(/^bind(?:addr)? = ([\d.]+)/gm)]);
      assert.equal(binds.length, 2);
      for (const [, address] of binds) assert.equal(address, nodeOf(name).address);
    }
  });

  it('writes no secret that would go on in the next line', () => {
    const carrier = { name: 'carrier', username: 'holdfast', secret: 'a\n[intruder]' };
    const rtpTimeout = { seconds: 0, onHoldSeconds: 0 };
    const facts = { plan, node: nodeOf('call-1'), domain: 'holdfast.test', rtpTimeout };
    const write = (): string => renderCallPjsip(facts, [carrier]);
    assert.throws(write, /trunks\.carrier\.credentials\.secret must be one line/);
  });

  it('keeps no secret of a subscriber but its digest, and on registrars only', () => {
    const pjsip = (name: string): string =>
      setupOf(name).files.find(({ path }) => path === 'pjsip.conf')?.content ?? '';
    assert.match(pjsip('registrar-1'), /0123456789abcdef/);
    assert.doesNotMatch(pjsip('registrar-1'), /^password = /m);
    for (const name of ['call-1', 'conference-1']) assert.doesNotMatch(pjsip(name), /0123456789abcdef/);
    for (const name of ['registrar-1', 'conference-1']) assert.doesNotMatch(pjsip(name), /carrier/);
  });
});
