// Groups of what many promises come to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asTheyCome } from '../../core/recovery/as-they-come.js';

test('what has come is one group, and what is slow keeps it waiting for a moment only', async () => {
  let answer: (value: string) => void = () => undefined;
  const slow = new Promise<string>(resolve => (answer = resolve));
  const groups: (readonly string[])[] = [];
  for await (const group of asTheyCome([Promise.resolve('a'), slow, Promise.resolve('b')], 10)) {
    groups.push(group);
    // Only now: the others must not have waited for it.
    answer('c');
  }
  assert.deepEqual(groups, [['a', 'b'], ['c']]);
});

test('all that is there at once is one group, and nothing is none', async () => {
  const groups: (readonly number[])[] = [];
  for await (const group of asTheyCome(
    [1, 2, 3].map(async n => n),
    60_000,
  ))
    groups.push(group);
  assert.deepEqual(groups, [[1, 2, 3]]);
  for await (const group of asTheyCome([], 60_000)) assert.fail(String(group));
});

test('a failure is one of the whole', async () => {
  const works = [new Promise<number>(() => undefined), Promise.reject(new Error('broken'))];
  await assert.rejects(async () => {
    for await (const group of asTheyCome(works, 60_000)) assert.fail(String(group));
  }, /broken/);
});
