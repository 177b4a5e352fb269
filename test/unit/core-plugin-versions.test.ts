// Plugins of other versions of the plugin API: those of the one before run and hear what is deprecated, the others are refused.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { pluginApiVersion } from '../../core/plugin-api.js';
import { lostCall, TestHost } from '../../core/testing/index.js';

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'holdfast-versions-'))));
after(() => rm(folder, { recursive: true, force: true }));

/** A config with one plugin, whose module is this. */
async function withModule(name: string, text: string): Promise<{ folder: string; config: string }> {
  await writeFile(join(folder, `${name}.mjs`), text);
  return { folder, config: `plugins:\n  ${name}: { from: ./${name}.mjs }\n` };
}

const old = (name: string): Promise<{ folder: string; config: string }> =>
  withModule(
    name,
    `import { definePlugin, z } from 'holdfast/plugin-api';
     export default definePlugin({ name: '${name}', apiVersion: ${pluginApiVersion - 1}, config: z.strictObject({}), startTimeoutMs: 40,
       setup({ hook }) { hook('recover', () => ({ priority: 1, target: 'call-2' })); } });`,
  );

const of = (name: string): string[] => [
  `plugin ${name}: apiVersion 1 is deprecated and goes with plugin API 3: use 2, once it was tested with that`,
  `plugin ${name}: property startTimeoutMs is deprecated and goes with plugin API 3: use setupTimeoutMs`,
];

describe('a plugin written for the API before this one', () => {
  test('runs, and what it uses in its old words counts', async () => {
    const host = await TestHost.start(await old('old'));
    assert.deepEqual(await host.ask('recover', lostCall()), { priority: 1, node: 'call-2' });
    await host.stop();
    const late = await withModule(
      'late',
      `export default { name: 'late', apiVersion: 1, config: { safeParse: data => ({ success: true, data }) }, startTimeoutMs: 20,
         setup: () => new Promise(() => {}) };`,
    );
    await assert.rejects(TestHost.start(late), /plugin late: its setup was not done after 20 ms/);
  });

  test('is told once in the log what is deprecated, however often it is used, and however often it is reloaded', async () => {
    const options = await old('old');
    const host = await TestHost.start(options);
    for (let i = 0; i < 3; i++) await host.ask('recover', lostCall());
    await host.reload(options.config);
    await host.ask('recover', lostCall());
    await host.stop();
    const warnings = host.logged({ level: 'warn', plugin: 'old' }).map(({ message }) => message);
    const answer = "plugin old: recover answer's target is deprecated and goes with plugin API 3: use node";
    assert.deepEqual(warnings, [...of('old'), answer]);
  });

  test('is told by a check, which asks no hook, what of it is deprecated', async () => {
    assert.deepEqual(await TestHost.check(await old('old')), of('old'));
  });

  test('keeps the methods of its class', async () => {
    const options = await withModule(
      'classy',
      `import { z } from 'holdfast/plugin-api';
       class Classy { name = 'classy'; apiVersion = 1; config = z.strictObject({}); startTimeoutMs = 40;
         setup({ hook }) { hook('route', () => ({ reject: 486, reason: this.name })); } }
       export default new Classy();`,
    );
    const host = await TestHost.start(options);
    assert.deepEqual(await host.route(), { reject: 486, reason: 'classy' });
    await host.stop();
  });
});

describe('a plugin written for this API', () => {
  test('has nothing that is deprecated', async () => {
    const text = `export default { name: 'new', apiVersion: ${pluginApiVersion}, config: { safeParse: data => ({ success: true, data }) }, setup() {} };`;
    assert.deepEqual(await TestHost.check(await withModule('new', text)), []);
  });

  test('answers in its words only', async () => {
    const options = await withModule(
      'mixed',
      `import { definePlugin, z } from 'holdfast/plugin-api';
       export default definePlugin({ name: 'mixed', apiVersion: ${pluginApiVersion}, config: z.strictObject({}),
         setup({ hook }) { hook('recover', () => ({ target: 'call-2' })); } });`,
    );
    const host = await TestHost.start(options);
    await assert.rejects(host.ask('recover', lostCall()), /plugin mixed: its answer to the hook recover is not one/);
    await host.stop();
  });
});

test('a plugin that imports what a newer API has is refused, with what it wants and a remedy', async () => {
  const options = await withModule(
    'future',
    `import { bindigns } from 'holdfast/plugin-api';\nexport default bindigns;`,
  );
  await assert.rejects(TestHost.start(options), (error: unknown) => {
    assert.ok(HoldfastError.is(error, 'PLUGIN_INVALID'));
    assert.match(
      error.message,
      /test\.yaml:2:3: plugins\.future: .*it imports bindigns, which plugin API 2 of this Holdfast/,
    );
    assert.match(error.message, /did you mean "bindings"\?/);
    assert.match(error.remedy ?? '', /update Holdfast/);
    return true;
  });
});
