// From the log of a call its life can be told: what routed or refused it, who holds it, what became of a transfer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logChange } from '../../core/calls/call-log.js';
import { advance, type CallEvent } from '../../core/calls/call-machine.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { createLogger } from '../../core/log.js';
import { incomingCall } from '../../core/testing/facts.js';

/** What is logged of these events, one after the other. */
function said(...events: readonly CallEvent[]): string[] {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push((JSON.parse(line) as { msg: string }).msg);
  const log = createLogger({ level: 'info', destination: { write } });
  let call = newCallRecord(incomingCall({ id: 'c1' }), 'call-1', 'caller', 0, noLimits);
  for (const event of events) {
    const before = call;
    call = advance(before, event, 1_000).call;
    logChange(log, before, call, event);
  }
  return lines;
}

const connect = (user: string) =>
  ({ action: 'connect', strategy: 'in-order', targets: [{ uri: `sip:${user}@a.test` }] }) as const;
const routed: CallEvent = { type: 'routed', answer: { flow: [connect('1')], routeName: 'r' } };
const talking: readonly CallEvent[] = [routed, { type: 'legAnswered', leg: 'c1-1' }];
const asked: readonly CallEvent[] = [
  { type: 'referred', leg: 'c1-1', dialled: '2', commanded: true },
  { type: 'transferred', leg: 'c1-1', step: connect('2') },
];

test('the route stands before what comes of it, also one that refuses', () => {
  assert.deepEqual(said(routed), ['routed by r', 'outbound leg sip:1@a.test is trying']);
  const refused: CallEvent = { type: 'routed', answer: { reject: 603, reason: 'no', routeName: 'r' } };
  assert.deepEqual(said(refused), ['refused by r', 'call ends: no']);
  const full = { reject: 503, reason: 'full', routeName: 'r', limit: 'callsAtOnce' } as const;
  assert.deepEqual(said({ type: 'routed', answer: full }), ['routed by r', 'call ends: full']);
});

test('a hold and its end are told', () => {
  const hold = (held: boolean): CallEvent => ({ type: 'legHeld', leg: 'c1-1', held });
  assert.deepEqual(said(...talking, hold(true), hold(false)).slice(-2), [
    'outbound leg sip:1@a.test holds the call',
    'outbound leg sip:1@a.test is back from its hold',
  ]);
});

test('a transfer is asked for, and is done or came to nothing', () => {
  const done = said(...talking, ...asked, { type: 'legAnswered', leg: 'c1-2' });
  assert.ok(done.includes('transfer to 2 by command is asked for'));
  assert.equal(done.at(-1), 'blind transfer to 2 is done: the callee is replaced');
  const failed = said(...talking, ...asked, { type: 'legEnded', leg: 'c1-2', sipStatus: 486 });
  assert.equal(failed.at(-1), 'the transfer came to nothing: the call goes on as it was');
});
