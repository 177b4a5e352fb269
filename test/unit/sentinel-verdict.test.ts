// The votes on an Asterisk, in every combination: what is dead, what is only suspect, and what proves nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge, type Signs } from '../../core/sentinel/verdict.js';

const silenceMs = 1_000;
const now = 100_000;
const alive: Signs = {
  ...{ processGone: false, streamOpen: true, ariAnsweredMs: now - 100, optionsAnsweredMs: now - 100, refusedMs: 0 },
  ...{ listeningSinceMs: now - 50_000, startedMs: now - 60_000 },
};
const sipClosed: Partial<Signs> = { refusedMs: now, streamOpen: false };
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
      assert.equal(health({ optionsAnsweredMs: now - ago }), 'suspect');
    }
    assert.equal(health({ optionsAnsweredMs: now - 999 }), 'up');
    assert.equal(health({ ariAnsweredMs: now - 499 }), 'up');
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

  test('that only starts is suspect for half a minute, and dead when it has not answered by then', () => {
    const mute: Partial<Signs> = { ariAnsweredMs: 0, optionsAnsweredMs: 0, streamOpen: false };
    assert.equal(health({ ...mute, startedMs: now - 29_000 }), 'suspect');
    assert.equal(health({ ...mute, ...sipClosed, startedMs: now - 29_000 }), 'suspect', 'nobody listens there yet');
    assert.equal(health({ ...sipClosed, optionsAnsweredMs: 0 }), 'suspect', 'ARI is there, SIP is still being loaded');
    assert.equal(health({ ...mute, startedMs: now - 31_000 }), 'dead');
    assert.equal(health({ ...mute, startedMs: now - 31_000, listeningSinceMs: now - 999 }), 'suspect');
  });

  test('takes no calls until SIP, ARI and its event stream all work', () => {
    assert.equal(health({ ariAnsweredMs: 0 }), 'suspect');
    assert.equal(health({ optionsAnsweredMs: 0 }), 'suspect');
    assert.equal(health({ streamOpen: false }), 'suspect');
    assert.equal(health({}), 'up');
  });
});

describe('of all combinations of signs', () => {
  const ages = [0, 100, 600, 999, 1_000, 20_000, now];
  const flags = [true, false];

  test('none is dead without a process gone, a refusal, or silence on both', () => {
    for (const ari of ages)
      for (const sip of ages)
        for (const listening of ages)
          for (const started of ages)
            for (const refused of [...ages, undefined])
              for (const streamOpen of flags)
                for (const processGone of flags) {
                  const ago = (ms: number): number => now - ms;
                  const signs: Signs = {
                    ...{ processGone, streamOpen, ariAnsweredMs: ago(ari), optionsAnsweredMs: ago(sip) },
                    ...{ refusedMs: refused === undefined ? 0 : ago(refused) },
                    ...{ listeningSinceMs: ago(listening), startedMs: ago(started) },
                  };
                  const silent = Math.min(ari, sip, listening) >= silenceMs;
                  const closed =
                    !streamOpen && sip < now && refused !== undefined && refused < Math.min(sip, listening);
                  const starts = ari === now && sip === now && started < 30_000;
                  const isDead = processGone || (!starts && (silent || closed));
                  const verdict = judge(signs, now, silenceMs);
                  assert.equal(verdict.health === 'dead', isDead, JSON.stringify({ signs, verdict }));
                  if (verdict.health === 'up')
                    assert.ok(streamOpen && ari < now && sip < now && Math.min(ari, listening) < 500);
                }
  });
});
