// What the phones of a conference hear: who is on hold hears music, and whoever is left alone by that hears silence.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { conferenceRecordSchema, type ConferenceRecord } from '../../core/conferences/conference-record.js';
import { earCommands, earsOf } from '../../core/conferences/ears.js';

/** One member for each letter; a capital one is on hold. */
function conference(members: string, room: string | null = null): ConferenceRecord {
  const participants = members.split('').map(letter => ({
    ...{ legId: letter, callId: letter, callNode: 'call-1', muted: false, role: 'speaker' },
    onHold: letter !== letter.toLowerCase(),
  }));
  return conferenceRecordSchema.parse({
    ...{ id: 'c', room, mixing: 'call-node', node: 'call-1', createdMs: 0, participants },
  });
}

function heard(members: string, room: string | null = null): string {
  const record = conference(members, room);
  return record.participants.map(one => earsOf(record, one)).join(' ');
}

describe('what a phone hears', () => {
  it('is the conference, music on hold, or silence where all others are on hold', () => {
    assert.equal(heard('ab'), 'conference conference');
    assert.equal(heard('Ab'), 'music silence');
    assert.equal(heard('AB'), 'music music');
    assert.equal(heard('Abc'), 'music conference conference');
    assert.equal(heard('a'), 'conference');
  });

  it('is said at the other end of the inner legs in a room, but for music on hold', () => {
    assert.equal(heard('Ab', '8001'), 'music conference');
  });
});

describe('the commands', () => {
  it('go from what is heard to what should be, and say everything where nothing is known', () => {
    assert.deepEqual(earCommands('conference', 'conference'), []);
    assert.deepEqual(earCommands('conference', 'music'), ['leaveBridge', 'startMoh']);
    assert.deepEqual(earCommands('music', 'silence'), ['stopMoh', 'enterBridge', 'startSilence']);
    assert.deepEqual(earCommands('silence', 'music'), ['stopSilence', 'leaveBridge', 'startMoh']);
    assert.deepEqual(earCommands(undefined, 'music'), ['stopSilence', 'leaveBridge', 'startMoh']);
    assert.deepEqual(earCommands(undefined, 'conference'), ['stopSilence', 'stopMoh', 'enterBridge']);
  });
});
