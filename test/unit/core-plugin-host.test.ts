// The plugin host: contract, order, deadlines, hooks, events, services, reload; with real plugins imported from a folder.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { IncomingCall, OutgoingLeg, TranscodingPolicies } from '../../core/plugin-api.js';
import { transcodingPolicies } from '../../core/plugin-api.js';
import { loadConfig } from '../../core/config/load-config.js';
import { HoldfastError, type ErrorCode } from '../../core/errors.js';
import { createLogger } from '../../core/log.js';
import { PluginHost } from '../../core/plugins/plugin-host.js';

const examples = fileURLToPath(new URL('../../../examples/', import.meta.url));

let folder: string;
let host: PluginHost;
let lines: string[];
let round = 0;

before(async () => void (folder = await mkdtemp(join(tmpdir(), 'holdfast-plugins-'))));
after(() => rm(folder, { recursive: true, force: true }));
beforeEach(() => {
  lines = [];
  (globalThis as { told?: string[] }).told = [];
  const log = createLogger({ level: 'info', destination: { write: line => void lines.push(line) } });
  host = new PluginHost({ log, hookTimeoutMs: 50, stopTimeoutMs: 50 });
});
afterEach(() => host.stop());

/** What plugins of these tests write to `globalThis.told`. */
const told = (): string[] => (globalThis as unknown as { told: string[] }).told;

/** Writes a plugin whose definition is this JavaScript, and returns its `from`. */
async function plugin(name: string, definition: string): Promise<string> {
  const path = join(folder, `${name}-${++round}.mjs`);
  await writeFile(
    path,
    `import { definePlugin, serviceToken, z, HoldfastError } from 'holdfast/plugin-api';
     const tell = text => globalThis.told.push(text);
     export default definePlugin({ name: '${name}', apiVersion: 2, config: z.strictObject({}), setup() {}, ${definition} });`,
  );
  return path;
}

async function config(plugins: string): Promise<ReturnType<typeof loadConfig>> {
  const file = join(folder, 'farm.yaml');
  const head = `domain: a.test
subscribers: {"1001": {secret: x}, "1002": {secret: x}}
trunks: {lab: {gateways: [.208]}}
plugins:\n`;
  await writeFile(file, head + plugins);
  return loadConfig(file, { env: {} });
}

/** A config with these plugins, in this order. */
async function plugins(definitions: Record<string, string>): Promise<ReturnType<typeof loadConfig>> {
  const blocks: string[] = [];
  for (const [name, definition] of Object.entries(definitions)) {
    blocks.push(`  ${name}: {from: ${await plugin(name, definition)}}\n`);
  }
  return config(blocks.join(''));
}

const call: IncomingCall = {
  ...{ id: 'c1', sipCallId: 'x@y', dialled: '1', callerNumber: '2', callerName: '', privacy: [], headers: {} },
  source: { kind: 'trunk', trunk: 'lab' },
};

const target = { uri: 'sip:1@b.test' };
const leg: OutgoingLeg = { call, routeName: 'r', target, callerNumber: '2', callerName: '', headers: {} };

