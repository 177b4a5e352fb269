// A reload: refused as a whole or taken as far as can be, one at a time, and the next one finds nothing left half-way.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { loadConfig } from '../../core/config/load-config.js';
import type { HoldfastConfig } from '../../core/config/holdfast-config.js';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import { Reloads, stillAsked, type ReloadsOptions } from '../../core/reload.js';

const configOf = (lines: string): HoldfastConfig =>
  loadConfig('/nowhere/config.yaml', { text: `domain: a.test\nplugins: {}\n${lines}` });
const running = configOf('');
const wanted = configOf('limits: { maxCallSeconds: 60, rtpTimeoutSeconds: 77 }');

describe('A reload', () => {
  let done: string[];
  /** What fails, by the step's name. */
  let failing: Map<string, Error>;
  let live: { config: HoldfastConfig; plan: HoldfastConfig['farm']['plan'] };
  let ready: boolean;
  let reloads: Reloads;

  const step = (name: string) => async (): Promise<undefined> => {
    done.push(name);
    await new Promise(resolve => setImmediate(resolve));
    const error = failing.get(name);
    if (error) throw error;
  };
  const run = (): Promise<readonly string[]> => reloads.run(() => undefined);

  beforeEach(() => {
    done = [];
    failing = new Map();
    live = { config: running, plan: running.farm.plan };
    ready = true;
    const parts = {
      live,
      log: { ...silentLogger, setLevel: () => undefined, reopen: () => undefined },
      loadConfig: () => wanted,
      recordsGoTo: () => ({ file: '/cdr' }),
      plugins: { reload: step('plugins') },
      cdr: { redirect: step('cdr'), fileTrouble: undefined },
      notices: { redirect: step('webhooks') },
      metrics: {
        serve: async () => failing.get('metrics')?.message,
        get trouble() {
          return failing.get('metrics')?.message;
        },
      },
      setNodes: () => undefined,
      keeper: {
        reshape: step('farm'),
        unstarted: [],
        endpoints: { provision: (_: unknown, which: string) => step(`endpoints ${which}`)() },
      },
      copies: { forgetStrangers: step('registrations') },
      names: { settle: step('trunks') },
      sync: { apply: step('edge') },
      certificates: { tryOut: step('check'), look: step('certificate'), trouble: undefined },
    } as unknown as ReloadsOptions['parts'];
    reloads = new Reloads({ parts, isReady: () => ready, allNodes: () => live.plan, setTraceSources: () => undefined });
  });

  const taken = (which: string): string[] => [
    ...['check', 'plugins', 'cdr', 'webhooks', 'farm', `endpoints ${which}`, 'registrations', 'trunks', 'edge'],
    'certificate',
  ];

  test('waits for the one before it, and then finds that nothing is different', async () => {
    assert.deepEqual(await Promise.all([run(), run()]), [['limits.maxCallSeconds', 'limits.rtpTimeoutSeconds'], []]);
    assert.deepEqual(done, [...taken('all'), ...taken('outdated')]);
  });

  test('of which one thing fails does all others, names it, and can be tried again', async () => {
    failing = new Map([
      ['farm', new Error('call-3 broke')],
      ['metrics', new Error('metrics cannot be served')],
    ]);
    for (const which of ['all', 'outdated']) {
      done = [];
      await assert.rejects(run, (error: unknown) => {
        assert.ok(HoldfastError.is(error, 'RELOAD_INCOMPLETE'));
        assert.match(error.message, /taken, except that metrics cannot be served; and farm: call-3 broke$/);
        return true;
      });
      assert.deepEqual(done, taken(which));
    }
    failing.clear();
    assert.deepEqual(await run(), []);
  });

  test('goes on telling what it could not do, until it is done, or is no longer asked for', async () => {
    failing = new Map([
      ['trunks', new Error('no memory')],
      ['metrics', new Error('metrics cannot be served')],
    ]);
    await assert.rejects(run, { code: 'RELOAD_INCOMPLETE' });
    const untaken = [
      { part: 'metrics', trouble: 'metrics cannot be served' },
      { part: 'trunks', trouble: 'trunks: no memory' },
    ];
    assert.deepEqual(reloads.untaken, untaken);
    assert.deepEqual(stillAsked(untaken, [{ part: 'metrics', needs: [] }]), untaken.slice(1));
    assert.deepEqual(stillAsked(untaken, [{ part: 'trunks.lab.gateways', needs: [] }]), untaken.slice(0, 1));
    failing.delete('metrics');
    assert.deepEqual(reloads.untaken, untaken.slice(1), 'served meanwhile, without another reload');
    failing.clear();
    await run();
    assert.deepEqual(reloads.untaken, []);
  });

  test('that is refused changes nothing, and the next one is not', async () => {
    for (const name of ['check', 'plugins']) {
      failing = new Map([[name, new Error('no')]]);
      await assert.rejects(run, /^Error: no$/);
      assert.equal(live.config, running);
      assert.ok(!done.includes('cdr'));
    }
    failing.clear();
    await run();
    assert.equal(live.config, wanted);
  });

  test('is refused while the daemon starts or ends, also one that waited', async () => {
    const [first, second] = [run(), run()];
    await new Promise(resolve => setImmediate(resolve));
    ready = false;
    await first;
    await assert.rejects(second, { code: 'DAEMON_REFUSED' });
    await reloads.idle();
    assert.deepEqual(done, taken('all'));
  });
});
