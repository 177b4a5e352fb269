// Rooms as their record has them: who is heard, who hears what, who may enter, when it ends, and how participants are named.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plainRoom, type ConferenceRecord, type Participant } from '../../core/conferences/conference-record.js';
import { audioAtEntry, audioCommands, audioOf, muteAtEntry, type Audio } from '../../core/conferences/room-audio.js';
import { endingAfter, refusalOf } from '../../core/conferences/room-rules.js';
import { changesOf } from '../../core/conferences/conference-changes.js';
import { openSegment } from '../../core/recordings/recording-segments.js';
import { following, formatRecording, newRecording } from '../../core/conferences/recording-record.js';
import { Rooms } from '../../core/conferences/rooms.js';
import { HoldfastError } from '../../core/errors.js';

function member(callId: string, more: Partial<Participant> = {}): Participant {
  return {
    ...{ legId: `leg-${callId}`, callId, callNode: 'call-1', innerLegs: 0, muted: false, deaf: false, onHold: false },
    ...{ speaking: false, role: 'speaker', entering: false, callerNumber: '', callerName: '', joinedMs: 0 },
    ...more,
  };
}

function room(participants: Participant[], more: Partial<ConferenceRecord> = {}): ConferenceRecord {
  return {
    ...{ id: 'room-8001', room: '8001', mixing: 'conference-farm', node: 'conference-1', createdMs: 0 },
    ...{ policy: plainRoom, locked: false, ending: null, participants },
    ...more,
  };
}

const policy = (more: Partial<ConferenceRecord['policy']>): Pick<ConferenceRecord, 'policy'> => ({
  policy: { ...plainRoom, ...more },
});

describe('what a participant hears, and whether it is heard', () => {
  const [a, b] = [member('a'), member('b')];

  test('each hears the room; one who is muted, or a listener, is not heard', () => {
    assert.deepEqual(audioOf(room([a, b]), a), { muted: false, hears: 'room', talkDetect: null });
    const muted = { ...a, muted: true };
    assert.deepEqual(audioOf(room([muted, b]), muted), { muted: true, hears: 'room', talkDetect: null });
    const listener = member('c', { role: 'listener' });
    assert.deepEqual(audioOf(room([a, listener]), listener), { muted: true, hears: 'room', talkDetect: null });
  });

  test('silence is sent where nobody is to be heard, as a phone may take no RTP for the end of its call', () => {
    assert.equal(audioOf(room([a]), a).hears, 'silence');
    assert.equal(audioOf(room([a, { ...b, muted: true }]), a).hears, 'silence');
    assert.equal(audioOf(room([{ ...a, deaf: true }, b]), { ...a, deaf: true }).hears, 'silence');
  });

  test('who is alone hears music where the room says so, and one who is not answered yet is no company', () => {
    const alone = policy({ musicWhenAlone: true });
    assert.equal(audioOf(room([a], alone), a).hears, 'music');
    assert.equal(audioOf(room([a, member('b', { entering: true })], alone), a).hears, 'music');
    assert.equal(audioOf(room([a, b], alone), a).hears, 'room');
  });

  test('all wait for a moderator, and again when the last one has left', () => {
    const waiting = policy({ waitForModerator: true, musicWhenAlone: true });
    assert.equal(audioOf(room([a, b], waiting), a).hears, 'music');
    assert.equal(audioOf(room([a, b, member('m', { role: 'moderator' })], waiting), a).hears, 'room');
  });

  const all: readonly Audio[] = [false, true].flatMap(muted =>
    (['room', 'music', 'silence'] as const).flatMap(hears =>
      [null, '1000,256'].map(talkDetect => ({ muted, hears, talkDetect })),
    ),
  );
  for (const wanted of all) {
    const name = `${wanted.muted ? 'muted' : 'heard'}, hears ${wanted.hears}${wanted.talkDetect ? ', listened to' : ''}`;
    test(`from anything a channel may be to: ${name}`, () => {
      const entered = audioAtEntry(muteAtEntry(wanted));
      for (const from of [...all, entered]) assert.deepEqual(afterCommands(from, audioCommands(from, wanted)), wanted);
      // What an earlier daemon had said of the same participant, but for the rest.
      const known = all.filter(({ talkDetect }) => wanted.talkDetect !== null || talkDetect === null);
      for (const from of known) assert.deepEqual(afterCommands(from, audioCommands(undefined, wanted)), wanted);
      assert.deepEqual(audioCommands(wanted, wanted), []);
    });
  }

  /** What an Asterisk makes of them: the end of music ends silence too. */
  function afterCommands(from: Audio, commands: ReturnType<typeof audioCommands>): Audio {
    let { muted } = from;
    let out = from.hears === 'nothing';
    let plays: 'music' | 'silence' | undefined =
      from.hears === 'music' || from.hears === 'silence' ? from.hears : undefined;
    let { talkDetect } = from;
    for (const command of commands) {
      if (command.do === 'setChannelVar') talkDetect = command.variable === 'TALK_DETECT(set)' ? command.value : null;
      else if (command.do === 'mute' || command.do === 'unmute') {
        if (command.direction === 'in') muted = command.do === 'mute';
        else out = command.do === 'mute';
      } else if (command.do === 'startMoh') plays = 'music';
      else if (command.do === 'startSilence') plays = 'silence';
      else if (command.do === 'stopMoh') plays = undefined;
      else if (plays === 'silence') plays = undefined;
    }
    return { muted, hears: out ? 'nothing' : (plays ?? 'room'), talkDetect };
  }
});

