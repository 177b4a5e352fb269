// Overload control: how many calls a node may have, and whose are refused.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { leastLimit, nextLimit, noLimit, type CallLimit, type NodeLoad } from '../../core/overload/call-limit.js';
import { OfferedRatesMeter } from '../../core/overload/offered-rates.js';
import { sharesRefused, type SourceRate } from '../../core/overload/shares.js';
import { lots, quietSources } from '../../core/ports/edge.js';

const rules = { lateMs: 1_000 };
const load = (change: Partial<NodeLoad>): NodeLoad => ({
  ...{ lateMs: 5, offered: 100, admitted: 100, usual: 20, excused: false, seconds: 1 },
  ...change,
});
/** Seconds in which a load is the same. */
const after = (seconds: number, change: Partial<NodeLoad>, from: CallLimit = noLimit): CallLimit => {
  let limit = from;
  for (let i = 0; i < seconds; i++) limit = nextLimit(limit, load(change), rules);
  return limit;
};

describe('The limit of a call node', () => {
  test('is none while it answers in time, whatever comes', () => {
    assert.equal(after(60, { offered: 5_000, lateMs: 900 }).limit, null);
  });

  test('is none where it is late for a moment, while sessions are recovered, or with hardly a call', () => {
    const moment = { lateMs: 4_000, offered: 35 };
    let limit = after(4, moment);
    limit = after(1, { lateMs: 100 }, limit);
    assert.equal(after(4, moment, limit).limit, null);
    assert.equal(after(60, { lateMs: 4_000, excused: true }).limit, null);
    assert.equal(after(60, { lateMs: 4_000, offered: leastLimit }).limit, null);
  });

  test('begins when it was late for seconds, also where those were few long turns of ours', () => {
    assert.notEqual(after(2, { lateMs: 4_000, seconds: 4 }).limit, null);
  });

  test('begins sooner where far more comes than is usual, and later where nothing is', () => {
    assert.equal(after(1, { lateMs: 1_500 }).limit, null);
    assert.equal(after(2, { lateMs: 1_500 }).limit, 30);
    assert.equal(after(60, { lateMs: 3_900, usual: 0 }).limit, null);
    assert.equal(after(5, { lateMs: 4_100, usual: 0 }).limit, 30);
  });

  test('is for a minute no lower than what it was used to', () => {
    const first = after(2, { lateMs: 1_500 });
    assert.equal(after(50, { lateMs: 5_000 }, first).limit, 20);
    assert.equal(after(90, { lateMs: 5_000 }, first).limit, leastLimit);
  });

  test('begins near what it was used to, and waits for what that does before it goes lower', () => {
    const first = after(5, { lateMs: 1_500, usual: 50 });
    assert.equal(first.limit, 60);
    assert.equal(after(2, { lateMs: 1_500 }, first).limit, 60);
    assert.equal(after(3, { lateMs: 1_500 }, first).limit, 42);
    assert.equal(after(3, { lateMs: 1_100 }, first).limit, 60, 'it gets better');
    assert.equal(after(300, { lateMs: 5_000 }, first).limit, leastLimit);
  });

  test('rises while it is not late at all, slowly near where it was late, and no higher than what comes asks for', () => {
    const first = after(5, { lateMs: 1_500, usual: 50 });
    assert.equal(after(30, { lateMs: 500 }, first).limit, 60, 'a little late is neither');
    const risen = after(10, { admitted: 60 }, first).limit ?? 0;
    assert.ok(risen > 80 && risen < 110, `${risen}`);
    assert.ok((after(200, { admitted: 60 }, first).limit ?? 0) <= 150);
  });

  test('ends when it has refused nobody for a while', () => {
    const first = after(5, { lateMs: 1_500, usual: 50 });
    assert.notEqual(after(9, { offered: 20 }, first).limit, null);
    assert.equal(after(10, { offered: 20 }, first).limit, null);
  });

  test('finds what a node carries, and swings little', () => {
    // 40 calls a second; what is more waits.
    let [limit, waiting] = [noLimit, 0];
    const limits: number[] = [];
    for (let second = 0; second < 300; second++) {
      const admitted = Math.min(limit.limit ?? Infinity, second < 10 ? 20 : 200);
      waiting = Math.max(0, waiting + admitted - 40);
      const offered = second < 10 ? 20 : 200;
      limit = nextLimit(limit, load({ lateMs: 10 + (waiting / 40) * 1_000, offered, admitted, usual: 20 }), rules);
      if (second > 200) limits.push(limit.limit ?? Infinity);
    }
    assert.ok(Math.min(...limits) > 20 && Math.max(...limits) < 60, limits.map(Math.round).join(' '));
  });
});

