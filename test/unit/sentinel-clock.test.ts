// What of the time counts as listening.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ListeningClock } from '../../core/sentinel/listening-clock.js';

describe('the clock of silence, with a turn every 20 ms', () => {
  const started = (): { clock: ListeningClock; pass: (ms: number) => void; listened: () => number } => {
    let ms = 5_000;
    const clock = new ListeningClock(20, () => ms);
    return { clock, pass: by => (ms += by), listened: () => clock.nowMs - 5_000 };
  };

  test('goes on by what passes, turn by turn', () => {
    const { clock, pass, listened } = started();
    for (const by of [20, 22, 25, 10]) {
      pass(by);
      clock.turn();
    }
    assert.equal(listened(), 77);
  });

  test('stands still in the middle of a turn, however long that takes', () => {
    const { clock, pass, listened } = started();
    pass(20);
    clock.turn();
    pass(8_000);
    assert.equal(listened(), 20);
  });

  test('does not count what a turn is late, and says how much that is', () => {
    const { clock, pass, listened } = started();
    const late = [60, 8_020, 20].map(by => {
      pass(by);
      return clock.turn();
    });
    assert.deepEqual(late, [40, 8_000, 0]);
    assert.equal(listened(), 60);
  });
});
