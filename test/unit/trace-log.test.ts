// The bounded log of messages, the legs' Call-IDs, and the intake that fills both.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planFarm } from '../../core/farm/farm-plan.js';
import { encodeHep, type HepFields } from '../../core/trace/hep-packet.js';
import { LegCallIds } from '../../core/trace/leg-call-ids.js';
import { RawRing } from '../../core/trace/raw-ring.js';
import { traceFarmOf } from '../../core/trace/trace-farm.js';
import { TraceIntake, type IntakeOptions } from '../../core/trace/trace-intake.js';
import { TraceLog } from '../../core/trace/trace-log.js';
import type { TraceMessage } from '../../core/trace/trace-message.js';
import { traceCopy } from '../harness/trace-copy.js';

function message(callId: string, startLine = 'INVITE sip:a@h SIP/2.0'): TraceMessage {
  return traceCopy({ callId, startLine });
}

describe('the trace log', () => {
  test('forgets the Call-ID that was silent longest when there are too many', () => {
    const log = new TraceLog({ calls: 2 });
    log.add(message('a'), 0);
    log.add(message('b'), 1);
    log.add(message('a'), 2);
    log.add(message('c'), 3);
    assert.equal(log.messages('b', 3).length, 0);
    assert.equal(log.messages('a', 3).length, 2);
    assert.equal(log.calls, 2);
  });

  test('forgets what is too old, also when nothing new arrives', () => {
    const log = new TraceLog({ ageMs: 1000 });
    log.add(message('a'), 0);
    assert.equal(log.messages('a', 1000).length, 1);
    assert.equal(log.messages('a', 1001).length, 0);
    assert.equal(log.bytes, 0);
  });

  test('keeps the latest messages of a long call', () => {
    const log = new TraceLog({ messagesPerCall: 3 });
    for (let i = 0; i < 10; i++) log.add(message('a', `INFO ${i}`), i);
    assert.deepEqual(
      log.messages('a', 10).map(({ startLine }) => startLine),
      ['INFO 7', 'INFO 8', 'INFO 9'],
    );
  });

  test('stays within its bytes whatever it is given', () => {
    const log = new TraceLog({ bytes: 100_000 });
    for (let i = 0; i < 5000; i++) log.add({ ...message(`call-${i % 700}`), reason: 'x'.repeat(i % 3000) }, i);
    assert.ok(log.bytes <= 100_000, `${log.bytes}`);
    assert.ok(log.calls > 10);
  });

  test('finds calls by a part of the Call-ID or by who was called first, the latest first', () => {
    const log = new TraceLog();
    log.add(message('one@host'), 0);
    log.add(message('two@host', 'INVITE sip:70001@h SIP/2.0'), 1);
    log.add(message('two@host', 'SIP/2.0 200 OK'), 2);
    log.add(message('three@other'), 3);
    assert.deepEqual(log.find('@host', 10, 4), ['two@host', 'one@host']);
    assert.deepEqual(log.find('@host', 1, 4), ['two@host']);
    assert.deepEqual(log.find('70001', 10, 4), ['two@host']);
    assert.deepEqual(log.find('kamailio-1', 10, 4), [], 'only what an operator may look for');
  });

  test('finds a Call-ID as long as a datagram', () => {
    const log = new TraceLog();
    log.add(message('x'.repeat(5000)), 0);
    assert.equal(log.messages('x'.repeat(5000), 0).length, 1);
    assert.equal(log.messages('x'.repeat(4999), 0).length, 0);
  });
});

describe("the legs' Call-IDs", () => {
  test('keep the first Call-ID of a leg, and forget the oldest leg', () => {
    const legs = new LegCallIds(2);
    assert.equal(legs.add('l1', 'a'), true);
    assert.equal(legs.add('l1', 'b'), false);
    assert.equal(legs.get('l1'), 'a');
    legs.add('l2', 'b');
    legs.add('l3', 'c');
    assert.equal(legs.get('l1'), undefined);
    assert.equal(legs.size, 2);
  });
});

const plan = planFarm('127.9.8.0/24', { kamailio: 2, call: 1, conference: 1, registrar: 1, rtpengine: 1 });
const farm = traceFarmOf(plan);
const kamailio1 = '127.9.8.21';
const call1 = { address: '127.9.8.31', port: 5060 };
const phone = { address: '127.9.8.200', port: 5062 };

const inviteOf = (...headers: string[]): string =>
  [
    'INVITE sip:b@h SIP/2.0',
    'Via: SIP/2.0/UDP h;branch=z9hG4bK1',
    'From: <sip:a@h>;tag=1',
    'To: <sip:b@h>',
    'Call-ID: c1',
  ]
    .concat('CSeq: 1 INVITE', headers, '', '')
    .join('\r\n');

