// HEP copies that wait while the cores are needed elsewhere: in order, none lost, read at once when somebody asks.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { Backlog } from '../../core/trace/backlog.js';

let taken: number[];
let backlog: Backlog;
let nowMs: number;

function arrive(...numbers: number[]): void {
  for (const number of numbers)
    backlog.arrived({ data: Buffer.from([number & 0xff]), sender: String(number), atMs: nowMs });
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
  taken = [];
  nowMs = 0;
  backlog = new Backlog(({ sender }) => void taken.push(Number(sender)));
});
afterEach(() => mock.timers.reset());

describe('A backlog', () => {
  it('takes what arrives at once', () => {
    arrive(1, 2);
    assert.deepEqual(taken, [1, 2]);
  });

  it('keeps what arrives while it is held, and takes it in order when it is released', () => {
    backlog.hold(nowMs, 1_000);
    arrive(...upTo(500));
    assert.deepEqual(taken, []);
    backlog.release();
    arrive(500);
    while (taken.length < 501) {
      mock.timers.tick(0);
    }
    assert.deepEqual(taken, upTo(501));
    arrive(501);
    assert.deepEqual(taken, upTo(502));
  });

  it('is not held for longer than was asked for', () => {
    backlog.hold(nowMs, 1_000);
    arrive(1);
    mock.timers.tick(999);
    assert.deepEqual(taken, []);
    mock.timers.tick(1);
    assert.deepEqual(taken, [1]);
  });

  it('gives all it has to whoever asks, and goes on holding', () => {
    backlog.hold(nowMs, 1_000);
    arrive(1, 2);
    backlog.flush();
    arrive(3);
    assert.deepEqual(taken, [1, 2]);
    backlog.release();
    assert.deepEqual(taken, [1, 2, 3]);
  });

  it('is bounded', () => {
    backlog.hold(nowMs, 1_000);
    arrive(...upTo(20_000));
    assert.equal(taken.length, 20_000);
  });
});
