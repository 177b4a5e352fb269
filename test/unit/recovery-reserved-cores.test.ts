// What a recovery has wait: the trace's thread, and V8's optimising compiler, which must stop and go on in the Node.js that runs this.
import assert from 'node:assert/strict';
import { afterEach, describe, it, mock } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { reservedCores } from '../../core/recovery/reserved-cores.js';

describe('the cores of a recovery', () => {
  const said: string[] = [];
  const trace = { hold: (mostMs: number) => said.push(`hold ${mostMs}`), release: () => said.push('release') };
  const cores = reservedCores(
    () => trace,
    flag => said.push(flag),
  );
  const saidSince = (): string[] => said.splice(0);
  afterEach(() => mock.timers.reset());

  it('are held until it is over', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    cores.hold();
    assert.deepEqual(saidSince(), ['hold 3000', '--no-turbofan']);
    cores.release();
    assert.deepEqual(saidSince(), ['release', '--turbofan']);
    mock.timers.tick(10_000);
    assert.deepEqual(saidSince(), []);
  });

  it('V8 is held back for half a second from the last death at most', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    cores.hold();
    mock.timers.tick(300);
    cores.hold();
    mock.timers.tick(499);
    assert.ok(!saidSince().includes('--turbofan'));
    mock.timers.tick(1);
    assert.deepEqual(saidSince(), ['--turbofan']);
    cores.release();
    assert.deepEqual(saidSince(), ['release'], 'V8 is told no second time');
  });

  it('V8 optimises nothing meanwhile, and goes on afterwards', () => {
    setFlagsFromString('--allow-natives-syntax');
    // Bit 4 of V8's OptimizationStatus: it runs optimised code.
    const isOptimised = runInThisContext('f => (%GetOptimizationStatus(f) & 16) !== 0') as (f: unknown) => boolean;
    const work = runInThisContext('n => { let sum = 0; while (n-- > 0) sum += n % 7; return sum; }') as (
      n: number,
    ) => number;
    const real = reservedCores(() => undefined);
    real.hold();
    for (let i = 0; i < 5_000; i++) work(1_000);
    assert.equal(isOptimised(work), false);
    real.release();
    const rounds = 100_000;
    let i = 0;
    while (i < rounds && !isOptimised(work)) work(1_000 + (i++ % 3));
    assert.ok(i < rounds, 'it is optimised again');
  });
});
