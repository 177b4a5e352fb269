// `holdfast render`: everything that is generated, the same each time, closed to others.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { renderFarm } from '../../core/cli/compose.js';
import type { RenderOptions } from '../../core/cli/composition.js';

const config = `domain: a.test
farm: {kamailio: 2, call: 1, conference: 1, registrar: 1, rtpengine: 1}
trunks: {lab: {sources: [.200], gateways: [.208], credentials: {username: us, secret: trunk-secret}}}
subscribers: {"1001": {secret: subscriber-secret}}
plugins: {registrar: , routing: }
`;

async function contents(folder: string): Promise<Record<string, string>> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = files.filter(one => one.isFile()).map(one => join(one.parentPath, one.name).slice(folder.length + 1));
  return Object.fromEntries(
    await Promise.all(paths.sort().map(async path => [path, await readFile(join(folder, path), 'utf8')] as const)),
  );
}

describe('a rendering', () => {
  let folder: string;
  let out: string;
  let configPath: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-render-'));
    out = join(folder, 'out');
    configPath = join(folder, 'test.yaml');
    await writeFile(configPath, config);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const render = (more: Partial<RenderOptions> = {}): Promise<readonly string[]> =>
    renderFarm({
      ...{ configPath, subnet: undefined, outFolder: out, keyFile: undefined, nodeFolder: undefined },
      ...more,
    });

  test('has the files of every node, the balancer and an inventory, all closed to others', async () => {
    const files = await render();
    for (const path of ['kamailio-2/kamailio.cfg', 'call-1/pjsip.conf', 'rtpengine-1/rtpengine.conf', 'balancer.nft']) {
      assert.ok(files.includes(path), path);
    }
    const written = await contents(out);
    assert.deepEqual(Object.keys(written), [...files, 'secrets.json'].sort());
    for (const path of Object.keys(written)) assert.equal((await stat(join(out, path))).mode & 0o777, 0o600, path);
    assert.equal((await stat(out)).mode & 0o777, 0o700);
  });

  test('says in its inventory what starts each server, as whom, and how it takes a changed file', async () => {
    const { nodes } = JSON.parse(await readFile(join(out, 'farm.json'), 'utf8')) as {
      nodes: { name: string; command: string; args: string[]; user: string; files: object[] }[];
    };
    assert.equal(nodes.length, 6);
    const call = nodes.find(({ name }) => name === 'call-1');
    assert.match(call?.command ?? '', /\/sbin\/asterisk$/);
    assert.ok(call?.args.includes(`${out}/call-1/asterisk.conf`));
    assert.equal(call?.user, 'holdfast-asterisk');
    assert.deepEqual(
      call.files.find(file => 'path' in file && file.path === 'pjsip.conf'),
      { path: 'pjsip.conf', mode: '0600', reload: 'endpoint-reload' },
    );
  });

  test('shows a secret to the servers that need it only', async () => {
    const written = await contents(out);
    const having = (text: string): string[] => Object.keys(written).filter(path => written[path]?.includes(text));
    assert.deepEqual(having('trunk-secret'), ['call-1/pjsip.conf']);
    assert.deepEqual(having('subscriber-secret'), []);
  });

  test('is the same when it is made again, and what is the same is not written again', async () => {
    const [before, cfg] = [await contents(out), join(out, 'kamailio-1/kamailio.cfg')];
    const { mtimeMs, ino } = await stat(cfg);
    await render();
    assert.deepEqual(await contents(out), before);
    assert.deepEqual({ mtimeMs, ino }, { mtimeMs: (await stat(cfg)).mtimeMs, ino: (await stat(cfg)).ino });
  });

  test('is the same in another folder, with the same key, for the same place', async () => {
    const other = join(folder, 'other');
    await render({ outFolder: other, keyFile: join(out, 'secrets.json'), nodeFolder: out });
    const { 'secrets.json': _key, ...first } = await contents(out);
    assert.deepEqual(await contents(other), first);
  });

  test('has other secrets with another key', async () => {
    const other = join(folder, 'stranger');
    await render({ outFolder: other, nodeFolder: out });
    const [one, two] = [await contents(out), await contents(other)];
    assert.notEqual(one['call-1/ari.conf'], two['call-1/ari.conf']);
    assert.equal(one['call-1/pjsip.conf'], two['call-1/pjsip.conf']);
  });

  test('loses the files of nodes that are gone, and no others', async () => {
    await writeFile(join(out, 'notes.txt'), 'mine');
    await writeFile(configPath, config.replace('kamailio: 2', 'kamailio: 1'));
    await render();
    const left = Object.keys(await contents(out));
    assert.ok(left.includes('notes.txt'));
    assert.ok(left.includes('kamailio-1/kamailio.cfg'));
    assert.deepEqual(
      left.filter(path => path.startsWith('kamailio-2')),
      [],
    );
    assert.ok(!(await readdir(out)).includes('kamailio-2'));
  });

  test('refuses a folder that cannot be made, by its path, and does not look for it for ever', async () => {
    for (const outFolder of ['/proc/holdfast', '/proc/holdfast/out', join(configPath, 'out')]) {
      const refused = { code: 'HOST_FAILED', message: new RegExp(`cannot make ${outFolder}`) };
      await assert.rejects(render({ outFolder }), refused);
    }
  });

  test('refuses a key that is none, by its path', async () => {
    const keyFile = join(folder, 'nothing.json');
    await assert.rejects(render({ keyFile }), { code: 'HOST_FAILED', message: /nothing\.json/ });
  });
});
