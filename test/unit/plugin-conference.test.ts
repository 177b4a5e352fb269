// The conference plugin: how rooms of a config are kept, who is what in them, and what is wrong with a config, by line.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plainRoom } from '../../core/conferences/conference-record.js';
import type { IncomingCall } from '../../core/plugin-api.js';
import { TestHost } from '../../core/testing/index.js';

const config = `plugins:
  conference:
    rooms:
      - room: [8100, 81xx]
        moderators: { subscribers: ['1001'], numbers: [49.] }
        listeners: { trunks: any }
        others: 403
        maxParticipants: 3
        waitForModerator: true
        joinSound: tone:join
        activeSpeaker: true
      - { room: '8.', others: listener }
      - { room: '9[12]', activeSpeaker: { silenceMs: 500 } }
      - { room: '93', activeSpeaker: false }
`;

const folder = new URL('../../..', import.meta.url).pathname;

function call(from: Partial<IncomingCall>): IncomingCall {
  return {
    ...{ id: 'c', sipCallId: 's', source: { kind: 'subscriber', subscriber: '1002' }, dialled: '8100' },
    ...{ callerNumber: '1002', callerName: '', privacy: [], headers: {} },
    ...from,
  };
}

describe('rooms in the config', () => {
  test('the first that fits says how a room is kept and who is what in it', async () => {
    const host = await TestHost.start({ folder, config });
    const enter = (room: string, from: Partial<IncomingCall>): Promise<unknown> =>
      host.ask('enter', { room, call: call(from) });
    const trunk = { kind: 'trunk', trunk: 'lab' } as const;
    assert.deepEqual(await host.ask('room', { room: '8100' }), {
      ...plainRoom,
      ...{
        maxParticipants: 3,
        waitForModerator: true,
        joinSound: 'tone:join',
        activeSpeaker: { silenceMs: 1_000, level: 256 },
      },
    });
    assert.deepEqual(await host.ask('room', { room: '8200' }), plainRoom);
    const speakers = async (room: string): Promise<unknown> => (await host.ask('room', { room }))?.activeSpeaker;
    assert.deepEqual(await speakers('91'), { silenceMs: 500, level: 256 });
    assert.equal(await speakers('93'), null);
    assert.equal(await host.ask('room', { room: '9000' }), undefined);
    assert.deepEqual(await enter('8142', { source: { kind: 'subscriber', subscriber: '1001' } }), {
      role: 'moderator',
    });
    assert.deepEqual(await enter('8100', { source: trunk, callerNumber: '4930' }), { role: 'moderator' });
    assert.deepEqual(await enter('8100', { source: trunk }), { role: 'listener' });
    assert.deepEqual(await enter('8100', {}), { reject: 403, reason: 'room 8100 is not for this caller' });
    assert.deepEqual(await enter('8200', {}), { role: 'listener' });
    assert.equal(await enter('9000', {}), undefined);
    await host.stop();
  });

  const wrong: readonly (readonly [what: string, block: string, message: RegExp])[] = [
    ['a subscriber that is not there', '{ room: 1, moderators: { subscribers: [nobody] } }', /test\.yaml:4:.*nobody/],
    ['a pattern that is none', "{ room: '8.1' }", /test\.yaml:4:.*not at the end/],
    ['a sound that is none', '{ room: 1, joinSound: beep }', /test\.yaml:4:.*tone:join/],
    ['a silence that is none', '{ room: 1, activeSpeaker: { silenceMs: 5 } }', /test\.yaml:4:.*200/],
    ['an unknown key', '{ room: 1, maxPeople: 3 }', /test\.yaml:4:.*maxPeople/],
    ['a wait for nobody', '{ room: 1, waitForModerator: true }', /test\.yaml:4:.*nobody is a moderator/],
  ];
  for (const [what, block, message] of wrong) {
    test(`${what} is refused with its place`, async () => {
      const text = `plugins:\n  conference:\n    rooms:\n      - ${block}\n`;
      await assert.rejects(TestHost.start({ folder, config: text }), message);
    });
  }
});
