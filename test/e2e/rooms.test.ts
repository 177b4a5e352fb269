// Rooms with real audio: who is heard by whom, as ordered and as the config says, recorded, and again after the deaths of servers.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import type { RoomStatus } from '../../core/control/views.js';
import { statePaths } from '../../core/host/state-folder.js';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { leftovers } from '../harness/leftovers.js';
import { localConfig } from '../harness/local-config.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { roomBridges } from '../harness/room-bridges.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { firstHeard, sharesOf } from '../harness/tone.js';
import { waitFor } from '../harness/wait-for.js';
import { wavHeaderBytes, wavRate } from '../harness/wav.js';

/** One of each party; its number ends in its place here. */
const tones = [440, 620, 830, 1070, 1330];

const rooms = `
    rooms:
      - room: '8100'
        moderators: { numbers: ['700'] }
        listeners: { numbers: ['702'] }
        waitForModerator: true
        musicWhenAlone: true
        endWhen: last-moderator-leaves
        joinSound: tone:join
      - { room: '8200', maxParticipants: 1, maxSeconds: 4 }
      - { room: '8300', others: 403 }
      - { room: [8500, 8501], joinSound: tone:join, leaveSound: tone:leave }
      - { room: '8502', activeSpeaker: { silenceMs: 300 } }
`;

interface Party {
  readonly call: OutgoingCall;
  readonly hz: number;
}

let farm: Farm;
const phones: SipEndpoint[] = [];
/** Those who are in a room now. */
let parties: Party[] = [];

before(async () => {
  const local = await localConfig();
  farm = await Farm.up({ config: local.replace(/(twoParty: call-node)[^\n]*\n/, `$1${rooms}`) });
  for (const i of tones.keys())
    phones.push(await SipEndpoint.open({ address: farm.host(200 + i), user: `70${i}`, codecs: ['PCMA'] }));
});
after(async () => {
  await closeAll(...phones);
  await farm.down();
});

async function enter(i: number, name: string): Promise<Party> {
  const call = await phones[i]!.invite(farm.uri(name));
  await call.answered();
  const hz = tones[i]!;
  call.audio.sendTone(hz);
  const party = { call, hz };
  parties.push(party);
  return party;
}

/** What `conference list NAME --json` shows. */
async function room(name: string): Promise<RoomStatus> {
  return (await callDaemon(statePaths(farm.state).controlSocket, 'rooms', { room: name }))[0]!;
}

async function idOf(i: number, name = '8001'): Promise<string> {
  const found = (await room(name)).participants.find(one => one.callerNumber === `70${i}`);
  assert.ok(found, `70${i} is in room ${name}`);
  return found.id;
}

/** Everybody who is not deaf hears all others who are not muted, and nobody else. */
async function heardAsOrdered(muted: readonly number[] = [], deaf: readonly number[] = []): Promise<void> {
  const isOne = (list: readonly number[], hz: number): boolean => list.some(i => tones[i] === hz);
  await Promise.all(
    parties.map(async ({ call, hz }) => {
      const speaking = parties.map(one => one.hz).filter(one => one !== hz && !isOne(muted, one));
      const silent = tones.filter(one => !speaking.includes(one));
      if (isOne(deaf, hz)) await hearsSilence(call);
      else await call.audio.hearsMix(speaking, silent, 15_000);
    }),
  );
}

async function hearsSilence(call: OutgoingCall): Promise<void> {
  await waitFor('silence', () => call.audio.heard() === undefined, { deadlineMs: 15_000 });
  call.audio.resetReport();
  await waitFor('RTP all the same', () => call.audio.report().packets > 10, { deadlineMs: 15_000 });
}

async function bridges(): Promise<string[]> {
  return (await leftovers(farm)).filter(one => /^conference-\d+: bridge/.test(one));
}

async function kill(node: string): Promise<void> {
  parties.forEach(({ call }) => call.audio.resetReport());
  await farm.kill(node);
}

