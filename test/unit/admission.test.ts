// Whether calls may go where their routes send them: limits at each door, counted from the calls there are.
import assert from 'node:assert/strict';
import { beforeEach, describe, mock, test } from 'node:test';
import { advance, type CallEvent } from '../../core/calls/call-machine.js';
import type { Routed } from '../../core/calls/call-events.js';
import type { ConnectTarget, FlowAnswer, IncomingCall } from '../../core/calls/call-facts.js';
import { incomingCall as factsOf, type CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { incomingCall } from '../../core/testing/facts.js';
import { Admission, type AdmissionRules } from '../../core/trunks/admission.js';
import { ownerName, type CallLimits } from '../../core/trunks/call-limits.js';
import type { NumberRules } from '../../core/numbers/phone-number.js';

const trunk = (name: string, number: string): ConnectTarget => ({ uri: `sip:${number}@192.0.2.1:5060`, trunk: name });
const alice = { source: { kind: 'subscriber', subscriber: 'alice' } } as const;

let calls: Map<string, CallRecord>;
let limits: Record<string, Partial<CallLimits>>;
let numbers: NumberRules;
let identities: readonly string[];
let admission: Admission;
const rules: AdmissionRules = {
  emergency: ['112'],
  expensive: ['+881', 'premium'],
  limitsOf: owner => {
    const own = limits[ownerName(owner)];
    return own && { allow: [], block: [], ...own };
  },
  numbersOf: () => numbers,
  identitiesOf: () => identities,
};

beforeEach(() => {
  calls = new Map();
  limits = {};
  identities = [];
  numbers = { format: 'as-is', country: 'DE' };
  admission = new Admission({ rules: () => rules, calls: () => [...calls.values()] });
});

function arrive(id: string, part: Partial<IncomingCall> = {}): IncomingCall {
  const call = incomingCall({ id, ...part });
  calls.set(id, newCallRecord(call, 'call-1', `caller of ${id}`, 0, noLimits));
  return call;
}

function tell(id: string, event: CallEvent): void {
  calls.set(id, advance(calls.get(id)!, event, 1_000).call);
}

/** As the engine does it: the refusal, or undefined where the call was let in; its first leg is dialled where that may be. */
function place(
  id: string,
  targets: readonly ConnectTarget[],
  part: Partial<IncomingCall> = {},
): [number, string] | undefined {
  const answer = admission.admit(arrive(id, part), connect(...targets));
  tell(id, { type: 'routed', answer: answer as Routed | undefined });
  if (answer && 'reject' in answer) return [answer.reject, answer.reason];
  return dial(id, 1);
}

function dial(id: string, leg: number): [number, string] | undefined {
  const record = calls.get(id)!;
  const step = record.flow[0];
  const target = step?.action === 'connect' ? step.targets[record.legs[leg]?.targetIndex ?? 0] : undefined;
  if (!target) return undefined;
  const question = { routeName: 'r', target, callerNumber: '', callerName: '', headers: {} };
  const refusal = admission.dial({ call: factsOf(record), ...question });
  return refusal && [refusal.reject, refusal.reason];
}

function connect(...targets: ConnectTarget[]): FlowAnswer {
  return { flow: [{ action: 'connect', strategy: 'in-order', targets }], routeName: 'r' };
}

describe('calls at once', () => {
  test('of a trunk that is called: one more is sent elsewhere or later, until one of them has ended', () => {
    limits['trunk carrier'] = { callsAtOnce: 2 };
    assert.equal(place('1', [trunk('carrier', '7')]), undefined);
    assert.equal(place('2', [trunk('carrier', '7')]), undefined);
    assert.deepEqual(place('3', [trunk('carrier', '7')]), [503, 'trunk carrier has its 2 calls at once']);
    assert.equal(place('4', [trunk('carrier', '7'), trunk('other', '7')]), undefined);
    assert.equal(calls.get('4')!.legs[1]!.peer, 'sip:7@192.0.2.1:5060');
    tell('1', { type: 'legEnded', leg: '1-1', sipStatus: 486 });
    assert.equal(place('5', [trunk('carrier', '7')]), undefined);
  });

  test('of one that calls, and of a subscriber, whose lines are busy in both directions', () => {
    limits = { 'trunk lab': { callsAtOnce: 1 }, 'subscriber alice': { callsAtOnce: 1 } };
    assert.equal(place('1', [trunk('carrier', '7')]), undefined);
    assert.deepEqual(place('2', [trunk('carrier', '7')]), [503, 'trunk lab has its 1 calls at once']);
    assert.equal(place('3', [trunk('carrier', '7')], alice), undefined);
    assert.deepEqual(place('4', [trunk('carrier', '7')], alice), [486, 'subscriber alice has its 1 calls at once']);
    const toAlice = { uri: 'sip:alice@192.0.2.3', subscriber: 'alice' };
    tell('1', { type: 'hangup', reason: '' });
    assert.deepEqual(place('5', [toAlice]), [486, 'subscriber alice has its 1 calls at once']);
  });

  test('are those that were let in: of two at the same moment exactly one is, in whatever order they are asked', () => {
    limits['trunk lab'] = { callsAtOnce: 1 };
    const [first, second] = [arrive('1'), arrive('2')];
    const answers = [second, first].map(call => admission.admit(call, connect(trunk('carrier', '7'))));
    assert.deepEqual(
      answers.map(answer => answer && 'reject' in answer),
      [false, true],
    );
  });

  test('are right for the next daemon, which counts the calls that it finds', () => {
    limits['trunk carrier'] = { callsAtOnce: 2 };
    place('1', [trunk('carrier', '7')]);
    place('2', [trunk('carrier', '7')]);
    admission = new Admission({ rules: () => rules, calls: () => [...calls.values()] });
    assert.ok(place('3', [trunk('carrier', '7')]));
    tell('2', { type: 'hangup', reason: '' });
    assert.equal(place('4', [trunk('carrier', '7')]), undefined);
    assert.ok(place('5', [trunk('carrier', '7')]));
  });

  test('still count for their caller when a next daemon dials another leg of them', () => {
    limits['trunk lab'] = { callsAtOnce: 1 };
    place('1', [trunk('a', '7'), trunk('b', '7')]);
    admission = new Admission({ rules: () => rules, calls: () => [...calls.values()] });
    tell('1', { type: 'legEnded', leg: '1-1', sipStatus: 503 });
    assert.equal(dial('1', 2), undefined);
    assert.deepEqual(place('2', [trunk('c', '7')]), [503, 'trunk lab has its 1 calls at once']);
  });

  test('are looked at again when a leg is dialled: a call that fails over to a trunk may find it full', () => {
    limits['trunk b'] = { callsAtOnce: 1 };
    assert.equal(place('1', [trunk('a', '7'), trunk('b', '7')]), undefined);
    assert.equal(place('2', [trunk('b', '7')]), undefined);
    tell('1', { type: 'legEnded', leg: '1-1', sipStatus: 503 });
    assert.deepEqual(dial('1', 2), [503, 'trunk b has its 1 calls at once']);
  });
});

describe('calls per second', () => {
  test('pass as fast as that and no faster, and who is refused is told when to come again', () => {
    mock.timers.enable({ apis: ['Date'], now: 0 });
    try {
      limits['trunk lab'] = { callsPerSecond: 2 };
      const through = (): number =>
        Array.from({ length: 5 }, (_, i) => place(`${Date.now()} ${i}`, [trunk('carrier', '7')])).filter(
          one => one === undefined,
        ).length;
      assert.equal(through(), 2);
      mock.timers.tick(500);
      assert.equal(through(), 1);
      mock.timers.tick(60_000);
      assert.equal(through(), 2);
      const refused = admission.admit(arrive('x'), connect(trunk('carrier', '7')));
      assert.deepEqual(refused, {
        ...{ reject: 503, retryAfterSeconds: 1, limit: 'callsPerSecond', routeName: 'r' },
        reason: 'trunk lab has its 2 calls per second',
      });
    } finally {
      mock.timers.reset();
    }
  });
});

describe('destinations', () => {
  test('that are blocked for the caller or for the trunk are refused with 403, and the other targets are tried', () => {
    limits = { 'trunk lab': { block: ['+49177'] }, 'trunk cheap': { allow: ['+49'] } };
    assert.deepEqual(place('1', [trunk('carrier', '01771234567')]), [
      403,
      'trunk lab may not call +491771234567: +49177 is blocked',
    ]);
    assert.equal(place('2', [trunk('cheap', '0012125551234'), trunk('carrier', '0012125551234')]), undefined);
    assert.deepEqual(calls.get('2')!.legs[1]!.peer, 'sip:0012125551234@192.0.2.1:5060');
    assert.equal(place('3', [trunk('carrier', '00881612345678')])?.[0], 403);
    assert.equal(place('4', [trunk('carrier', '881612345678')])?.[0], 403);
  });

  test('that are expensive are refused with any number of digits behind their end', () => {
    for (const surplus of ['00', '0'.repeat(9), '0'.repeat(1_000)]) {
      assert.equal(place('1', [trunk('carrier', `00881612345678${surplus}`)])?.[0], 403, `00881… ${surplus.length}`);
      assert.equal(place('2', [trunk('carrier', `09001234567${surplus}`)])?.[0], 403, `0900… ${surplus.length}`);
    }
    assert.equal(place('3', [trunk('carrier', `030901820${'0'.repeat(9)}`)]), undefined);
  });

  test('do not concern calls that stay inside, and extensions of another PBX', () => {
    limits['trunk lab'] = { block: ['+'] };
    assert.equal(place('1', [{ uri: 'sip:+881612345678@192.0.2.3', subscriber: 'alice' }]), undefined);
    assert.equal(place('2', [trunk('pbx', '88112345')]), undefined);
  });

  test('also hold for whom a redirection names', () => {
    const call = arrive('1');
    const redirection = { call, target: trunk('carrier', '7'), sipStatus: 302, contacts: [] };
    const targets = [trunk('carrier', '00881612345678'), trunk('carrier', '030901820')];
    assert.deepEqual(admission.redirected(redirection, { targets })?.targets, [targets[1]]);
  });
});

test('a transfer goes only where whoever asks for it may call', () => {
  limits = { 'trunk lab': { allow: ['+'] }, 'subscriber alice': { block: ['+49177'] } };
  const call = arrive('1');
  const party = { side: 'callee', peer: '' } as const;
  const referred = (number: string, by: object) =>
    admission.referred(
      { call, by: { ...party, ...by }, transferee: party, dialled: number },
      { action: 'connect', strategy: 'in-order', targets: [trunk('carrier', number)] },
    );
  assert.equal(referred('01771234567', { subscriber: 'alice' }), undefined);
  assert.ok(referred('030901820', { subscriber: 'alice' }));
  assert.ok(referred('01771234567', { trunk: 'lab' }));
  assert.equal(referred('00881612345678', { trunk: 'lab' }), undefined);
});

test('callers of a trunk are of its own numbers, where it has some; emergency calls are let through', () => {
  identities = ['+4930901', '1001'];
  numbers = { format: 'national', country: 'DE' };
  const as = (id: string, callerNumber: string, dialled = '0301') =>
    place(id, [trunk('carrier', dialled)], { callerNumber, dialled })?.[1];
  for (const own of ['+49309018', '+4930901820', '1001', '10012']) assert.equal(as(`own ${own}`, own), undefined);
  for (const other of ['+4930902', '1002', 'anonymous', ''])
    assert.equal(as(`other ${other}`, other), `trunk lab may not call as ${other || 'nobody'}`);
  assert.equal(as('emergency', '1002', '112'), undefined);
});

describe('an emergency call', () => {
  test('passes every limit, by what was dialled or by what the trunk gets', () => {
    limits = {
      'trunk lab': { callsAtOnce: 0, callsPerSecond: 0.001, block: ['1'] },
      'trunk carrier': { callsAtOnce: 0, allow: ['+49'] },
    };
    for (let i = 0; i < 3; i++) assert.equal(place(`${i}`, [trunk('carrier', '112')], { dialled: '0112' }), undefined);
    assert.ok(place('other', [trunk('carrier', '113')], { dialled: '0113' }));
    assert.ok(admission.isEmergencyCall(calls.get('1')!));
    assert.ok(!admission.isEmergencyCall(calls.get('other')!));
  });
});

describe('a named flow', () => {
  const named = { flowName: 'reception', routeName: 'r' };
  const steps = (...numbers: string[]): Parameters<Admission['connected']>[1] => [
    { action: 'connect', strategy: 'in-order', targets: numbers.map(number => trunk('carrier', number)) },
  ];

  test('counts its caller, and is refused where they have their calls', () => {
    limits = { 'trunk lab': { callsAtOnce: 1 } };
    assert.deepEqual(admission.admit(arrive('1'), named), named);
    const refusal = admission.admit(arrive('2'), named);
    assert.ok(refusal && 'reject' in refusal);
    assert.deepEqual([refusal.reject, refusal.routeName], [503, 'r']);
  });

  test('connects only to whom its caller may call: no flow is a way around what is barred', () => {
    const call = arrive('1', alice);
    assert.deepEqual(admission.connected(call, steps('+88160012345', '+4930123456')), steps('+4930123456'));
    const refusal = admission.connected(call, steps('+88160012345'));
    assert.ok('reject' in refusal);
    assert.equal(refusal.reject, 403);
    assert.deepEqual(admission.connected(call, steps('112')), steps('112'));
  });
});

describe('numbers', () => {
  test('reach a trunk as it writes them; what is none stays as it is', () => {
    numbers = { format: 'plain', country: 'DE' };
    const dialled = ['030901820', '+4930901820', '004930901820', '4930901820', '112', '1001'];
    const uris = dialled.map((number, i) => {
      place(`${i}`, [trunk('carrier', number)]);
      return calls.get(`${i}`)!.legs[1]!.peer.replace(/^sip:|@.*/g, '');
    });
    assert.deepEqual(uris, ['4930901820', '4930901820', '4930901820', '4930901820', '112', '1001']);
  });
});