const fails =
  (code: ErrorCode, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(HoldfastError.is(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };

const answers = (reject: number): string =>
  `setup: ({hook}) => hook('route', () => ({reject: ${reject}, reason: 'r'}))`;

describe('loading plugins', () => {
  test('the built-in ones of examples/local.yaml start, and route a call', async () => {
    await host.start(loadConfig(join(examples, 'local.yaml'), { env: {} }));
    assert.deepEqual(host.plugins, ['transcoding-policy', 'conference', 'routing', 'registrar', 'session-recovery']);
    const route = async (dialled: string): Promise<unknown> => host.ask('route', { ...call, dialled });
    assert.match(JSON.stringify(await route('70001')), /sip:70001@127\.40\.0\.208:5060/);
    assert.match(JSON.stringify(await route('8123')), /conference_join.*8123/);
    assert.match(JSON.stringify(await route('9001')), /echo/);
    assert.match(JSON.stringify(await route('1001')), /480/);
    assert.equal(await route('5'), undefined);
    assert.deepEqual(await host.ask('place', { id: 'c', callNodes: ['call-1'] }), { mixing: 'call-node' });
    const policies: TranscodingPolicies | undefined = host.service(transcodingPolicies);
    assert.equal(policies?.policies.length, 1);
  });

  test('one that is not there is named, with what there is', async () => {
    await assert.rejects(
      host.start(await config('  routign: {}\n')),
      fails('PLUGIN_NOT_FOUND', /farm\.yaml:5:3: plugins\.routign: .*did you mean "routing"\?/),
    );
    await assert.rejects(
      host.start(await config('  x: {from: ./nowhere}\n')),
      fails('PLUGIN_NOT_FOUND', /plugin x: nothing can be loaded from .*nowhere/),
    );
    await assert.rejects(
      host.start(await config('  x: {from: no-such-package-here}\n')),
      fails('PLUGIN_NOT_FOUND', /plugin x: there is no package "no-such-package-here"/),
    );
  });

  const broken: Record<string, readonly [definition: string, message: RegExp]> = {
    'for a newer API': [
      'apiVersion: 3, aNewProperty: 1',
      /plugin bad: it was written for plugin API 3; this Holdfast has 2/,
    ],
    'for an API that is gone': ['apiVersion: 0', /it was written for plugin API 0; this Holdfast takes 1 and 2/],
    'without an API version': ['apiVersion: undefined', /apiVersion: .*expected (number|int)/],
    'with a name of the API before its own': [
      'startTimeoutMs: 1',
      /startTimeoutMs: unknown property \(did you mean "setupTimeoutMs"\?\)/,
    ],
    'with a misspelled property': ['provide: []', /provide: unknown property \(did you mean "provides"\?\)/],
    'without a schema': ['config: {}', /config: must be a zod schema/],
    'without a setup': ['setup: 1', /setup: must be a function/],
    'with another name': [`name: 'good'`, /it calls itself "good"/],
    'that does not parse': ['}); syntax error here ({', /it could not be imported/],
    'that imports what is not there': [`x: await import('./none.mjs')`, /it could not be imported.*none\.mjs/],
    'that promises a service it does not provide': [`provides: [serviceToken('s')]`, /promised the service s/],
    'that provides what it did not promise': [
      `setup: ({provide}) => provide(serviceToken('s'), 1)`,
      /it provides s without naming it in "provides"/,
    ],
    'that answers an unknown hook': [
      `setup: ({hook}) => hook('rout', () => 1)`,
      /no hook "rout": route, dial, redirect, refer, place/,
    ],
    'that answers a hook twice': [
      `setup: ({hook}) => { hook('route', () => {}); hook('route', () => {}); }`,
      /the hook route twice/,
    ],
  };
  for (const [name, [definition, message]] of Object.entries(broken)) {
    test(`one ${name} is refused, by name and place`, async () => {
      const bad = await plugins({ bad: definition });
      await assert.rejects(host.start(bad), (error: unknown) => {
        assert.ok(HoldfastError.is(error));
        assert.ok(['PLUGIN_INVALID', 'PLUGIN_FAILED'].includes(error.code));
        assert.match(error.message, /farm\.yaml:5:3: plugins\.bad: /);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(host.plugins, []);
    });
  }

  test('a module without a plugin in it is refused', async () => {
    const path = join(folder, 'empty.mjs');
    await writeFile(path, 'export const x = 1;');
    await assert.rejects(
      host.start(await config(`  x: {from: ${path}}\n`)),
      fails('PLUGIN_INVALID', /no default export/),
    );
  });

  test('mistakes in config blocks are told with their place, all at once, and check() runs no setup', async () => {
    const from = await plugin(
      'strict',
      `config: z.strictObject({codec: z.enum(['a', 'b']), n: z.number()}), setup: () => tell('setup')`,
    );
    const wrong = await config(
      `  strict: {from: ${from}, codecs: a, n: x}\n  routing:\n    routes:\n      - {dial: 7xxxx, to: [{trunk: labb}]}\n`,
    );
    await assert.rejects(host.check(wrong), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'CONFIG_INVALID'));
      const told = error.message.split('\n').map(line => line.replace(/^.*farm\.yaml/, ''));
      assert.equal(told.length, 4);
      assert.match(told.join('\n'), /:5:3: plugins\.strict\.codec: is missing/);
      assert.match(told.join('\n'), /plugins\.strict\.codecs: unknown key \(did you mean "codec"\?\)/);
      assert.match(told.join('\n'), /plugins\.strict\.n: must be a number, is text/);
      assert.match(told.join('\n'), /:8:36: plugins\.routing\.routes\[0\]\.to\[0\]\.trunk: there is no trunk "labb"/);
      return true;
    });
    assert.deepEqual(told(), []);
  });

  test('defaults of a schema reach the setup', async () => {
    await host.start(
      await plugins({
        a: `config: z.strictObject({n: z.number().default(5)}), setup: ({config}) => tell(String(config.n))`,
      }),
    );
    assert.deepEqual(told(), ['5']);
  });
});

describe('examples/hello-plugin', () => {
  const block = `barred: ['7666'], echo: '9009'`;
  const tries = async (): Promise<void> => {
    assert.deepEqual(await host.ask('route', { ...call, dialled: '7666' }), { reject: 603, reason: '7666 is barred' });
    const echo = { flow: [{ action: 'echo' }], routeName: 'hello' };
    assert.deepEqual(await host.ask('route', { ...call, dialled: '9009' }), echo);
    assert.match(JSON.stringify(await host.ask('route', { ...call, dialled: '70001' })), /70001@127\.40\.0\.208/);
    host.emit('call.started', call);
    assert.ok(lines.some(line => /"plugin":"hello-plugin".*"call":"c1".*hello, 2/.test(line)));
  };
  const routing = `  routing: {routes: [{dial: 7xxxx, to: [{trunk: lab}]}]}\n`;

  test('runs from its path', async () => {
    await host.start(await config(`  hello-plugin: {from: ${join(examples, 'hello-plugin')}, ${block}}\n${routing}`));
    await tries();
  });

  test('runs as a package installed beside the config file', async () => {
    await mkdir(join(folder, 'node_modules'), { recursive: true });
    await symlink(join(examples, 'hello-plugin'), join(folder, 'node_modules', 'holdfast-hello-plugin'));
    await host.start(await config(`  hello-plugin: {from: holdfast-hello-plugin, ${block}}\n${routing}`));
    await tries();
  });
});

describe('starting and stopping', () => {
  test('sets providers up before users, and stops the other way round', async () => {
    const traced = (name: string, more: string): string =>
      `setup: ({provide, use, find, onStop}) => { tell('start ${name}'); onStop(() => tell('stop ${name}')); ${more} }`;
    const set = await plugins({
      user: `needs: [serviceToken('a')], wants: [serviceToken('none')], ${traced('user', `tell(use(serviceToken('a')) + find(serviceToken('none')))`)}`,
      provider: `provides: [serviceToken('a')], ${traced('provider', `provide(serviceToken('a'), 'service')`)}`,
    });
    await host.start(set);
    assert.deepEqual(host.plugins, ['user', 'provider']);
    await host.stop();
    assert.deepEqual(told(), ['start provider', 'start user', 'serviceundefined', 'stop user', 'stop provider']);
  });

  test('a need that nobody provides, a circle, and two providers are refused before any setup', async () => {
    const tell = `setup: () => tell('setup')`;
    const missing = await plugins({ a: `needs: [serviceToken('s')], ${tell}` });
    await assert.rejects(host.start(missing), fails('SERVICE_MISSING', /plugin a: it needs the service s/));
    const circle = await plugins({
      a: `needs: [serviceToken('b')], provides: [serviceToken('a')], ${tell}`,
      b: `needs: [serviceToken('a')], provides: [serviceToken('b')], ${tell}`,
    });
    await assert.rejects(host.start(circle), fails('PLUGIN_INVALID', /in a circle: a → b → a/));
    const twice = await plugins({
      a: `provides: [serviceToken('s')], ${tell}`,
      b: `provides: [serviceToken('s')], ${tell}`,
    });
    await assert.rejects(host.start(twice), fails('PLUGIN_INVALID', /plugin b: it provides the service s, which a/));
    assert.deepEqual(told(), []);
  });

  test('a service that was not named in needs cannot be used', async () => {
    const set = await plugins({ a: `setup: ({use}) => use(serviceToken('directory'))` });
    await assert.rejects(host.start(set), fails('SERVICE_MISSING', /without naming it in "needs"/));
  });

  test('a failed start cleans up what was started, also of the one that failed', async () => {
    const set = await plugins({
      a: `setup: ({onStop}) => onStop(() => tell('clean a'))`,
      b: `setup: ({onStop}) => { onStop(() => tell('clean b')); throw new Error('no luck'); }`,
      c: `setup: () => tell('never')`,
    });
    await assert.rejects(host.start(set), fails('PLUGIN_FAILED', /plugin b: its setup failed: no luck/));
    assert.deepEqual(told(), ['clean b', 'clean a']);
  });

  test('a setup that is late is named, and cleaned up even after what it opens later', async () => {
    const set = await plugins({
      slow: `setupTimeoutMs: 20, setup: async ({onStop}) => {
        await new Promise(resolve => setTimeout(resolve, 60)); onStop(() => tell('late clean-up')); }`,
    });
    await assert.rejects(host.start(set), fails('PLUGIN_TIMEOUT', /plugin slow: its setup was not done after 20 ms/));
    await new Promise(resolve => setTimeout(resolve, 80));
    assert.deepEqual(told(), ['late clean-up']);
  });

  test('clean-ups that throw or hang are logged by name and do not stop the others', async () => {
    const set = await plugins({
      a: `setup: ({onStop}) => onStop(() => tell('a'))`,
      b: `setup: ({onStop}) => { onStop(() => new Promise(() => {})); onStop(() => { throw new Error('x'); }); }`,
    });
    await host.start(set);
    await host.stop();
    assert.deepEqual(told(), ['a']);
    assert.ok(lines.some(line => line.includes('clean-up of b was late')));
    assert.ok(lines.some(line => line.includes('clean-up of b failed')));
  });
});

describe('hooks and events', () => {
  test('are asked in config order, and the first answer wins', async () => {
    const set = await plugins({
      silent: `setup: ({hook}) => hook('route', () => { tell('silent asked'); })`,
      first: answers(486),
      second: answers(603),
    });
    await host.start(set);
    assert.deepEqual(await host.ask('route', call), { reject: 486, reason: 'r' });
    assert.deepEqual(told(), ['silent asked']);
    assert.equal(await host.ask('place', { id: 'x', callNodes: [] }), undefined);
  });

  test('every hook of the API can be answered', async () => {
    const set = await plugins({
      a: `setup: ({hook}) => { for (const name of ['route', 'dial', 'place', 'recover']) hook(name, () => { tell(name); }); }`,
    });
    await host.start(set);
    await host.ask('route', call);
    await host.askAll('dial', leg);
    await host.ask('place', { id: 'x', callNodes: [] });
    await host.ask('recover', { ...call, node: 'call-1', emergency: false, sessions: 1, priority: 0, dryRun: false });
    assert.deepEqual(told(), ['route', 'dial', 'place', 'recover']);
  });

  test('all that answer dial are heard, in config order', async () => {
    const set = await plugins({
      number: `setup: ({hook}) => hook('dial', () => ({callerNumber: '+1'}))`,
      silent: `setup: ({hook}) => hook('dial', () => undefined)`,
      header: `setup: ({hook}) => hook('dial', ({target}) => ({headers: {set: {'X-Uri': target.uri}}}))`,
    });
    await host.start(set);
    const header = { headers: { set: { 'X-Uri': 'sip:1@b.test' } } };
    assert.deepEqual(await host.askAll('dial', leg), [{ callerNumber: '+1' }, header]);
  });

  test('a hook that throws fails that question only, by plugin and hook', async () => {
    const set = await plugins({
      bad: `setup: ({hook}) => hook('route', call => { if (call.dialled === '1') throw new Error('oops'); })`,
    });
    await host.start(set);
    await assert.rejects(host.ask('route', call), fails('PLUGIN_FAILED', /plugin bad: the hook route failed: oops/));
    assert.equal(await host.ask('route', { ...call, dialled: '2' }), undefined);
  });

  test('a hook that is late is aborted and named', async () => {
    const set = await plugins({
      slow: `setup: ({hook}) => hook('route', (call, signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => { tell('aborted'); reject(signal.reason); })))`,
    });
    await host.start(set);
    await assert.rejects(host.ask('route', call), fails('PLUGIN_TIMEOUT', /plugin slow: no answer to the hook route/));
    assert.deepEqual(told(), ['aborted']);
  });

  const connecting = (headers: string): string =>
    `({routeName: 'x', flow: [{action: 'connect', strategy: 'at-once', targets: [{uri: 'sip:a@b', headers: ${headers}}]}]})`;
  const wrongAnswers: readonly (readonly [answer: string, message: RegExp])[] = [
    [`({reject: 200, reason: ''})`, /reject/],
    [`({reject: '486', reason: ''})`, /reject/],
    [`'busy'`, /Invalid input/],
    [`({routeName: 'x', flow: [{action: 'conect'}]})`, /flow\.0\.action/],
    [`({routeName: 'x', flow: [{action: 'connect', strategy: 'at-once', targets: []}]})`, /targets/],
    [
      `({routeName: 'x', flow: [{action: 'connect', strategy: 'at-once', targets: [{uri: 'sip:a@b\\r\\nX: y'}]}]})`,
      /uri: must be a SIP URI/,
    ],
    [connecting(`{set: {'From': 'x'}}`), /targets\.0\.headers\.set\.From: From is Holdfast's own/],
    [connecting(`{set: {'X-A': 'x\\r\\nVia: y'}}`), /headers\.set\.X-A: must not have control characters/],
    [connecting(`{remove: ['a b']}`), /"a b" is no header name/],
  ];
  for (const [answer, message] of wrongAnswers) {
    test(`an answer that is none (${answer}) fails with the plugin's name`, async () => {
      await host.start(await plugins({ bad: `setup: ({hook}) => hook('route', () => ${answer})` }));
      await assert.rejects(host.ask('route', call), (error: unknown) => {
        return (
          fails('PLUGIN_FAILED', /plugin bad: its answer to the hook route is not one/)(error) &&
          fails('PLUGIN_FAILED', message)(error)
        );
      });
    });
  }

  test('listeners that throw are logged by plugin and do not stop the others, and are gone after the stop', async () => {
    const set = await plugins({
      bad: `setup: ({on}) => { on('call.started', () => { throw new Error('x'); }); on('call.started', async () => { throw new Error('y'); }); }`,
      good: `setup: ({on}) => on('call.started', call => tell(call.id))`,
    });
    await host.start(set);
    host.emit('call.started', call);
    await new Promise(resolve => setImmediate(resolve));
    assert.deepEqual(told(), ['c1']);
    assert.equal(lines.filter(line => line.includes('listener of plugin bad for call.started failed')).length, 2);
    await host.stop();
    host.emit('call.started', call);
    assert.deepEqual(told(), ['c1']);
  });
});

describe('reload', () => {
  test('swaps to the new set only when all of it is up, and then stops the old one', async () => {
    const version = (n: number): string =>
      `setup: ({hook, onStop}) => { tell('start ${n}'); onStop(() => tell('stop ${n}')); hook('route', () => ({reject: ${400 + n}, reason: 'r'})); }`;
    await host.start(await plugins({ a: version(1) }));
    await assert.rejects(host.reload(await plugins({ a: version(2), b: `setup: () => { throw new Error('no'); }` })));
    assert.deepEqual(await host.ask('route', call), { reject: 401, reason: 'r' });
    await host.reload(await plugins({ a: version(3) }));
    assert.deepEqual(await host.ask('route', call), { reject: 403, reason: 'r' });
    assert.deepEqual(told(), ['start 1', 'start 2', 'stop 2', 'start 3', 'stop 1']);
  });

  test('lets a question that is being asked end with the set that it began with', async () => {
    const slow = `setup: ({hook, onStop}) => { onStop(() => tell('stop')); hook('route', async () => {
      await new Promise(resolve => setTimeout(resolve, 20)); tell('answered'); return {reject: 486, reason: 'old'}; }); }`;
    await host.start(await plugins({ a: slow }));
    const asking = host.ask('route', call);
    await host.reload(await plugins({ a: answers(603) }));
    assert.deepEqual(await asking, { reject: 486, reason: 'old' });
    assert.deepEqual(told(), ['answered', 'stop']);
  });

  test('takes a changed file of a plugin', async () => {
    const from = await plugin('a', answers(486));
    const block = await config(`  a: {from: ${from}}\n`);
    await host.start(block);
    const newer = await plugin('a', answers(603));
    await rm(from);
    await symlink(newer, from);
    await utimes(newer, new Date(), new Date(Date.now() + 10_000));
    await host.reload(block);
    assert.deepEqual(await host.ask('route', call), { reject: 603, reason: 'r' });
    assert.equal(dirname(from), folder);
  });
});
