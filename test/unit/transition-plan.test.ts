// Where a conference is mixed after others have come into it, and what of it is new.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { conferenceRecordSchema, type ConferenceRecord } from '../../core/conferences/conference-record.js';
import {
  changesBetween,
  changesBridge,
  innerChange,
  outgrows,
  withParticipants,
} from '../../core/conferences/transition-plan.js';

/** A member for each word: the leg, and the number of its call node. */
function conference(
  id: string,
  mixing: ConferenceRecord['mixing'],
  node: string,
  ...members: string[]
): ConferenceRecord {
  const participants = members.map(([leg = '', at = '']) => ({
    ...{ legId: leg, callId: id, callNode: `call-${at}`, muted: false, role: 'speaker' },
  }));
  return conferenceRecordSchema.parse({ id, room: null, mixing, node, createdMs: 0, participants });
}

function merged(one: ConferenceRecord, other: ConferenceRecord, conferenceNode?: string): string {
  const before = [one, other];
  const all = before.flatMap(({ participants }) => participants);
  const after = withParticipants(one, all, before, conferenceNode);
  if (!after) return 'nowhere';
  const done = changesBetween(before, after).map(
    change => `${change.now.legId} ${innerChange(change, after)}${changesBridge(change, after) ? ' enters' : ''}`,
  );
  return `${after.node}: ${done.join(', ')}`;
}

describe('two conferences that become one', () => {
  it('stay on the call node while they are two there, and move to the farm otherwise', () => {
    const one = conference('x', 'call-node', 'call-1', 'a1');
    assert.equal(merged(one, conference('y', 'call-node', 'call-1', 'b1'), 'conf-1'), 'call-1: a none, b none enters');
    const far = conference('y', 'call-node', 'call-2', 'b2');
    assert.equal(merged(one, far, 'conf-1'), 'conf-1: a make enters, b make enters');
    assert.equal(merged(one, far), 'nowhere');
    const more = conference('y', 'call-node', 'call-1', 'b1', 'c1');
    assert.equal(merged(one, more, 'conf-1'), 'conf-1: a make enters, b make enters, c make enters');
    assert.equal(merged(one, more), 'call-1: a none, b none enters, c none enters');
  });

  it('keep an inner leg whose far end is on the right node, and replace any other', () => {
    const one = conference('x', 'conference-farm', 'conf-1', 'a1');
    assert.equal(merged(one, conference('y', 'conference-farm', 'conf-1', 'b2'), 'conf-2'), 'conf-1: a none, b move');
    assert.equal(
      merged(one, conference('y', 'conference-farm', 'conf-2', 'b2'), 'conf-2'),
      'conf-1: a none, b replace',
    );
  });
});

describe('a call node', () => {
  it('is outgrown by three, and by one who is elsewhere', () => {
    const there = (...members: string[]): boolean => {
      const one = conference('x', 'call-node', 'call-1', ...members);
      return outgrows(one, one.participants);
    };
    assert.deepEqual([there('a1', 'b1'), there('a1', 'b1', 'c1'), there('a1', 'b2')], [false, true, true]);
  });
});