describe('a room of five parties', () => {
  after(() => (parties = []));

  const ordered = async (): Promise<unknown> => {
    const { locked, participants } = await room('8001');
    const each = participants.map(({ id, muted, deaf, role }) => [id, muted, deaf, role].join(' ')).sort();
    return { locked, each };
  };
  /** When, in ms since 1970, what was first heard as it should be. */
  const moments: Record<string, number> = {};

  test('four of them, on two call nodes, each hear the three others', { timeout: 60_000 }, async () => {
    await farm.json('drain', 'call-2');
    await Promise.all([enter(0, '8001'), enter(1, '8001')]);
    await farm.json('undrain', 'call-2');
    await farm.json('drain', 'call-1');
    await Promise.all([enter(2, '8001'), enter(3, '8001')]);
    await farm.json('undrain', 'call-1');
    await heardAsOrdered();
    assert.equal((await bridges()).length, 1);
  });

  test(
    'it is recorded, and one joins late: each of five hears the four others and not itself',
    { timeout: 60_000 },
    async () => {
      await farm.json('conference', 'record', '8001', 'start');
      assert.match((await room('8001')).recording ?? '', /^8001-/);
      const { stderr } = await farm.cli(['conference', 'record', '8001', 'start']);
      assert.match(stderr, /is being recorded, as 8001-/);
      moments['four'] = Date.now();
      await enter(4, '8001');
      await heardAsOrdered();
      moments['five'] = Date.now();
    },
  );

  test('one is muted, one hears nobody any more, and each is put back', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'mute', '8001', (await idOf(0)).slice(0, -2));
    await farm.json('conference', 'deafen', '8001', await idOf(3));
    await heardAsOrdered([0], [3]);
    moments['muted'] = Date.now();
    await farm.json('conference', 'unmute', '8001', await idOf(0));
    await farm.json('conference', 'undeafen', '8001', await idOf(3));
    await heardAsOrdered();
  });

  test('nobody comes into a locked room: 403, before the answer', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'lock', '8001');
    const refused = await phones[0]!.invite(farm.uri('8001'));
    assert.equal(await refused.rejected(), 403);
  });

  test('one who is put out is hung up, and heard no more', { timeout: 60_000 }, async () => {
    assert.ok(
      parties.every(({ call }) => call.reinvites.length === 0),
      'no phone was told of any of it',
    );
    await farm.json('conference', 'kick', '8001', await idOf(4));
    await parties[4]!.call.ended();
    parties.splice(4, 1);
    await heardAsOrdered();
  });

  test('its servers die: all are back, muted, deaf and locked as they were', { timeout: 120_000 }, async t => {
    await farm.json('conference', 'mute', '8001', await idOf(0));
    await farm.json('conference', 'deafen', '8001', await idOf(2));
    await heardAsOrdered([0], [2]);
    const before = await ordered();
    for (const node of ['call-1', 'call-2', (await room('8001')).node]) {
      await kill(node);
      await heardAsOrdered([0], [2]);
      await farm.whole();
      assert.deepEqual(await ordered(), before, `after the death of ${node}`);
      assert.equal((await bridges()).length, 1);
      const silences = parties.map(({ call }) => Math.round(call.audio.report().largestGapMs));
      t.diagnostic(`${node}: silences of ${silences.join(', ')} ms`);
    }
    assert.match((await room('8001')).recording ?? '', /^8001-/);
  });

  test('the daemon dies: what was ordered still holds, and can be taken back', { timeout: 60_000 }, async () => {
    const before = await ordered();
    await farm.daemonAfter(await farm.killDaemon());
    assert.deepEqual(await ordered(), before);
    await heardAsOrdered([0], [2]);
    await farm.json('conference', 'unmute', '8001', await idOf(0));
    await farm.json('conference', 'undeafen', '8001', await idOf(2));
    await heardAsOrdered();
    moments['last'] = Date.now();
  });

  test('the end of the room hangs up everybody, and nothing is left', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'end', '8001');
    await Promise.all(parties.map(({ call }) => call.ended()));
    await nothingLeft(farm);
    assert.deepEqual(await farm.json('conference', 'list'), []);
    const { code, stderr } = await farm.cli(['conference', 'lock', '8001']);
    assert.equal(code, 1);
    assert.match(stderr, /nobody is in a room "8001"/);
  });

  test(
    'the recording has the right tones at the right times, in a segment for each conference node',
    { timeout: 60_000 },
    async () => {
      const [name = ''] = await readdir(join(farm.state, 'recordings'));
      const folder = join(farm.state, 'recordings', name);
      const lines = async (): Promise<Record<string, string>[]> =>
        (await readFile(join(folder, 'recording.jsonl'), 'utf8'))
          .trimEnd()
          .split('\n')
          .map(line => JSON.parse(line) as Record<string, string>);
      const files = async (): Promise<string[]> => (await readdir(folder)).filter(one => one.endsWith('.wav'));
      await waitFor('both files', async () => (await files()).length === 2, { deadlineMs: 15_000 });
      const segments = (await lines()).filter(line => line['segment'] !== undefined);
      const stays = (await lines()).filter(line => line['participant'] !== undefined);
      assert.equal(new Set(segments.map(one => one['node'])).size, 2);
      assert.deepEqual(stays.map(one => one['callerNumber']).sort(), ['700', '701', '702', '703', '704']);
      assert.ok(stays.every(one => Date.parse(one['joinedAt'] ?? '') <= Date.parse(one['leftAt'] ?? '')));
      const samplesOf = async (segment: number, atMs: number): Promise<Int16Array> => {
        const { segment: file = '', startedAt = '' } = segments[segment] ?? {};
        const wav = await readFile(join(folder, file));
        assert.equal(wav.readUInt32LE(40), wav.length - wavHeaderBytes, 'its header says how long it is');
        const samples = new Int16Array(new Uint8Array(wav.subarray(wavHeaderBytes)).buffer);
        const end = Math.round(((atMs - Date.parse(startedAt)) * wavRate) / 1000);
        return samples.slice(end - wavRate / 5, end);
      };
      /** Those whose tone is in the 200 ms before that moment, by their places. */
      const heardAt = async (segment: number, moment: string): Promise<number[]> => {
        const shares = sharesOf(tones, await samplesOf(segment, moments[moment] ?? 0), wavRate);
        return [...shares.keys()].filter(i => (shares[i] ?? 0) > 0.05);
      };
      assert.deepEqual(await heardAt(0, 'five'), [0, 1, 2, 3, 4]);
      assert.deepEqual(await heardAt(0, 'muted'), [1, 2, 3, 4]);
      assert.deepEqual(await heardAt(1, 'last'), [0, 1, 2, 3]);
    },
  );
});