function intake(options: Partial<IntakeOptions> = {}): {
  take: (text: string, fields?: Partial<HepFields>, sender?: string) => void;
  intake: TraceIntake;
  log: TraceLog;
  legs: [string, string][];
} {
  const log = new TraceLog();
  const legs: [string, string][] = [];
  const made = new TraceIntake(log, new LegCallIds(100), {
    farm,
    onLeg: (leg, callId) => legs.push([leg, callId]),
    ...options,
  });
  const take = (text: string, fields: Partial<HepFields> = {}, sender = kamailio1): void => {
    const destination = { address: kamailio1, port: 5060 };
    made.take(encodeHep({ source: call1, destination, atMs: 1, payload: Buffer.from(text), ...fields }), sender, 0);
  };
  return { take, intake: made, log, legs };
}

describe('the intake', () => {
  test('says which instance received what, and what it sent', () => {
    const { take, log } = intake();
    take(inviteOf());
    take(inviteOf(), { source: { address: '127.9.8.12', port: 5060 }, destination: phone }, '127.9.8.22');
    const [received, sent] = log.messages('c1', 0);
    assert.deepEqual(
      [received?.instance, received?.direction, received?.source, received?.destination],
      ['kamailio-1', 'in', '127.9.8.31:5060', '127.9.8.21:5060'],
    );
    assert.deepEqual([sent?.instance, sent?.direction, sent?.destination], ['kamailio-2', 'out', '127.9.8.200:5062']);
    assert.equal(received?.viaBranch, 'z9hG4bK1');
    assert.equal(received.nextViaBranch, null);
    assert.equal(received.rawAt, null);
  });

  test('takes copies from Kamailios only, also after the farm has changed', () => {
    const { take, intake: door, log } = intake();
    take(inviteOf(), {}, '127.9.8.31');
    assert.equal(door.counters.refused.unknownSender, 1);
    door.setFarm({ ...farm, instances: farm.instances.filter(({ name }) => name !== 'kamailio-1') });
    take(inviteOf());
    assert.deepEqual([door.counters.received, door.counters.decoded, door.counters.refused.unknownSender], [2, 0, 2]);
    assert.equal(log.calls, 0);
  });

  test('asks for the key where there is one', () => {
    const { take, intake: door } = intake({ authKey: 'secret' });
    take(inviteOf());
    take(inviteOf(), { authKey: 'secreT' });
    take(inviteOf(), { authKey: 'secret, more' });
    take(inviteOf(), { authKey: 'secret' });
    assert.deepEqual([door.counters.refused.wrongKey, door.counters.decoded], [3, 1]);
  });

  test('counts what is not SIP, and what is not HEP', () => {
    const { take, intake: door } = intake();
    take('\r\n\r\n');
    take(inviteOf(), { payloadKind: 5 });
    door.take(Buffer.from('garbage'), kamailio1, 0);
    assert.equal(door.counters.refused.notSip, 2);
    assert.equal(door.counters.refused.notHep, 1);
    assert.equal(door.counters.received, 3);
  });

  test('tells a leg once, however many Kamailios have seen its INVITE', () => {
    const { take, legs } = intake();
    for (const sender of [kamailio1, '127.9.8.22', kamailio1]) take(inviteOf('X-Holdfast-Leg: 01J-2'), {}, sender);
    assert.deepEqual(legs, [['01J-2', 'c1']]);
  });

  test('does not believe a leg id from outside, of a request in a dialog, of another method, or with odd characters', () => {
    const { take, legs } = intake();
    const leg = 'X-Holdfast-Leg: 01J-2';
    take(inviteOf(leg), { source: phone });
    take(inviteOf(leg).replace('To: <sip:b@h>', 'To: <sip:b@h>;tag=2'));
    take(inviteOf(leg).replaceAll('INVITE', 'MESSAGE'));
    take(inviteOf('X-Holdfast-Leg: 01J 2'));
    take(inviteOf(`X-Holdfast-Leg: ${'x'.repeat(129)}`));
    assert.deepEqual(legs, []);
  });

  test('keeps whole messages where it is told to', () => {
    const raw = new RawRing(10_000);
    const { take, log } = intake({ raw });
    take(inviteOf());
    const [kept] = log.messages('c1', 0);
    assert.equal(raw.get(kept?.rawAt ?? -1, kept?.sizeBytes ?? 0)?.toString(), inviteOf());
  });
});
