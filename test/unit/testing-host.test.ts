// The test kit for plugins: it runs them as the daemon does, with a test's config, services and clock.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { location, serviceToken } from '../../core/plugin-api.js';
import { callDetailRecord, given, incomingCall, TestHost, type TestHostOptions } from '../../core/testing/index.js';

let folder: string;
let host: TestHost | undefined;
let round = 0;
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'holdfast-kit-'))));
after(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

/** Starts a plugin `p` whose definition is this JavaScript. */
async function start(definition: string, options: Partial<TestHostOptions> = {}): Promise<TestHost> {
  const file = `p-${++round}.mjs`;
  await writeFile(
    join(folder, file),
    `import { definePlugin, location, serviceToken, z } from 'holdfast/plugin-api';
     export default definePlugin({ name: 'p', apiVersion: 2, config: z.looseObject({}), ${definition} });`,
  );
  host = await TestHost.start({ folder, config: `plugins:\n  p: { from: ./${file} }\n`, ...options });
  return host;
}

describe('a TestHost', () => {
  test('starts plugins with the text of a config, and asks their hooks in its order', async () => {
    const kit = await start(
      `setup({ hook }) { hook('route', ({ dialled }) => dialled === '1' ? { reject: 486, reason: 'r' } : undefined); }`,
    );
    await kit.reload(
      `plugins:\n  p: { from: ./p-${round}.mjs }\n  routing: { routes: [{ dial: X., to: [{ trunk: lab }] }] }\n`,
    );
    assert.deepEqual(kit.plugins, ['p', 'routing']);
    assert.deepEqual(await kit.route({ dialled: '1' }), { reject: 486, reason: 'r' });
    assert.match(JSON.stringify(await kit.route({ dialled: '22' })), /sip:22@127\.40\.0\.208:5060/);
  });

  test('names file, line and column of what is wrong in the config, those of the text', async () => {
    const wrong = { folder, config: `\n\nplugins:\n  routing: { route: [] }\n` };
    for (const run of [() => TestHost.start(wrong), () => TestHost.check(wrong)]) {
      await assert.rejects(run, (error: unknown) => {
        assert.ok(HoldfastError.is(error, 'CONFIG_INVALID'));
        assert.match(error.message, /test\.yaml:4:\d+: plugins\.routing\.route: unknown key/);
        return true;
      });
    }
  });

  test('leaves what the text says of domain, subscribers and trunks as it is', async () => {
    const kit = await start(`setup() {}`);
    await kit.reload(`domain: a.test\ntrunks: { west: { gateways: [192.0.2.1] } }
plugins: { routing: { routes: [{ dial: X., to: [{ trunk: west }] }] } }`);
    assert.match(JSON.stringify(await kit.route({ dialled: '22' })), /sip:22@192\.0\.2\.1:5060/);
  });

  test('tells what the INVITE of a leg bears once all were asked', async () => {
    const kit = await start(
      `setup({ hook }) { hook('dial', ({ call }) => ({ callerName: call.dialled, headers: { set: { 'X-New': 'n' }, remove: ['x-old'] } })); }`,
    );
    const call = incomingCall({ headers: { 'x-old': ['o'], 'x-kept': ['a', 'b'] } });
    assert.deepEqual(await kit.dial({ call }), {
      ...{ callerNumber: '+15550100', callerName: '70001', headers: { 'x-kept': ['a', 'b'], 'x-new': ['n'] } },
    });
  });

  test('tells events, and a listener that fails late is in the log when the telling is done', async () => {
    const kit = await start(
      `setup({ on, log }) {
         on('call.ended', record => log.info({ call: record.callId, seconds: record.billSeconds }, 'goodbye'));
         on('call.ended', async () => { await null; throw new Error('late'); });
       }`,
    );
    await kit.emit('call.ended', callDetailRecord({ billSeconds: 5 }));
    kit.assertLogged({ level: 'info', plugin: 'p', call: 'call-1', seconds: 5, message: 'goodbye' });
    kit.assertLogged({ level: 'error', message: /^listener of plugin p for call\.ended failed$/ });
    assert.throws(
      () => kit.assertLogged({ message: /hello/ }),
      /no line was logged with message: \/hello\/; there are \d+:[^]*goodbye/,
    );
  });

  test('gives services to plugins and takes those that they provide', async () => {
    const answer = serviceToken<number>('answer');
    const kit = await start(
      `needs: [location], provides: [serviceToken('answer')],
       setup({ use, provide }) { provide(serviceToken('answer'), use(location).contacts('1001').length); }`,
      { services: [given(location, { contacts: () => ['sip:a@b', 'sip:c@d'] })] },
    );
    assert.equal(kit.service(answer), 2);
  });

  test('without such a service refuses the plugin as the daemon does', async () => {
    await assert.rejects(start(`needs: [location], setup() {}`), /plugin p: it needs the service location/);
  });

  test('asks with a deadline, which its clock brings about at once', async () => {
    const kit = await start(
      `setup({ hook, log }) { hook('route', (call, signal) => new Promise(() => signal.addEventListener('abort', () => log.info({}, 'aborted')))); }`,
      { now: 0 },
    );
    const asking = assert.rejects(kit.route(), /plugin p: no answer to the hook route after 2000 ms/);
    await kit.advance(2_000);
    await asking;
    kit.assertLogged({ message: 'aborted' });
  });

  test('gives the real clock back, also when the start failed', async () => {
    const before = globalThis.setTimeout;
    await assert.rejects(start(`setup() { throw new Error('no'); }`, { now: 0 }), /its setup failed: no/);
    assert.equal(globalThis.setTimeout, before);
    const kit = await start(`setup() {}`, { now: 0 });
    assert.notEqual(globalThis.setTimeout, before);
    await assert.rejects(start(`setup() {}`, { now: 0 }), /a fake clock is installed already/);
    await kit.stop();
    assert.equal(globalThis.setTimeout, before);
    assert.ok(Math.abs(Date.now() - performance.timeOrigin - performance.now()) < 10_000);
  });
});

describe('the fake clock', () => {
  test('runs what falls due in order, each at its own time', async () => {
    const kit = await start(
      `setup({ log }) {
         const say = what => log.info({ at: new Date().toISOString(), ms: performance.now() }, what);
         setTimeout(say, 300, 'last');
         setTimeout(() => { say('first'); setTimeout(say, 100, 'then'); }, 100).unref();
         const every = setInterval(() => { say('again'); if (performance.now() >= 250) clearInterval(every); }, 125);
         clearTimeout(setTimeout(say, 10, 'never'));
       }`,
      { now: '2026-01-05T09:00:00Z' },
    );
    await kit.advance(1_000);
    assert.deepEqual(
      kit.logged({ plugin: 'p', level: 'info' }).map(({ message, at, ms }) => [message, at, ms]),
      [
        ['first', '2026-01-05T09:00:00.100Z', 100],
        ['again', '2026-01-05T09:00:00.125Z', 125],
        ['then', '2026-01-05T09:00:00.200Z', 200],
        ['again', '2026-01-05T09:00:00.250Z', 250],
        ['last', '2026-01-05T09:00:00.300Z', 300],
      ],
    );
  });

  test('is the one of AbortSignal.timeout and of dates too', async () => {
    const kit = await start(
      `setup({ log }) {
         AbortSignal.timeout(50).addEventListener('abort', ({ target }) => log.info({ name: target.reason.name }, 'aborted'));
         log.info({ isDate: new Date() instanceof Date, text: Date().slice(0, 15), given: new Date(0).getTime(), year: new Date(2020, 1).getFullYear() }, 'dates');
       }`,
      { now: '2026-01-05T12:00:00Z' },
    );
    kit.assertLogged({ message: 'dates', isDate: true, text: 'Mon Jan 05 2026', given: 0, year: 2020 });
    await kit.advance(49);
    assert.equal(kit.logged({ message: 'aborted' }).length, 0);
    await kit.advance(1);
    kit.assertLogged({ message: 'aborted', name: 'TimeoutError' });
  });
});

test('the facts for tests are those of one call', () => {
  const record = callDetailRecord({ callerNumber: '+15550199' });
  assert.equal(record.callerNumber, '+15550199');
  assert.equal(record.outcome, 'answered');
  assert.equal(record.endedBy, 'caller');
  assert.equal(record.durationSeconds, 62);
  assert.equal(record.billSeconds, 60);
  assert.deepEqual(record.sipCallIds, ['a1b2c3@192.0.2.1', 'd4e5f6@192.0.2.1']);
  assert.equal(record.answeredBy, 'sip:70001@127.40.0.208:5060');
});