interface ToldEvent {
  readonly seq: number;
  readonly type: string;
  readonly callerNumber?: string;
}

/** All that is kept. */
async function events(): Promise<ToldEvent[]> {
  const { stdout } = await farm.cli(['events']);
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line) as ToldEvent);
}

describe('the event stream', () => {
  test('has all that happened to the room and its calls, each once, over the death of the daemon', async () => {
    // A recording is done a moment after its last file is there.
    const all = await waitFor('the recording to be done', async () => {
      const told = await events();
      return told.some(({ type }) => type === 'recording.done') && told;
    });
    assert.ok(all.every(({ seq }, i) => i === 0 || seq > (all[i - 1]?.seq ?? 0)));
    const count = (wanted: string): number => all.filter(({ type }) => type === wanted).length;
    const expected = {
      created: 1,
      joined: 5,
      left: 5,
      moved: 1,
      locked: 1,
      muted: 2,
      unmuted: 2,
      deafened: 2,
      ended: 1,
    };
    for (const [what, times] of Object.entries(expected)) assert.equal(count(`conference.${what}`), times, what);
    assert.deepEqual([count('recording.started'), count('recording.done')], [1, 1]);
    assert.deepEqual([count('call.started'), count('call.answered'), count('call.ended')], [6, 5, 6]);
    assert.equal(count('conference.startedSpeaking'), 0, 'nobody asked who speaks');
  });
});

