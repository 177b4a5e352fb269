// HEP read in bursts: a nap only when nothing is left to read, a question after what came before it, and none that is slept over.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { beforeEach, describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Posted } from '../../core/posted.js';
import { Arrivals, napMsFor } from '../../core/trace/arrivals.js';

let done: string[];
let arrivals: Arrivals;

function arrive(count: number): void {
  for (let i = 0; i < count; i++) arrivals.arrived();
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('Arrivals', () => {
  beforeEach(() => {
    done = [];
    arrivals = new Arrivals(() => done.push('nap'));
  });

  it('naps once after a burst, and not where nothing came', async () => {
    arrive(3);
    assert.deepEqual(done, []);
    await turn();
    await turn();
    assert.deepEqual(done, ['nap']);
  });

  it('does not nap while the socket may have more', async () => {
    arrive(32);
    await turn();
    assert.deepEqual(done, []);
    arrive(1);
    await turn();
    assert.deepEqual(done, ['nap']);
  });

  it('does what was asked in order, before the nap and after all that had arrived', async () => {
    arrivals.afterwards(() => done.push('first'));
    arrive(32);
    arrivals.afterwards(() => done.push('second'));
    await turn();
    assert.deepEqual(done, []);
    arrive(2);
    await turn();
    assert.deepEqual(done, ['first', 'second', 'nap']);
  });

  it('does not let a socket that is never empty keep a question waiting', async () => {
    arrivals.afterwards(() => done.push('answer'));
    const endMs = performance.now() + 30;
    while (performance.now() < endMs);
    arrive(32);
    await turn();
    assert.deepEqual(done, ['answer']);
  });
});

describe('The nap', () => {
  it('is as long as half of the receive buffer lasts', () => {
    assert.deepEqual([212_992, 425_984, 8 << 20].map(napMsFor), [1, 2, 10]);
  });

  it('ends with the next message, and does not begin over one that was not handled', async () => {
    const memory = Posted.memory();
    const [ours, theirs] = [new Posted(memory), new Posted(memory)];
    theirs.note();
    ours.nap(60_000);
    ours.handled();
    const source = `const { workerData: memory } = require('node:worker_threads');
      const count = new Int32Array(memory);
      // Until somebody sleeps who can be woken.
      while (Atomics.notify(count, 0) === 0);`;
    const worker = new Worker(source, { eval: true, workerData: memory });
    const ended = once(worker, 'exit');
    ours.nap(60_000);
    await ended;
  });
});