describe('who may enter a room, and when it ends', () => {
  test('an open room takes everybody; a locked, full or ending one refuses with its status', () => {
    const two = [member('a'), member('b', { entering: true })];
    assert.equal(refusalOf(room(two)), undefined);
    assert.equal(refusalOf(room(two, { locked: true }))?.sipStatus, 403);
    assert.equal(refusalOf(room(two, policy({ maxParticipants: 2 })))?.sipStatus, 486);
    assert.equal(refusalOf(room(two, policy({ maxParticipants: 3 }))), undefined);
    assert.equal(refusalOf(room(two, { ending: 'ended' }))?.sipStatus, 480);
  });

  test('the last moderator takes all others along where the room says so', () => {
    const [a, m, n] = [member('a'), member('m', { role: 'moderator' }), member('n', { role: 'moderator' })];
    const ends = policy({ endWhen: 'last-moderator-leaves' });
    assert.equal(endingAfter([m], room([a, n], ends)), null);
    assert.match(endingAfter([m], room([a], ends)) ?? '', /last moderator/);
    assert.equal(endingAfter([a], room([member('b')], ends)), null);
    assert.equal(endingAfter([m], room([a])), null);
  });
});

describe('a recording of a room', () => {
  type Named = ConferenceRecord & { readonly room: string };
  const named = (participants: Participant[], more: Partial<ConferenceRecord> = {}): Named => ({
    ...room(participants, more),
    room: '8001',
  });
  const [a, b] = [member('a', { joinedMs: 500 }), member('b', { joinedMs: 2_000 })];

  test('knows who is in the room at its beginning, who joins and who leaves, and ends with the room', () => {
    const both = named([a, b]);
    const joined = following(newRecording(named([a]), 1_000), named([a]), both, 2_000);
    const left = following(joined, both, named([b]), 3_000);
    const over = following(left, named([b]), undefined, 4_000);
    assert.deepEqual(
      over.stays.map(({ participant, joinedMs, leftMs }) => [participant, joinedMs, leftMs]),
      [
        ['a', 500, 3_000],
        ['b', 2_000, 4_000],
      ],
    );
    assert.equal(over.endedMs, 4_000);
    assert.equal(openSegment(over), undefined);
    assert.equal(formatRecording(over).trimEnd().split('\n').length, 3, 'one segment, two stays');
  });

  test('goes on in a new segment where its room is mixed on another node, and is not changed by a mute', () => {
    const begun = newRecording(named([a]), 1_000);
    const moved = following(begun, named([a]), named([a], { node: 'conference-2' }), 5_000);
    assert.deepEqual(
      moved.segments.map(({ node, startedMs, endedMs }) => [node, startedMs, endedMs]),
      [
        ['conference-1', 1_000, 5_000],
        ['conference-2', 5_000, null],
      ],
    );
    assert.equal(following(begun, named([a]), named([{ ...a, muted: true }]), 2_000), begun);
  });

  test('has a name that is a folder, whatever the room is called', () => {
    assert.match(newRecording({ ...named([a]), room: '../sales/é' }, 0).id, /^[\w+-]+$/);
  });
});

