// Rooms on two call nodes, whose servers die: one of four parties who all hear each other, and ten of five at once.
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import type { RoomStatus } from '../../core/control/views.js';
import { statePaths } from '../../core/host/state-folder.js';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { leftovers } from '../harness/leftovers.js';
import { localConfig } from '../harness/local-config.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { isKept } from '../harness/phone-pair.js';
import { roomBridges } from '../harness/room-bridges.js';
import { parseSdp } from '../harness/sdp.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

interface Room {
  readonly room?: string;
  readonly node: string;
  readonly participants: readonly { readonly callId: string; readonly muted: boolean; readonly role: string }[];
}

/** One of each party. */
const tones = [440, 620, 830, 1070];

const rooms = `
    rooms:
      - { room: 86xx, moderators: { numbers: ['700'] }, listeners: { numbers: ['702'] } }
`;

let farm: Farm;

before(async () => {
  const local = await localConfig();
  farm = await Farm.up({ config: local.replace(/(twoParty: call-node)[^\n]*\n/, `$1${rooms}`) });
});
after(() => farm.down());

describe('a room of four parties on two call nodes', () => {
  let parties: SipEndpoint[] = [];
  let calls: OutgoingCall[];

  before(async () => {
    parties = await Promise.all(
      tones.map((_, i) => SipEndpoint.open({ address: farm.host(200 + i), user: `${i}`, codecs: ['PCMA'] })),
    );
    calls = [...(await enter(parties.slice(0, 2), 'call-2')), ...(await enter(parties.slice(2), 'call-1'))];
    calls.forEach((call, i) => call.audio.sendTone(tones[i] ?? 0));
  });
  after(async () => {
    await closeAll(...parties);
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
    calls.forEach(call => call.audio.resetReport());
    await farm.kill(node);
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

  test('a call node dies with a party on hold: it is back as held, and resumes', { timeout: 60_000 }, async () => {
    const [holder, ...others] = calls;
    assert.ok(holder);
    const theyHearEachOther = async (): Promise<void> => {
      await Promise.all(
        others.map((call, i) =>
          call.audio.hearsMix(
            tones.filter((_, j) => j !== 0 && j !== i + 1),
            tones.filter((_, j) => j === i + 1),
          ),
        ),
      );
    };
    const hearsNothing = (): Promise<unknown> => waitFor('silence', () => holder.audio.heard() === undefined);
    const before = reinvites();
    assert.equal((await holder.reinvite({ direction: 'sendonly' })).status, 200);
    await Promise.all([theyHearEachOther(), hearsNothing(), isKept(farm, holder)]);
    await kill('call-2');
    const all = (): boolean => reinvites().every((count, i) => count > (before[i] ?? 0));
    await waitFor('all to be re-INVITEd', all, { deadlineMs: 10_000, describe: () => reinvites().join() });
    await waitFor('RTP at the others', () => others.every(call => call.audio.report().packets > 10));
    await Promise.all([theyHearEachOther(), hearsNothing()]);
    assert.equal(parseSdp(holder.reinvites.at(-1)?.body ?? '').audio?.direction, 'recvonly', holder.ladder());
    assert.equal(holder.media.direction, 'sendonly');
    const resumed = async (): Promise<boolean> => (await holder.reinvite({ direction: 'sendrecv' })).status === 200;
    await waitFor('the party to be back', resumed, { everyMs: 100, describe: () => holder.ladder() });
    await everybodyHearsTheOthers();
    await farm.whole();
  });

  test(
    'its conference node dies with the daemon, and the next one has a config without it: the room is elsewhere',
    { timeout: 60_000 },
    async () => {
      if ((await room()).node === 'conference-1') {
        await kill('conference-1');
        await waitFor('the room to be elsewhere', async () => (await room()).node === 'conference-2');
        await farm.whole();
      }
      await everybodyHearsTheOthers();
      const before = reinvites();
      const config = await readFile(farm.configFile, 'utf8');
      await writeFile(farm.configFile, config.replace('conference: 2', 'conference: 1'));
      const pid = await farm.pid('conference-2');
      const daemon = await farm.killDaemon();
      process.kill(pid, 'SIGKILL');
      await farm.daemonAfter(daemon);
      await everybodyHearsTheOthers();
      assert.equal((await room()).node, 'conference-1');
      assert.deepEqual(reinvites(), before);
      await farm.reload(config);
      await farm.whole();
    },
  );

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

describe('ten rooms of five parties, who come at once', () => {
  const names = Array.from({ length: 10 }, (_, i) => `86${String(i + 1).padStart(2, '0')}`);
  const recorded = names[0] ?? '';
  /** What the moderator of each room sends; its listener hears it, and not that of the muted one. */
  const toneOf = (room: number): number => 400 + 70 * room;
  const mutedHz = 1500;
  const whole = names.map(name => `room-${name} 5`).join();
  const control = (): string => statePaths(farm.state).controlSocket;
  let phones: SipEndpoint[] = [];
  /** By room, then by phone: moderator, muted, listener, and two more. */
  let calls: OutgoingCall[][];

  before(async () => {
    // Two of five send: what fifty streams cost is not what is asked here.
    const open = (i: number): Promise<SipEndpoint> =>
      SipEndpoint.open({ address: farm.host(200 + i), user: `70${i}`, codecs: ['PCMU'], sends: i < 2 });
    phones = await Promise.all([0, 1, 2, 3, 4].map(open));
  });
  after(() => closeAll(...phones));

  const list = async (): Promise<readonly RoomStatus[]> => {
    const all = await callDaemon(control(), 'rooms', {});
    return [...all].sort((a, b) => a.room.localeCompare(b.room));
  };
  const inBridges = async (): Promise<string> =>
    (await roomBridges(farm))
      .map(one => `${one.id} ${one.phones}`)
      .sort()
      .join();
  const eachInOneBridge = (): Promise<unknown> =>
    waitFor('five in one bridge of each room', async () => (await inBridges()) === whole, {
      ...{ deadlineMs: 20_000, everyMs: 100, describe: inBridges },
    });
  /** Who is what in which room. */
  const standing = async (): Promise<string[]> =>
    (await list()).map(({ room, participants }) =>
      [room, ...participants.map(one => `${one.callerNumber} ${one.role} ${one.muted}`).sort()].join(', '),
    );
  const roles = '700 moderator false, 701 speaker true, 702 listener true, 703 speaker false, 704 speaker false';
  const expected = names.map(name => `${name}, ${roles}`);
  /** A listener hears its own moderator, and neither the muted one nor another room's. */
  const heardInTheirRooms = async (): Promise<void> => {
    const all = names.map((_, i) => toneOf(i));
    await Promise.all(
      calls.map(([, , listener], i) =>
        listener!.audio.hearsMix([toneOf(i)], [...all.filter(hz => hz !== toneOf(i)), mutedHz], 15_000),
      ),
    );
  };
  const reinvites = (): number[] => calls.flat().map(call => call.reinvites.length);
  const callIdsOn = async (node: string): Promise<string[]> =>
    (await farm.calls()).flatMap(({ legs }) => legs.filter(leg => leg.node === node).map(leg => leg.callId)).sort();
  const mute = async ({ room, participants }: RoomStatus): Promise<void> => {
    const participant = participants.find(one => one.callerNumber === '701')?.id ?? '';
    await callDaemon(control(), 'participantAction', { action: 'mute', room, participant });
  };
  /** All are where and what they were, and a listener hears its moderator alone. */
  const asBefore = async (): Promise<void> => {
    await eachInOneBridge();
    assert.deepEqual(await standing(), expected);
    await heardInTheirRooms();
  };

  test('each is in its room, as what it is there', { timeout: 60_000 }, async () => {
    calls = await Promise.all(names.map(name => Promise.all(phones.map(phone => phone.invite(farm.uri(name))))));
    await Promise.all(calls.flat().map(call => call.answered(30_000)));
    await eachInOneBridge();
    assert.deepEqual([...new Set((await list()).map(one => one.node))].sort(), ['conference-1', 'conference-2']);
    calls.forEach(([moderator, muted], i) => {
      moderator!.audio.sendTone(toneOf(i));
      muted!.audio.sendTone(mutedHz);
    });
    await Promise.all((await list()).map(mute));
    await callDaemon(control(), 'roomAction', { action: 'record', room: recorded });
    await asBefore();
  });

  test('a call node dies: its parties are back, all others were told nothing', { timeout: 60_000 }, async () => {
    const onIt = await callIdsOn('call-1');
    await farm.kill('call-1');
    await farm.whole();
    await asBefore();
    const told = calls.flat().filter(call => call.reinvites.length > 0);
    assert.deepEqual(told.map(call => call.callId).sort(), onIt);
    assert.ok(onIt.length > 5 && onIt.length < 45, `${onIt.length} of 50 were on it`);
  });

  test('a conference node dies: its rooms are elsewhere, and nobody was told', { timeout: 60_000 }, async () => {
    const before = reinvites();
    const nodeOfRecorded = async (): Promise<string> => (await list())[0]?.node ?? '';
    const node = await nodeOfRecorded();
    await farm.kill(node);
    await farm.whole();
    await asBefore();
    assert.notEqual(await nodeOfRecorded(), node);
    assert.deepEqual(reinvites(), before);
  });

  test('all leave: nothing is left but a recording in two segments', { timeout: 60_000 }, async () => {
    const done = await Promise.all(calls.flat().map(call => call.hangup()));
    assert.ok(
      done.every(status => status === 200),
      done.join(),
    );
    await nothingLeft(farm);
    const folder = join(farm.state, 'recordings');
    const [name = ''] = await readdir(folder);
    const lines = (await readFile(join(folder, name, 'recording.jsonl'), 'utf8')).trimEnd().split('\n');
    const nodes = lines.map(line => JSON.parse(line) as { segment?: string; node?: string }).filter(one => one.segment);
    assert.deepEqual(nodes.map(one => one.node).sort(), ['conference-1', 'conference-2']);
    const files = async (): Promise<string[]> =>
      (await readdir(join(folder, name))).filter(one => one.endsWith('.wav'));
    await waitFor('both files', async () => (await files()).length === 2, { deadlineMs: 15_000 });
  });
});
