// What the INVITE of a leg says: the caller's, the route's and the plugins' words, in their order.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectStep } from '../../core/calls/call-facts.js';
import { advance } from '../../core/calls/call-machine.js';
import type { CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { legVariables, outgoingLeg } from '../../core/calls/outgoing-leg.js';
import { incomingCall } from '../../core/testing/facts.js';

const headers = { 'x-account': ['42'], 'x-b': ['b'] };
const facts = incomingCall({ id: 'c1', callerNumber: '100', callerName: 'Ann', headers });
const incoming = newCallRecord(facts, 'call-1', 'caller', 1_000, { ...noLimits, maxSetupSeconds: 240 });

function dialled(step: Partial<ConnectStep>): CallRecord {
  const targets = [{ uri: 'sip:1@b.test', trunk: 'lab', headers: { set: { 'X-Account': 'target' } } }];
  const flow = [{ action: 'connect', strategy: 'in-order', targets, ...step }] as const;
  return advance(incoming, { type: 'routed', answer: { flow, routeName: 'r' } }, 2_000).call;
}
const rules = { headers: [], domain: 'a.test', trusts: () => false };
const variablesOf = (call: CallRecord, answers: Parameters<typeof legVariables>[2] = []): Record<string, string> =>
  legVariables(call, call.legs[1]!, answers, ({ trunk }) => trunk, rules);

describe("a leg's INVITE", () => {
  test('bears the caller and the headers that are passed on', () => {
    assert.deepEqual(variablesOf(dialled({ targets: [{ uri: 'sip:1@b.test' }] })), {
      'CONNECTEDLINE(num,i)': '100',
      'CONNECTEDLINE(name,i)': 'Ann',
      'PJSIP_HEADER(add,X-Holdfast-Call)': 'c1',
      'PJSIP_HEADER(add,X-Holdfast-Leg)': 'c1-1',
      'PJSIP_HEADER(add,X-Account,1)': '42',
      'PJSIP_HEADER(add,X-B,2)': 'b',
    });
  });

  test('bears what the route said of it, and what plugins said about that, the first of them above all', () => {
    const call = dialled({ callerNumber: '+1', callerName: 'Switchboard', headers: { remove: ['X-B'] } });
    const answers = [{ callerNumber: '+3' }, { callerNumber: '+2', headers: { set: { 'X-Account': 'plugin' } } }];
    const variables = variablesOf(call, answers);
    assert.equal(variables['CONNECTEDLINE(num,i)'], '+3');
    assert.equal(variables['CONNECTEDLINE(name,i)'], 'Switchboard');
    assert.equal(variables['PJSIP_HEADER(add,X-Account,1)'], 'plugin');
    assert.equal(variables['PJSIP_HEADER(add,X-Holdfast-Policy)'], 'lab');
    assert.ok(!JSON.stringify(variables).includes('X-B'));
  });

  test('is shown to plugins as the route would have it', () => {
    const leg = outgoingLeg(dialled({ callerNumber: '+1' }), 'c1-1', rules);
    assert.equal(leg?.callerNumber, '+1');
    assert.equal(leg.call.callerNumber, '100');
    assert.deepEqual(leg.headers, { 'x-b': ['b'], 'x-account': ['target'] });
    assert.equal(outgoingLeg(dialled({}), 'caller', rules), undefined);
  });
});
