// Who speaks in a room: told in time, no faster than followers can bear, never of those who are not heard, and doubted when nothing more is heard.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import { changesOf, speakerChanges } from '../../core/conferences/conference-changes.js';
import {
  conferenceRecordSchema,
  innerLegId,
  type ConferenceRecord,
  type Participant,
} from '../../core/conferences/conference-record.js';
import { audioOf } from '../../core/conferences/room-audio.js';
import { Speakers, withSpeakers } from '../../core/conferences/speakers.js';
import { silentLogger } from '../../core/log.js';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

function roomOf(more: object = {}): ConferenceRecord {
  const participants = names.map(name => ({
    ...{ legId: name, callId: name, callNode: 'call-1', muted: false, role: 'speaker', callerNumber: `70${name}` },
  }));
  return conferenceRecordSchema.parse({
    ...{ id: 'room-1', room: '1', mixing: 'conference-farm', node: 'conference-1', createdMs: 0, participants },
    policy: { activeSpeaker: { silenceMs: 1_000, level: 256 } },
    ...more,
  });
}

const inner = (legId: string, innerLegs = 0): string => innerLegId({ legId, innerLegs });
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('who speaks in a room', () => {
  let now: ConferenceRecord;
  let told: string[];
  let asked: string[];
  let speakers: Speakers;

  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
    [now, told, asked] = [roomOf(), [], []];
    speakers = new Speakers({
      book: { get: () => now, list: () => [now] },
      log: silentLogger,
      keep: async (_, speaking) => save(withSpeakers(now, speaking)),
      listenAnew: async (_, innerId) => asked.push(innerId),
    });
  });
  afterEach(() => mock.timers.reset());

  /** As the book does it: the record, then whoever is told of it. */
  function save(after: ConferenceRecord): void {
    const before = now;
    now = after;
    for (const change of changesOf(before, after))
      if ('participant' in change) told.push(`${change.participant.legId} ${change.type}`);
    speakers.changed(before, after);
  }
  const change = (legId: string, more: Partial<Participant>): void =>
    save({ ...now, participants: now.participants.map(one => (one.legId === legId ? { ...one, ...more } : one)) });
  async function pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      mock.timers.tick(100);
      await turn();
    }
  }
  const hears = (legId: string, speaks = true): void => speakers.heard('conference-1', inner(legId), speaks);

  test('is told at once, and at its end', async () => {
    hears('a');
    await pass(100);
    assert.deepEqual(told, ['a startedSpeaking']);
    hears('a', false);
    await pass(500);
    assert.deepEqual(told, ['a startedSpeaking', 'a stoppedSpeaking']);
  });

  test('is no news where it is over before it could be told', async () => {
    hears('a');
    await pass(100);
    hears('b');
    hears('b', false);
    await pass(1_000);
    assert.deepEqual(told, ['a startedSpeaking']);
  });

  test('is told of five at a time, twice a second: a room in which all shout fills no log', async () => {
    names.forEach(name => hears(name));
    await pass(100);
    assert.equal(told.length, 5);
    await pass(300);
    assert.equal(told.length, 5);
    await pass(200);
    assert.equal(told.length, 7);
  });

  test('is nobody who is muted, on hold, a listener, or waits for a moderator', async () => {
    hears('a');
    await pass(100);
    change('a', { muted: true });
    hears('a');
    await pass(1_000);
    assert.deepEqual(told, ['a startedSpeaking', 'a muted', 'a stoppedSpeaking']);
    change('a', { muted: false });
    await pass(1_000);
    assert.deepEqual(told.slice(3), ['a unmuted'], 'what was heard before does not count any more');
    change('b', { role: 'listener' });
    change('c', { onHold: true });
    ['b', 'c'].forEach(name => hears(name));
    await pass(1_000);
    assert.equal(told.length, 4);
    const waiting = roomOf({ policy: { ...now.policy, waitForModerator: true } });
    assert.equal(audioOf(waiting, waiting.participants[0]!).talkDetect, null);
  });

  test('is nobody in a room that does not ask: its nodes listen to nobody', async () => {
    save({ ...now, policy: { ...now.policy, activeSpeaker: null } });
    hears('a');
    await pass(1_000);
    assert.deepEqual(told, []);
    assert.equal(audioOf(now, now.participants[0]!).talkDetect, null);
    assert.equal(audioOf(roomOf(), now.participants[0]!).talkDetect, '1000,256');
  });

  test('is listened to anew after a while, and has stopped where nothing is heard then', async () => {
    hears('a');
    await pass(10_000);
    assert.deepEqual(asked, [inner('a')]);
    hears('a');
    await pass(10_000);
    assert.deepEqual([asked.length, told], [2, ['a startedSpeaking']]);
    await pass(3_500);
    assert.deepEqual(told, ['a startedSpeaking', 'a stoppedSpeaking']);
  });

  test('goes on speaking where its leg is made anew, and has stopped where the new one hears nothing', async () => {
    for (const name of ['a', 'b']) hears(name);
    await pass(100);
    for (const name of ['a', 'b']) change(name, { innerLegs: 1 });
    hears('b', false);
    speakers.heard('conference-1', inner('a', 1), true);
    await pass(5_000);
    assert.deepEqual(told, ['a startedSpeaking', 'b startedSpeaking', 'b stoppedSpeaking']);
  });

  test('is doubted by the next daemon, and told as it is then', async () => {
    now = withSpeakers(now, new Map([['a', true]]));
    speakers.takeUp(now);
    await pass(4_000);
    assert.deepEqual(told, ['a stoppedSpeaking']);
  });

  test('has stopped when it leaves, and speaks where it comes to', () => {
    const speaking = withSpeakers(now, new Map([['a', true]]));
    const left = { ...speaking, participants: speaking.participants.slice(1) };
    assert.deepEqual(
      changesOf(speaking, left).map(({ type }) => type),
      ['stoppedSpeaking', 'left'],
    );
    assert.deepEqual(
      changesOf(left, speaking).map(({ type }) => type),
      ['joined', 'startedSpeaking'],
    );
    assert.deepEqual(speakerChanges(left, speaking), [
      {
        type: 'startedSpeaking',
        facts: {
          ...{ conference: 'room-1', room: '1', participant: 'a', call: 'a', callerNumber: '70a', callerName: '' },
          role: 'speaker',
        },
      },
    ]);
  });
});