describe('a room of the config', () => {
  after(() => (parties = []));
  afterEach(() => nothingLeft(farm));

  test(
    'waits for its moderator with music, has a listener who is not heard, and ends with the moderator',
    { timeout: 60_000 },
    async () => {
      const [speaker, listener] = [await enter(1, '8100'), await enter(2, '8100')];
      assert.equal((await room('8100')).waiting, true);
      for (const { call } of [speaker, listener]) {
        await waitFor('music', () => call.audio.heard() !== undefined, { deadlineMs: 15_000 });
        const isOther = (hz = 0): boolean => tones.some(tone => Math.abs(tone - hz) < 5);
        assert.equal(isOther(call.audio.heard()?.hz), false, 'music, and none of the parties');
      }
      const moderator = await enter(0, '8100');
      const roles = (await room('8100')).participants.map(({ callerNumber, role }) => `${callerNumber} ${role}`);
      assert.deepEqual(roles.sort(), ['700 moderator', '701 speaker', '702 listener']);
      await heardAsOrdered([2]);
      const { code, stderr } = await farm.cli(['conference', 'unmute', '8100', await idOf(2, '8100')]);
      assert.equal(code, 1);
      assert.match(stderr, /listener/);
      assert.equal(await moderator.call.hangup(), 200);
      await Promise.all([speaker.call.ended(), listener.call.ended()]);
    },
  );

  test(
    'takes no more than it may, refuses whom it is not for, and lasts no longer than it may',
    { timeout: 60_000 },
    async () => {
      const first = await enter(0, '8200');
      assert.equal(await (await phones[1]!.invite(farm.uri('8200'))).rejected(), 486);
      assert.equal(await (await phones[1]!.invite(farm.uri('8300'))).rejected(), 403);
      await first.call.ended();
    },
  );

  test(
    'says with a sound who comes and goes: to those who hear the room, and to nobody else',
    { timeout: 60_000 },
    async () => {
      const [low, high] = [523.25, 783.99];
      const enterSilently = async (i: number, name: string): Promise<OutgoingCall> => {
        const { call } = await enter(i, name);
        call.audio.sendTone(0);
        return call;
      };
      /** What a party hears from now on: when each tone comes first. */
      const listen = (call: OutgoingCall): ((hz: number) => number | undefined) => {
        const captured = call.audio.capture();
        return hz => firstHeard(hz, captured(), 8_000);
      };
      const hears = (what: string, at: ReturnType<typeof listen>, first: number, second: number): Promise<unknown> =>
        waitFor(what, () => (at(first) ?? Infinity) < (at(second) ?? -Infinity), { deadlineMs: 15_000 });

      const [one, elsewhere] = [await enterSilently(0, '8500'), await enterSilently(1, '8501')];
      const [atOne, atElsewhere] = [listen(one), listen(elsewhere)];
      const other = await enterSilently(2, '8500');
      await hears('the sound of the second', atOne, low, high);
      const heardMs = Date.now();
      await farm.json('conference', 'deafen', '8500', await idOf(0, '8500'));
      // By the clock that the daemon counts it by: RTP that a machine held back comes all at once.
      await waitFor('a second, in which one sound is enough', () => Date.now() - heardMs > 1_000);
      const [atDeaf, atOther] = [listen(one), listen(other)];
      const third = await enterSilently(3, '8500');
      await hears('the sound of the third', atOther, low, high);
      const atOtherThen = listen(other);
      await third.hangup();
      await hears('the sound of its leaving', atOtherThen, high, low);
      for (const { audio } of [one, elsewhere]) {
        audio.resetReport();
        await waitFor('what would come late', () => audio.report().packets > 25, { deadlineMs: 15_000 });
      }
      assert.deepEqual([atDeaf(low), atDeaf(high)], [undefined, undefined], 'one who is deaf');
      assert.deepEqual([atElsewhere(low), atElsewhere(high)], [undefined, undefined], 'one in another room');
      await Promise.all([one, elsewhere, other].map(call => call.hangup()));
    },
  );

  test(
    'tells who speaks: not of one who is muted, and again when its nodes or the daemon have died',
    { timeout: 90_000 },
    async () => {
      const before = await events();
      const speaking = async (): Promise<string> => {
        const { participants } = await room('8502');
        return participants
          .filter(one => one.speaking)
          .map(one => one.callerNumber)
          .sort()
          .join();
      };
      const is = (wanted: string): Promise<unknown> =>
        waitFor(`${wanted} to speak`, async () => (await speaking()) === wanted, {
          deadlineMs: 20_000,
          describe: speaking,
        });
      const [first, second] = [await enter(0, '8502'), await enter(1, '8502')];
      await is('700,701');
      first.call.audio.sendTone(0);
      await is('701');
      await farm.json('conference', 'mute', '8502', await idOf(1, '8502'));
      await is('');
      await farm.json('conference', 'unmute', '8502', await idOf(1, '8502'));
      await is('701');
      await kill((await room('8502')).node);
      first.call.audio.sendTone(first.hz);
      second.call.audio.sendTone(0);
      await is('700');
      await farm.whole();
      const died = await farm.killDaemon();
      first.call.audio.sendTone(0);
      second.call.audio.sendTone(second.hz);
      await farm.daemonAfter(died);
      await is('701');
      await Promise.all([first, second].map(({ call }) => call.hangup()));
      const told = (await events()).slice(before.length).filter(({ type }) => /Speaking$/.test(type));
      const of = (number: string): string[] =>
        told.filter(one => one.callerNumber === number).map(({ type }) => type.replace('conference.', ''));
      const [started, stopped] = ['startedSpeaking', 'stoppedSpeaking'];
      assert.deepEqual(of('700'), [started, stopped, started, stopped]);
      assert.deepEqual(of('701'), [started, stopped, started, stopped, started, stopped]);
    },
  );

  test(
    'thirty come at once, and come again when its node dies: one bridge, thirty in it',
    { timeout: 120_000 },
    async () => {
      const silent = await SipEndpoint.open({ address: farm.host(205), user: '710', codecs: ['PCMU'], sends: false });
      phones.push(silent);
      const calls = await Promise.all(Array.from({ length: 30 }, () => silent.invite(farm.uri('8400'))));
      await Promise.all(calls.map(call => call.answered(30_000)));
      const inBridges = async (): Promise<string> =>
        (await roomBridges(farm)).map(one => `${one.id} ${one.phones}`).join();
      const all = async (): Promise<boolean> => (await inBridges()) === 'room-8400 30';
      await waitFor('thirty in one bridge', all, { deadlineMs: 20_000, describe: inBridges });
      const { node } = await room('8400');
      await kill(node);
      await waitFor('another node', async () => (await room('8400')).node !== node, { deadlineMs: 20_000 });
      await waitFor('thirty in one bridge', all, { deadlineMs: 20_000, describe: inBridges });
      await farm.whole();
      assert.equal(await inBridges(), 'room-8400 30');
      await farm.json('conference', 'end', '8400');
      await Promise.all(calls.map(call => call.ended(20_000)));
    },
  );
});

describe('a phone that holds in a room', () => {
  after(async () => {
    await Promise.all(parties.map(({ call }) => call.hangup()));
    parties = [];
    await nothingLeft(farm);
  });

  test(
    'is silent there, over a refresh, and heard when it is back with a stream of its own',
    { timeout: 60_000 },
    async () => {
      const [holder, ...others] = [await enter(0, '8002'), await enter(1, '8002'), await enter(2, '8002')] as const;
      for (const { call } of others) call.audio.sendTone(0);
      const hearHolder = (): Promise<unknown> => Promise.all(others.map(({ call }) => call.audio.hears(holder.hz)));
      await hearHolder();
      for (const _ of ['holds', 'refreshes']) {
        assert.equal((await holder.call.reinvite({ direction: 'sendonly' })).status, 200);
        await Promise.all(others.map(({ call }) => hearsSilence(call)));
      }
      assert.equal((await holder.call.reinvite({ direction: 'sendrecv' })).status, 200);
      holder.call.audio.renumber(5_000);
      await hearHolder();
    },
  );
});
