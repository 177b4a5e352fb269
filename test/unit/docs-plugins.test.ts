// The examples in docs/plugins.md are plugins: each loads with the config block that stands below it, and starts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import type { IncomingCall } from '../../core/plugin-api.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';

const guide = readFileSync(fileURLToPath(new URL('../../../docs/plugins.md', import.meta.url)), 'utf8');
const blocks = [...guide.matchAll(/^```(js|yaml)\n(.*?)^```/gms)].map(([, kind, text]) => ({ kind, text: text ?? '' }));
const examples = blocks.flatMap(({ kind, text }, i) => {
  const name = /name: '([a-z-]+)'/.exec(text)?.[1];
  const config = blocks.slice(i + 1).find(block => block.kind === 'yaml')?.text;
  return kind === 'js' && name !== undefined && config !== undefined ? [{ name, source: text, config }] : [];
});

const surroundings = `domain: holdfast.test
subscribers: {"1001": {secret: a}}
trunks: {lab: {sources: [.200], gateways: [.208]}}
`;
const call: IncomingCall = {
  ...{ id: 'c1', sipCallId: 'x@y', callerNumber: '2', callerName: '', dialled: '7000', privacy: [], headers: {} },
  source: { kind: 'trunk', trunk: 'lab' },
};

describe('the plugin guide', () => {
  let folder: string;
  let host: PluginHost;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-guide-'));
    host = new PluginHost({ log: silentLogger });
    for (const { name, source } of examples) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'package.json'), '{"type": "module", "exports": "./index.js"}');
      await writeFile(join(folder, name, 'index.js'), source);
    }
  });
  after(async () => {
    await host.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (plugins: string): Promise<void> => {
    const file = join(folder, 'config.yaml');
    await writeFile(file, surroundings + plugins);
    await host.reload(loadConfig(file, { env: {} }));
  };

  test('has examples', () => {
    assert.deepEqual(
      examples.map(({ name }) => name),
      ['greeter', 'support-line', 'languages', 'opening-hours', 'night-desk'],
    );
  });

  for (const { name, config } of examples) {
    test(`its example ${name} loads and starts with its config block`, async () => {
      await start(config);
      assert.ok(host.plugins.includes(name));
    });
  }

  test('its first plugin refuses a closed number and leaves the others to routing', async () => {
    await start(examples[0]?.config ?? '');
    assert.deepEqual(await host.ask('route', call), { reject: 480, reason: 'the office is closed' });
    assert.match(JSON.stringify(await host.ask('route', { ...call, dialled: '7001' })), /connect/);
  });

  test('its action is one that a flow may have', async () => {
    await start(`flows: { greet: [{ action: language_guess, otherwise: fr }] }\n${examples[2]?.config ?? ''}`);
    assert.ok(host.actions.has('language_guess'));
    assert.deepEqual(host.flows.get('greet'), [{ action: 'language_guess', otherwise: 'fr' }]);
  });

  test('its flow is an answer that the host takes', async () => {
    await start(examples[1]?.config ?? '');
    const answer = await host.ask('route', { ...call, dialled: 'support' });
    assert.ok(answer && 'flow' in answer);
    assert.deepEqual(
      answer.flow.map(({ action }) => action),
      ['connect', 'conference_join'],
    );
  });
});