describe('what has happened between two records', () => {
  const types = (...pair: Parameters<typeof changesOf>): string[] => changesOf(...pair).map(({ type }) => type);
  const [a, b] = [member('a'), member('b')];

  test('is told in its order, and one who is entering has not joined', () => {
    assert.deepEqual(types(undefined, room([])), ['created']);
    assert.deepEqual(types(room([a]), room([a, { ...b, entering: true }])), []);
    assert.deepEqual(types(room([a, { ...b, entering: true }]), room([a, b])), ['joined']);
    assert.deepEqual(types(room([a, b]), room([{ ...a, muted: true, deaf: true }], { locked: true })), [
      ...['locked', 'muted', 'deafened', 'left'],
    ]);
    assert.deepEqual(types(room([a]), room([a], { node: 'conference-2' })), ['moved']);
    assert.deepEqual(types(room([a]), undefined), ['left', 'ended']);
  });
});

describe('an operation on a room', () => {
  const rooms = (conference: ConferenceRecord): { rooms: Rooms; out: string[] } => {
    let now = conference;
    const out: string[] = [];
    const keeper = {
      list: () => [now],
      change: async (_: string, change: (before: ConferenceRecord) => ConferenceRecord) => (now = change(now)),
      putOut: (callId: string) => void out.push(callId),
      endRoom: async () => now,
    };
    const recordings = {
      of: () => undefined,
      start: () => Promise.reject(new Error('not in this test')),
      stop: () => Promise.reject(new Error('not in this test')),
    };
    const nobodyElse = {
      add: () => Promise.reject(new Error('not in this test')),
      merge: () => Promise.reject(new Error('not in this test')),
    };
    return {
      rooms: new Rooms({ conferences: () => keeper, recordings: () => recordings, calls: () => nobodyElse }),
      out,
    };
  };
  const code =
    (wanted: string) =>
    (error: unknown): boolean =>
      HoldfastError.is(error) && error.code === wanted;

  test('names a participant by its id or the beginning of it, and is refused where that fits several or nobody', async () => {
    const { rooms: control, out } = rooms(room([member('abc1'), member('abd2'), member('ab')]));
    assert.equal((await control.mute('8001', 'abc')).participants[0]?.muted, true);
    assert.equal((await control.deafen('room-8001', 'abd2')).participants[1]?.deaf, true);
    assert.equal((await control.mute('8001', 'ab')).participants[2]?.muted, true, 'a whole id goes before a beginning');
    await assert.rejects(control.mute('8001', 'x'), code('PARTICIPANT_NOT_FOUND'));
    await assert.rejects(control.mute('8001', 'a'), /3 participants .* abc1, abd2, ab/);
    await control.kick('8001', 'abc');
    assert.deepEqual(out, ['abc1']);
  });

  test('is refused for a room that is not there, and a listener is not unmuted', async () => {
    const { rooms: control } = rooms(room([member('a', { role: 'listener' })]));
    await assert.rejects(control.lock('9'), code('CONFERENCE_NOT_FOUND'));
    await assert.rejects(control.unmute('8001', 'a'), code('CONFERENCE_REFUSED'));
    assert.equal((await control.lock('8001')).locked, true);
    assert.equal((await control.unlock('8001')).locked, false);
  });
});
