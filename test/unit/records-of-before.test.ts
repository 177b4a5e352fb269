// Records as earlier versions wrote them: a daemon that was upgraded under its calls finds them all.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { callRecordSchema } from '../../core/calls/call-record.js';
import { conferenceRecordSchema, present } from '../../core/conferences/conference-record.js';

const times = { startedMs: 1, ringingMs: null, answeredMs: 2, endedMs: null };
const leg = {
  ...{ id: 'caller', direction: 'inbound', node: 'call-1', state: 'confirmed', peer: '100', sipCallId: 'a', step: -1 },
  ...{ targetIndex: null, ringUntilMs: null, sipStatus: null, endHeaders: [], redirect: null, ending: false },
  ...{ held: false, recovering: null, times },
};
/** As of 25 November 2026, before transfers, flows and roles. */
const call = {
  ...{ id: 'c1', state: 'confirmed', source: { kind: 'trunk', trunk: 'lab' }, dialled: '1', callerNumber: '100' },
  ...{ callerName: '', presented: null, asserted: [], privacy: [], headers: {}, startedMs: 1, answeredMs: 2 },
  ...{ deadline: null, maxCallSeconds: 0, routeName: 'r', flow: [{ action: 'conference_join', room: '1' }], step: 0 },
  ...{ conferenceId: 'room-1', legs: [leg], ending: null, recoveries: 0, lostNodes: [] },
};
const member = { legId: 'caller', callId: 'c1', callNode: 'call-1', innerLegs: 1, muted: false, role: 'speaker' };
const conference = {
  ...{ id: 'room-1', room: '1', mixing: 'conference-farm', node: 'conference-1', createdMs: 1, participants: [member] },
};

describe('a record of an earlier version', () => {
  test('of a call is read: it is under way, in no flow and in no transfer', () => {
    const { run, transfer, legs } = callRecordSchema.parse(call);
    assert.deepEqual([run, transfer, legs], [null, null, [{ ...leg, gaveWay: false }]]);
  });

  test('of a conference is read: everybody is in it, and it is a plain room', () => {
    const read = conferenceRecordSchema.parse(conference);
    assert.deepEqual([present(read).length, read.locked, read.ending], [1, false, null]);
    assert.equal(read.policy.maxParticipants, 0);
  });
});
