// The verdict on a server, in every combination: what is dead, what is only suspect, and what proves nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge, type Signs, type Verdict, type VoiceSigns } from '../../core/sentinel/verdict.js';

const silenceMs = 1_000;
const now = 100_000;
const voice = { answeredMs: now - 100, refusedMs: 0, streamOpen: undefined, suspectAfter: 0.5, wasQuiet: false };
const times = { processGone: false, listeningSinceMs: now - 50_000, startedMs: now - 60_000, starvedMs: () => 0 };

/** The verdict on one whose voices are these, each with what differs from one that has just answered. */
function verdictOn(voices: Readonly<Record<string, Partial<VoiceSigns>>>, signs: Partial<Signs> = {}): Verdict {
  const all = Object.entries(voices).map(([name, own]) => ({ ...voice, name, ...own }));
  return judge({ ...times, voices: all, ...signs }, now, silenceMs);
}

describe('an Asterisk', () => {
  const health = (ari: Partial<VoiceSigns>, sip: Partial<VoiceSigns> = {}, signs: Partial<Signs> = {}): string =>
    verdictOn({ ARI: { streamOpen: true, ...ari }, SIP: { suspectAfter: 1, ...sip } }, signs).health;
  const never = { answeredMs: 0 };

  test('is dead at once when its process is gone, whatever else it seems to say', () => {
    assert.equal(health({}, {}, { processGone: true }), 'dead');
    assert.equal(health({ streamOpen: false, ...never }, {}, { processGone: true }), 'dead');
  });

  test('is dead at once when its SIP port is refused and its event stream closed, and not by one of the two', () => {
    assert.equal(health({ streamOpen: false }, { refusedMs: now }), 'dead');
    assert.equal(health({}, { refusedMs: now }), 'up');
    assert.equal(health({ streamOpen: false }), 'suspect');
    assert.equal(health({ streamOpen: false }, { refusedMs: now - 200 }), 'suspect', 'it has answered since');
  });

  test('is suspect, never dead, as long as SIP or ARI answers', () => {
    for (const ago of [1_000, 5_000, 50_000]) {
      assert.equal(health({ answeredMs: now - ago, streamOpen: false }), 'suspect');
      assert.equal(health({ answeredMs: now - ago, streamOpen: true }), 'suspect');
      assert.equal(health({}, { answeredMs: now - ago }), 'suspect');
    }
    assert.equal(health({}, { answeredMs: now - 999 }), 'up');
    assert.equal(health({ answeredMs: now - 499 }), 'up');
  });

  test('is dead when both are silent for the whole time', () => {
    assert.equal(health({ answeredMs: now - 1_000 }, { answeredMs: now - 1_000 }), 'dead');
    assert.equal(health({ answeredMs: now - 5_000 }, { answeredMs: now - 999 }), 'suspect');
  });

  test('is not dead by a silence in which it waited for a CPU, but for five times the limit', () => {
    const after = (silentMs: number, starvedMs: number): string => {
      const silent = { answeredMs: now - silentMs };
      return health(silent, silent, { starvedMs: () => starvedMs });
    };
    assert.equal(after(1_400, 500), 'suspect');
    assert.equal(after(1_500, 500), 'dead');
    assert.equal(after(4_999, 4_500), 'suspect');
    assert.equal(after(5_000, 4_500), 'dead');
  });

  test('is not dead by a silence that we did not listen to', () => {
    const silent = { answeredMs: now - 9_000 };
    assert.notEqual(health(silent, silent, { listeningSinceMs: now - 999 }), 'dead');
    assert.equal(health(silent, silent, { listeningSinceMs: now - 1_000 }), 'dead');
  });

  test('is not up by a pause of ours where it was silent before', () => {
    assert.equal(health({ answeredMs: now - 600 }, {}, { listeningSinceMs: now }), 'up');
    assert.equal(health({ answeredMs: now - 600, wasQuiet: true }, {}, { listeningSinceMs: now }), 'suspect');
  });

  test('that only starts is suspect for half a minute, and dead when it has not answered by then', () => {
    const mute = { ...never, streamOpen: false };
    const refused = { ...never, refusedMs: now };
    assert.equal(health(mute, never, { startedMs: now - 29_000 }), 'suspect');
    assert.equal(health(mute, refused, { startedMs: now - 29_000 }), 'suspect', 'nobody listens there yet');
    assert.equal(health({ streamOpen: false }, refused), 'suspect', 'ARI is there, SIP is still being loaded');
    assert.equal(health(mute, never, { startedMs: now - 31_000 }), 'dead');
    assert.equal(health(mute, never, { startedMs: now - 31_000, listeningSinceMs: now - 999 }), 'suspect');
  });

  test('takes no calls until SIP, ARI and its event stream all work', () => {
    assert.equal(health(never), 'suspect');
    assert.equal(health({}, never), 'suspect');
    assert.equal(health({ streamOpen: false }), 'suspect');
    assert.equal(health({}), 'up');
  });
});

describe('an RTPEngine', () => {
  const witness = { suspectAfter: Infinity };

  test('does its work without TCP, which speaks for its life and for nothing else', () => {
    const heard = (udp: Partial<VoiceSigns>, tcp: Partial<VoiceSigns>): string =>
      verdictOn({ ng: udp, 'ng over TCP': { ...witness, ...tcp } }).health;
    assert.equal(heard({}, { answeredMs: now - 20_000 }), 'up');
    assert.equal(heard({ answeredMs: now - 20_000 }, {}), 'suspect');
    assert.equal(heard({ answeredMs: now - 1_000 }, { answeredMs: now - 1_000 }), 'dead');
    assert.equal(heard({ refusedMs: now }, { refusedMs: now }), 'dead');
    assert.equal(heard({ refusedMs: now }, {}), 'up', 'one refusal, and it has just answered');
  });
});

describe('a Kamailio', () => {
  const heard = (outside: Partial<VoiceSigns>, inside: Partial<VoiceSigns>, rpc: Partial<VoiceSigns>): Verdict =>
    verdictOn({ 'SIP outside': outside, 'SIP inside': inside, RPC: { suspectAfter: Infinity, ...rpc } });
  const silent = { answeredMs: now - 1_000 };

  test('is suspect when one of its sides is silent, and dead only with all of it', () => {
    assert.deepEqual(heard(silent, {}, {}), { health: 'suspect', reason: 'SIP outside is silent' });
    assert.deepEqual(heard({}, silent, {}), { health: 'suspect', reason: 'SIP inside is silent' });
    assert.equal(heard(silent, silent, {}).health, 'suspect');
    assert.deepEqual(heard(silent, silent, silent), {
      health: 'dead',
      reason: 'silent on SIP outside and SIP inside and RPC for 1000 ms',
    });
  });

  test('whose RPC is busy with a reload goes on', () => {
    assert.equal(heard({}, {}, { answeredMs: now - 14_000 }).health, 'up');
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
                  const refusedMs = refused === undefined ? 0 : ago(refused);
                  const signs: Signs = {
                    ...{ processGone, listeningSinceMs: ago(listening), startedMs: ago(started), starvedMs: () => 0 },
                    voices: [
                      { ...voice, name: 'ARI', streamOpen, answeredMs: ago(ari) },
                      { ...voice, name: 'SIP', suspectAfter: 1, answeredMs: ago(sip), refusedMs },
                    ],
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