describe('What is too much', () => {
  const source = (name: string, offered: number, usual = 0): SourceRate => ({ source: name, offered, usual });
  const admitted = (limit: number, sources: readonly SourceRate[], quiet = 0): Record<string, number> => {
    const shares = sharesRefused(limit, { sources, quiet });
    const rest = ({ source: name, offered }: SourceRate): [string, number] => [
      name,
      Math.round(offered * (1 - (shares.get(name) ?? 0) / lots)),
    ];
    return Object.fromEntries([...sources, source(quietSources, quiet)].map(rest));
  };

  test('is refused to whoever sends most', () => {
    assert.deepEqual(admitted(40, [source('loud', 400), source('honest', 15)]), { loud: 25, honest: 15, '*': 0 });
    assert.deepEqual(admitted(40, [source('a', 100), source('b', 60), source('c', 5)], 5), {
      a: 16,
      b: 15,
      c: 5,
      '*': 5,
    });
  });

  test('is nothing of what was carried before', () => {
    const sources = [source('loud', 400), source('honest', 30, 30)];
    assert.deepEqual(admitted(35, sources), { loud: 6, honest: 30, '*': 0 });
    assert.deepEqual(admitted(20, [source('loud', 400, 30), source('honest', 10, 10)]), {
      loud: 13,
      honest: 10,
      '*': 0,
    });
  });

  test('is shared by those who call seldom only where there are too many of them', () => {
    assert.deepEqual(admitted(40, [], 30), { '*': 30 });
    assert.deepEqual(admitted(40, [], 400), { '*': 41 });
    assert.deepEqual(admitted(40, [source('loud', 100)], 30), { loud: 10, '*': 30 });
  });

  test('leaves each source at least one call of so many', () => {
    assert.equal(sharesRefused(5, { sources: [source('flood', 1e6)], quiet: 5 }).get('flood'), lots - 1);
  });
});

describe('What comes for a node', () => {
  const node = 'call-1';
  const count = (all: number, loud: number, refused = 0): Parameters<OfferedRatesMeter['look']>[0] =>
    new Map([
      [
        'kamailio-1',
        {
          offered: [
            { node, count: all },
            { node, source: 'loud', count: loud },
          ],
          refused: [{ node, source: 'loud', count: refused }],
        },
      ],
    ]);

  test('is known per source, from the second look on', () => {
    const meter = new OfferedRatesMeter();
    meter.look(count(1_000, 900), 0);
    assert.equal(meter.rates(node).offered, 0);
    for (let second = 1; second <= 20; second++)
      meter.look(count(1_000 + 50 * second, 900 + 40 * second, 10 * second), second * 1_000);
    const { offered, admitted, quiet, sources, refused } = meter.rates(node);
    assert.deepEqual(
      [offered, admitted, quiet, sources[0]?.offered].map(one => Math.round(one ?? 0)),
      [50, 40, 10, 40],
    );
    assert.equal(refused.get('loud'), 10);
  });

  test('does not jump when a Kamailio begins to count anew', () => {
    const meter = new OfferedRatesMeter();
    meter.look(count(1_000, 0), 0);
    meter.look(count(10, 0), 1_000);
    assert.equal(meter.rates(node).offered, 7);
    meter.look(new Map(), 2_000);
    assert.equal(meter.rates(node).offered, 7, 'nor when none answers');
  });

  test('is no flood where a look comes right after one that was late', () => {
    const meter = new OfferedRatesMeter();
    const seconds = [0, 1, 2, 3, 4.9, 5, 6];
    let most = 0;
    for (const second of seconds) {
      meter.look(count(Math.ceil(second), Math.ceil(second)), second * 1_000);
      most = Math.max(most, meter.rates(node).offered);
    }
    assert.ok(most < 1.5, `one call a second is taken for ${most}`);
    meter.look(count(7, 7), 6_100);
    // Ten a second for a tenth of a second: less than if both calls had come in one.
    assert.ok(meter.rates(node).offered < 2.5, `${meter.rates(node).offered}`);
  });

  test('is usual only after a while', () => {
    const meter = new OfferedRatesMeter();
    for (let second = 0; second <= 3; second++) {
      meter.look(count(100 * second, 100 * second), second * 1_000);
      meter.keepsUp(node);
    }
    const soon = meter.rates(node).sources[0]?.usual ?? 0;
    assert.ok(soon < 30, `${soon}`);
    for (let second = 4; second <= 60; second++) {
      meter.look(count(100 * second, 100 * second), second * 1_000);
      meter.keepsUp(node);
    }
    assert.ok((meter.rates(node).sources[0]?.usual ?? 0) > 95);
  });
});
