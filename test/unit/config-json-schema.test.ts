// The JSON Schema of a config file: it takes what Holdfast takes, refuses a typo, and explains every key.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Ajv, { type ValidateFunction } from 'ajv';
import { parse } from 'yaml';
import type { CliIo } from '../../core/cli/cli-io.js';
import { runCli } from '../../core/cli/cli.js';
import { schemaCommand } from '../../core/cli/commands/schema.js';
import { loadConfig } from '../../core/config/load-config.js';
import { silentLogger } from '../../core/log.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const examples = readdirSync(join(root, 'examples')).filter(name => name.endsWith('.yaml'));

/** What the command prints. */
async function printed(...args: string[]): Promise<unknown> {
  const output: string[] = [];
  const io: CliIo = {
    ...{ out: text => output.push(text), err: text => output.push(text) },
    ...{ interactive: false, colours: false, env: {}, ask: async () => undefined, onInterrupt: () => () => undefined },
  };
  const loadComposition = (): never => assert.fail('needs no composition');
  const code = await runCli(['schema', ...args], io, { commands: [schemaCommand], version: '0', loadComposition });
  assert.equal(code, 0, output.join(''));
  return JSON.parse(output.join(''));
}

/** Every place of the schema that is a key of the config, with what it says there. */
function* keys(schema: unknown, path: string): Generator<[path: string, key: Record<string, unknown>]> {
  if (typeof schema !== 'object' || schema === null) return;
  for (const [name, value] of Object.entries(schema)) {
    if (name !== 'properties') yield* keys(value, path);
    else {
      for (const [key, inner] of Object.entries(value as Record<string, Record<string, unknown>>)) {
        yield [`${path}.${key}`, inner];
        yield* keys(inner, `${path}.${key}`);
      }
    }
  }
}

const base = `domain: a.test
trunks: {lab: {sources: [.200], gateways: [.208]}}
subscribers: {"1001": {secret: 1234}}
`;

describe('the JSON Schema of a config', () => {
  let schema: object;
  let validate: ValidateFunction;
  let folder: string;
  before(async () => {
    schema = (await printed()) as object;
    validate = new Ajv({ allErrors: true }).compile(schema);
    folder = await mkdtemp(join(tmpdir(), 'holdfast-schema-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const complaints = (text: string): string[] => {
    validate(parse(text));
    return (validate.errors ?? []).map(({ dataPath, message }) => `${dataPath} ${message ?? ''}`);
  };

  for (const name of examples) {
    test(`takes examples/${name}, whose first line leads an editor to it`, () => {
      const path = join(root, 'examples', name);
      const text = readFileSync(path, 'utf8');
      assert.deepEqual(complaints(text), []);
      const named = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text)?.[1] ?? '';
      assert.deepEqual(JSON.parse(readFileSync(resolve(dirname(path), named), 'utf8')), schema);
    });
  }

  test('explains every key, also those of the built-in plugins', () => {
    const found = [...keys(schema, '')];
    for (const path of ['.farm.subnet', '.subscribers.secret', '.plugins.routing.routes.dial', '.plugins.registrar']) {
      assert.ok(
        found.some(([key]) => key === path),
        path,
      );
    }
    const silent = found.filter(([, { description }]) => typeof description !== 'string').map(([path]) => path);
    assert.deepEqual(silent, []);
  });

  const mistakes: readonly (readonly [what: string, text: string])[] = [
    ['a misspelt key at the top', `${base}domian: b.test\nplugins: {}`],
    ['a misspelt key inside', `${base}plugins: {}\nfarm: {kamailios: 3}`],
    ['a misspelt key of a plugin', `${base}plugins: {routing: {routes: [{dail: "1"}]}}`],
    ['a misspelt plugin', `${base}plugins: {rotuing: {routes: []}}`],
    ['an empty block under a name that no plugin has', `${base}plugins: {regsitrar: }`],
    ['a word that is none of the choices', `${base}plugins: {conference: {twoParty: callnode}}`],
    ['too many nodes', `${base}plugins: {}\nfarm: {kamailio: 10}`],
    ['text for a number', `${base}plugins: {}\nfarm: {kamailio: three}`],
    ['a plugin list that is missing', base],
  ];
  for (const [what, text] of mistakes) {
    test(`refuses ${what}, as holdfast check does`, async () => {
      const file = join(folder, 'mistake.yaml');
      await writeFile(file, text);
      assert.notDeepEqual(complaints(text), []);
      await assert.rejects(async () => new PluginHost({ log: silentLogger }).check(loadConfig(file, { env: {} })));
    });
  }

  test('takes ${NAME} wherever a value may stand', () => {
    const text = `${base}farm: {kamailio: "\${KAMAILIOS}", subnet: "\${SUBNET}"}
plugins: {session-recovery: {killFrozen: "\${KILL}", homer: {url: "http://\${HOMER}:9080", token: x}}}`;
    assert.deepEqual(complaints(text), []);
  });

  test('takes a stranger by its from, and knows its block once it is told which config loads it', async () => {
    const file = join(folder, 'stranger.yaml');
    const plugin = join(root, 'examples/hello-plugin');
    const text = (block: string): string => `${base}plugins: {hello-plugin: {from: ${plugin}, ${block}}}`;
    assert.deepEqual(complaints(text('anything: goes')), []);
    await writeFile(file, text('barred: ["7000"]'));
    const told = new Ajv().compile((await printed(file)) as object);
    assert.equal(told(parse(text('barred: ["7000"]'))), true);
    assert.equal(told(parse(text('anything: goes'))), false);
  });
});
