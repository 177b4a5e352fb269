// A room of four parties on two call nodes, whose servers die: everybody is back with everybody, and nobody hears itself.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { leftovers } from '../harness/leftovers.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

interface Room {
  readonly room?: string;
  readonly node: string;
  readonly participants: readonly { readonly callId: string; readonly muted: boolean; readonly role: string }[];
}

/** One of each party. */
const tones = [440, 620, 830, 1070];

describe('a room of four parties on two call nodes', () => {
  let farm: Farm;
  let parties: SipEndpoint[];
  let calls: OutgoingCall[];

  before(async () => {
    farm = await Farm.up();
    parties = await Promise.all(
      tones.map((_, i) => SipEndpoint.open({ address: farm.host(200 + i), user: `${i}`, codecs: ['PCMA'] })),
    );
    calls = [...(await enter(parties.slice(0, 2), 'call-2')), ...(await enter(parties.slice(2), 'call-1'))];
    calls.forEach((call, i) => call.audio.sendTone(tones[i] ?? 0));
  });
  after(async () => {
    await Promise.allSettled(parties.map(party => party.close()));
    await farm.down();
  });

  /** Calls the room from each while one call node takes no calls. */
  const enter = async (from: readonly SipEndpoint[], drained: string): Promise<OutgoingCall[]> => {
    await farm.json('drain', drained);
    const made = await Promise.all(from.map(party => party.invite(farm.uri('8001'))));
    await Promise.all(made.map(call => call.answered()));
    await farm.json('undrain', drained);
    return made;
  };
  const everybodyHearsTheOthers = async (): Promise<void> => {
    await Promise.all(
      calls.map((call, i) =>
        call.audio.hearsMix(
          tones.filter((_, j) => j !== i),
          tones.filter((_, j) => j === i),
          10_000,
        ),
      ),
    );
  };
  const room = async (): Promise<Room> => {
    const rooms = await farm.json<readonly Room[]>('conferences');
    assert.deepEqual(
      rooms.map(one => one.room),
      ['8001'],
    );
    return rooms[0]!;
  };
  const kill = async (node: string): Promise<void> => {
    const pid = await farm.pid(node);
    calls.forEach(call => call.audio.resetReport());
    process.kill(pid, 'SIGKILL');
  };
  const bridgesOnTheFarm = async (): Promise<string[]> =>
    (await leftovers(farm)).filter(one => /^conference-\d+: bridge/.test(one));
  const silences = (): string => calls.map(call => `${Math.round(call.audio.report().largestGapMs)} ms`).join(', ');
  const reinvites = (): number[] => calls.map(call => call.reinvites.length);
  const nodesOfCalls = async (): Promise<string[]> => (await farm.calls()).map(call => call.legs[0]?.node ?? '').sort();

  test('everybody hears the three others', { timeout: 60_000 }, async () => {
    await everybodyHearsTheOthers();
    assert.deepEqual(await nodesOfCalls(), ['call-1', 'call-1', 'call-2', 'call-2']);
    assert.equal((await bridgesOnTheFarm()).length, 1);
  });

  test('its conference node dies: one bridge elsewhere, and no phone is re-INVITEd', { timeout: 60_000 }, async t => {
    const before = await room();
    await kill(before.node);
    const moved = async (): Promise<boolean> => (await room()).node !== before.node;
    await waitFor('the room to be elsewhere', moved, { deadlineMs: 10_000, everyMs: 50 });
    await everybodyHearsTheOthers();
    t.diagnostic(`silences ${silences()}`);
    assert.deepEqual((await room()).participants, before.participants);
    assert.deepEqual(reinvites(), [0, 0, 0, 0]);
    await farm.whole();
    assert.equal((await bridgesOnTheFarm()).length, 1);
  });

  test('a call node dies: its two parties are back in the same room, each as it was', { timeout: 60_000 }, async t => {
    const before = await room();
    await kill('call-1');
    const both = (): boolean => reinvites().join() === '1,1,0,0';
    await waitFor('the two to be re-INVITEd', both, { deadlineMs: 10_000, describe: () => reinvites().join() });
    await everybodyHearsTheOthers();
    t.diagnostic(`silences ${silences()}`);
    const after = await room();
    const byCall = (one: Room): unknown[] => [...one.participants].sort((a, b) => a.callId.localeCompare(b.callId));
    assert.deepEqual(byCall(after), byCall(before), 'muted and role are what they were');
    assert.equal(after.node, before.node);
    assert.deepEqual(await nodesOfCalls(), ['call-2', 'call-2', 'call-2', 'call-2']);
    await farm.whole();
    assert.equal((await bridgesOnTheFarm()).length, 1);
  });

  test('who leaves is heard no more, and with the last one everything is gone', { timeout: 60_000 }, async () => {
    const [first, ...others] = calls;
    assert.equal(await first?.hangup(), 200);
    const [gone = 0, ...left] = tones;
    await Promise.all(
      others.map((call, i) =>
        call.audio.hearsMix(
          left.filter((_, j) => j !== i),
          [gone, left[i] ?? 0],
        ),
      ),
    );
    for (const call of others) assert.equal(await call.hangup(), 200, call.ladder());
    await nothingLeft(farm);
  });
});
