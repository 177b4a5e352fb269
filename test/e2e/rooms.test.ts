// Rooms with real audio: who is heard by whom, as it is ordered on the command line, and again after the deaths of servers.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import type { RoomStatus } from '../../core/control/operations.js';
import { statePaths } from '../../core/host/state-folder.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { leftovers } from '../harness/leftovers.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

/** One of each party. */
const tones = [440, 620, 830, 1070, 1330];

interface Party {
  readonly phone: SipEndpoint;
  readonly call: OutgoingCall;
  readonly hz: number;
}

describe('a room of five parties', () => {
  let farm: Farm;
  const phones: SipEndpoint[] = [];
  const parties: Party[] = [];

  before(async () => {
    farm = await Farm.up();
    for (const i of tones.keys())
      phones.push(await SipEndpoint.open({ address: farm.host(200 + i), user: `70${i}`, codecs: ['PCMA'] }));
  });
  after(async () => {
    await Promise.allSettled(phones.map(phone => phone.close()));
    await farm.down();
  });

  const enter = async (i: number, room = '8001'): Promise<Party> => {
    const phone = phones[i]!;
    const call = await phone.invite(farm.uri(room));
    await call.answered();
    const hz = tones[i]!;
    call.audio.sendTone(hz);
    const party = { phone, call, hz };
    parties.push(party);
    return party;
  };
  /** What `conference list 8001 --json` shows. */
  const room = async (): Promise<RoomStatus> =>
    (await callDaemon(statePaths(farm.state).controlSocket, 'rooms', { room: '8001' }))[0]!;
  const idOf = async (i: number): Promise<string> => {
    const found = (await room()).participants.find(one => one.callerNumber === `70${i}`);
    assert.ok(found, `70${i} is in the room`);
    return found.id;
  };
  /** Everybody who is not deaf hears all others who are not muted, and nobody else. */
  const heardAsOrdered = async (muted: readonly number[] = [], deaf: readonly number[] = []): Promise<void> => {
    const hzOf = (list: readonly number[]): number[] => list.map(i => tones[i]!);
    await Promise.all(
      parties.map(async ({ call, hz }) => {
        const speaking = parties.map(one => one.hz).filter(one => one !== hz && !hzOf(muted).includes(one));
        const silent = tones.filter(one => !speaking.includes(one));
        if (hzOf(deaf).includes(hz)) await hearsNothing(call);
        else await call.audio.hearsMix(speaking, silent, 15_000);
      }),
    );
  };
  const hearsNothing = async (call: OutgoingCall): Promise<void> => {
    await waitFor('silence', () => call.audio.heard() === undefined, { deadlineMs: 15_000 });
    call.audio.resetReport();
    await waitFor('RTP all the same', () => call.audio.report().packets > 10, { deadlineMs: 15_000 });
  };
  const bridges = async (): Promise<string[]> =>
    (await leftovers(farm)).filter(one => /^conference-\d+: bridge/.test(one));

  test('four of them, on two call nodes, each hear the three others', { timeout: 60_000 }, async () => {
    await farm.json('drain', 'call-2');
    await Promise.all([enter(0), enter(1)]);
    await farm.json('undrain', 'call-2');
    await farm.json('drain', 'call-1');
    await Promise.all([enter(2), enter(3)]);
    await farm.json('undrain', 'call-1');
    await heardAsOrdered();
    assert.equal((await bridges()).length, 1);
  });

  test('one joins late: each of five hears the four others and not itself', { timeout: 60_000 }, async () => {
    await enter(4);
    await heardAsOrdered();
  });

  test('one is muted, one hears nobody any more, and each is put back', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'mute', '8001', (await idOf(0)).slice(0, -2));
    await heardAsOrdered([0]);
    await farm.json('conference', 'deafen', '8001', await idOf(3));
    await heardAsOrdered([0], [3]);
    await farm.json('conference', 'unmute', '8001', await idOf(0));
    await farm.json('conference', 'undeafen', '8001', await idOf(3));
    await heardAsOrdered();
  });

  test('nobody comes into a locked room: 403, before the answer', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'lock', '8001');
    const refused = await phones[0]!.invite(farm.uri('8001'));
    assert.equal(await refused.rejected(), 403);
    await farm.json('conference', 'unlock', '8001');
  });

  test('one who is put out is hung up, and heard no more', { timeout: 60_000 }, async () => {
    await farm.json('conference', 'kick', '8001', await idOf(4));
    await parties[4]!.call.ended();
    parties.splice(4, 1);
    await heardAsOrdered();
  });

  const kill = async (node: string): Promise<void> => {
    process.kill(await farm.pid(node), 'SIGKILL');
  };
  const ordered = async (): Promise<unknown> => {
    const { locked, participants } = await room();
    const each = participants.map(({ id, muted, deaf, role }) => [id, muted, deaf, role].join(' ')).sort();
    return { locked, each };
  };

  test(
    'call node and conference node die: all are back, muted, deaf and locked as they were',
    { timeout: 90_000 },
    async t => {
      await farm.json('conference', 'mute', '8001', await idOf(0));
      await farm.json('conference', 'deafen', '8001', await idOf(2));
      await farm.json('conference', 'lock', '8001');
      await heardAsOrdered([0], [2]);
      const before = await ordered();
      for (const node of ['call-1', 'call-2', (await room()).node]) {
        parties.forEach(({ call }) => call.audio.resetReport());
        await kill(node);
        await farm.whole();
        await heardAsOrdered([0], [2]);
        assert.deepEqual(await ordered(), before, `after the death of ${node}`);
        assert.equal((await bridges()).length, 1);
        t.diagnostic(
          `${node}: ${parties.map(({ call }) => Math.round(call.audio.report().largestGapMs)).join(', ')} ms`,
        );
      }
    },
  );

  test('the daemon dies: what was ordered still holds, and can be taken back', { timeout: 60_000 }, async () => {
    const before = await ordered();
    const { daemon } = await farm.status();
    process.kill(daemon.pid, 'SIGKILL');
    const isBack = async (): Promise<boolean> => {
      const status = await farm.status();
      return status.ready && status.daemon.pid !== daemon.pid;
    };
    await waitFor('the next daemon', isBack, { deadlineMs: 30_000, everyMs: 200 });
    assert.deepEqual(await ordered(), before);
    await heardAsOrdered([0], [2]);
    await farm.json('conference', 'unmute', '8001', await idOf(0));
    await farm.json('conference', 'undeafen', '8001', await idOf(2));
    await heardAsOrdered();
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
});
