// The votes on an Asterisk, in every combination: what is dead, what is only suspect, and what proves nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge, type Signs } from '../../core/sentinel/verdict.js';

const silenceMs = 1_000;
const now = 100_000;
const alive: Signs = {
  ...{ processGone: false, streamOpen: true, ariAnsweredMs: now - 100, optionsAnsweredMs: now - 100, refusedMs: 0 },
  listeningSinceMs: now - 50_000,
};
const health = (signs: Partial<Signs>): string => judge({ ...alive, ...signs }, now, silenceMs).health;

describe('an Asterisk', () => {
  test('is dead at once when its process is gone, whatever else it seems to say', () => {
    assert.equal(health({ processGone: true }), 'dead');
    assert.equal(health({ processGone: true, streamOpen: false, ariAnsweredMs: 0 }), 'dead');
  });

  test('is dead at once when its SIP port is refused and its event stream closed, and not by one of the two', () => {
    assert.equal(health({ refusedMs: now, streamOpen: false }), 'dead');
    assert.equal(health({ refusedMs: now }), 'up');
    assert.equal(health({ streamOpen: false }), 'suspect');
    assert.equal(health({ refusedMs: now - 200, streamOpen: false }), 'suspect', 'it has answered since');
  });

  test('is suspect, never dead, as long as SIP or ARI answers', () => {
    for (const ago of [1_000, 5_000, 50_000]) {
      assert.equal(health({ ariAnsweredMs: now - ago, streamOpen: false }), 'suspect');
      assert.equal(health({ ariAnsweredMs: now - ago, streamOpen: true }), 'suspect');
      assert.equal(health({ optionsAnsweredMs: now - ago }), 'up');
    }
  });

  test('is dead when both are silent for the whole time', () => {
    assert.equal(health({ ariAnsweredMs: now - 1_000, optionsAnsweredMs: now - 1_000 }), 'dead');
    assert.equal(health({ ariAnsweredMs: now - 5_000, optionsAnsweredMs: now - 999 }), 'suspect');
  });

  test('is not dead by a silence that we did not listen to', () => {
    const silent = { ariAnsweredMs: now - 9_000, optionsAnsweredMs: now - 9_000 };
    assert.notEqual(health({ ...silent, listeningSinceMs: now - 999 }), 'dead');
    assert.equal(health({ ...silent, listeningSinceMs: now - 1_000 }), 'dead');
  });

  test('that only starts is suspect for as long as it takes', () => {
    assert.equal(health({ ariAnsweredMs: 0, optionsAnsweredMs: 0, streamOpen: false }), 'suspect');
    assert.equal(health({ ariAnsweredMs: 0, streamOpen: false }), 'suspect');
  });
});
