// Inner legs that an earlier daemon did not finish: what is seen of them as the nodes connect, and what is left to others.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { plainRoom, type ConferenceRecord, type Participant } from '../../core/conferences/conference-record.js';
import { InnerLegCheck } from '../../core/conferences/inner-leg-check.js';
import type { AriBridge, AriChannel, AriSnapshot } from '../../core/ports/asterisk.js';

type Snapshot = Pick<AriSnapshot, 'bridges' | 'channels'>;

function member(legId: string, more: Partial<Participant> = {}): Participant {
  return {
    ...{ legId, callId: 'c1', callNode: 'call-1', innerLegs: 1, muted: false, deaf: false, onHold: false },
    ...{ role: 'speaker', speaking: false, entering: false, callerNumber: '', callerName: '', joinedMs: 0 },
    ...more,
  };
}

function conferenceOf(participants: Participant[], more: Partial<ConferenceRecord> = {}): ConferenceRecord {
  return {
    ...{ id: 'c1-conf', room: null, mixing: 'conference-farm', node: 'conference-1', createdMs: 0 },
    ...{ policy: plainRoom, locked: false, ending: null, participants },
    ...more,
  };
}

function channel(id: string, exten = 's'): AriChannel {
  return {
    ...{ id, name: id, state: 'Up', creationtime: '' },
    ...{ caller: { name: '', number: '' }, connected: { name: '', number: '' } },
    dialplan: { context: '', exten, app_name: 'Stasis' },
  };
}

function bridge(id: string, channels: readonly string[]): AriBridge {
  return { id, technology: '', bridge_type: '', name: '', channels };
}

/** A call node with these legs and inner legs, each in the bridge of its leg. */
function callNode(legs: readonly string[], inners: Readonly<Record<string, readonly string[]>>): Snapshot {
  return {
    channels: [...legs, ...Object.values(inners).flat()].map(id => channel(id)),
    bridges: legs.map(leg => bridge(`${leg}-bridge`, [leg, ...(inners[leg] ?? [])])),
  };
}

/** A conference node where inner legs end in bridges. */
function conferenceNode(bridges: Readonly<Record<string, readonly string[]>>): Snapshot {
  return {
    channels: Object.values(bridges).flatMap(inners => inners.map(inner => channel(`far-${inner}`, inner))),
    bridges: Object.entries(bridges).map(([id, inners]) =>
      bridge(
        id,
        inners.map(inner => `far-${inner}`),
      ),
    ),
  };
}

/** What is found broken, in order, by a daemon that found `conference` in its store as these nodes connect: leg, and its inner legs. */
function found(
  conference: ConferenceRecord,
  connected: Readonly<Record<string, Snapshot>>,
  { now = conference, recovering = [] }: { now?: ConferenceRecord; recovering?: readonly string[] } = {},
): (readonly [leg: string, inners: readonly string[]])[] {
  const check = new InnerLegCheck();
  check.load([conference]);
  return Object.entries(connected)
    .flatMap(([node, snapshot]) => check.connected(node, snapshot, [now], leg => recovering.includes(leg)).flat())
    .map(({ participant, inners }) => [participant.legId, inners]);
}

const two = conferenceOf([member('a'), member('b')]);
const whole = {
  'call-1': callNode(['a', 'b'], { a: ['inner-1-a'], b: ['inner-1-b'] }),
  'conference-1': conferenceNode({ 'c1-conf': ['inner-1-a', 'inner-1-b'] }),
};

describe('inner legs after the death of the daemon', () => {
  test('nothing is done about those that are as they should be, in whatever order the nodes connect', () => {
    assert.deepEqual(found(two, whole), []);
    const { 'call-1': near, 'conference-1': far } = whole;
    assert.deepEqual(found(two, { 'conference-1': far, 'call-1': near }), []);
  });

  test('one that was never made is found, once both of its nodes are there', () => {
    const near = callNode(['a', 'b'], { a: ['inner-1-a'] });
    const far = conferenceNode({ 'c1-conf': ['inner-1-a'] });
    assert.deepEqual(found(two, { 'call-1': near }), []);
    assert.deepEqual(found(two, { 'call-1': near, 'conference-1': far, 'call-2': callNode([], {}) }), [['b', []]]);
  });

  test('so is one that ends nowhere, or in the bridge of a conference that is gone', () => {
    const { 'call-1': near } = whole;
    const lost = conferenceNode({ 'c1-conf': ['inner-1-a'] });
    assert.deepEqual(found(two, { 'call-1': near, 'conference-1': lost }), [['b', ['inner-1-b']]]);
    const apart = conferenceNode({ 'c1-conf': ['inner-1-a'], 'c2-conf': ['inner-1-b'] });
    assert.deepEqual(found(two, { 'call-1': near, 'conference-1': apart }), [['b', ['inner-1-b']]]);
  });

  test('and one whose predecessor was not given up', () => {
    const near = callNode(['a', 'b'], { a: ['inner-1-a'], b: ['inner-0-b', 'inner-1-b'] });
    assert.deepEqual(found(two, { ...whole, 'call-1': near }), [['b', ['inner-0-b', 'inner-1-b']]]);
  });

  test('a leg that is gone, or is being recovered, or has been moved since, is left to others', () => {
    const far = conferenceNode({ 'c1-conf': ['inner-1-a'] });
    const near = callNode(['a', 'b'], { a: ['inner-1-a'] });
    assert.deepEqual(found(two, { 'call-1': callNode(['a'], { a: ['inner-1-a'] }), 'conference-1': far }), []);
    assert.deepEqual(found(two, { 'call-1': near, 'conference-1': far }, { recovering: ['b'] }), []);
    const moved = conferenceOf([member('a'), member('b', { innerLegs: 2 })]);
    assert.deepEqual(found(two, { 'call-1': near, 'conference-1': far }, { now: moved }), []);
  });

  test('a conference on a call node has none, and whoever is not answered yet has none either', () => {
    const near = { 'call-1': callNode(['a', 'b'], {}), 'conference-1': conferenceNode({}) };
    assert.deepEqual(found(conferenceOf([member('a')], { mixing: 'call-node', node: 'call-1' }), near), []);
    assert.deepEqual(found(conferenceOf([member('a', { entering: true })]), near), []);
  });
});
