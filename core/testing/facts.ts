// Facts about calls for plugin tests: each whole, with what matters to the test put in.
import { advance, type CallEvent } from '../calls/call-machine.js';
import { noLimits } from '../calls/limits.js';
import { newCallRecord } from '../calls/new-call.js';
import { cdrOf } from '../calls/cdr-of.js';
import type { CallDetailRecord, ConferenceFacts, IncomingCall, LostCall, OutgoingLeg } from '../plugin-api.js';

/** An INVITE from trunk `lab`: +15550100 dials 70001. */
export function incomingCall(part: Partial<IncomingCall> = {}): IncomingCall {
  return {
    id: 'call-1',
    sipCallId: 'a1b2c3@192.0.2.1',
    source: { kind: 'trunk', trunk: 'lab' },
    dialled: '70001',
    callerNumber: '+15550100',
    callerName: '',
    privacy: [],
    headers: {},
    ...part,
  };
}

/** A leg to the gateway of trunk `lab`, for that call; number, name and headers are the call's where you say nothing else. */
export function outgoingLeg(part: Partial<OutgoingLeg> = {}): OutgoingLeg {
  const call = part.call ?? incomingCall();
  const { callerNumber, callerName, headers } = call;
  const target = { uri: 'sip:70001@127.40.0.208:5060', trunk: 'lab' };
  return { call, routeName: 'lab', target, callerNumber, callerName, headers, ...part };
}

/** The record of that call: rung after 1 second, answered after 2, hung up by the caller 60 seconds later. */
export function callDetailRecord(part: Partial<CallDetailRecord> = {}): CallDetailRecord {
  const startedMs = Date.parse('2026-01-05T09:00:00.000Z');
  const leg = 'call-1-1';
  const { target, routeName } = outgoingLeg();
  const connect = { action: 'connect', strategy: 'in-order', targets: [target] } as const;
  const life: readonly (readonly [atMs: number, event: CallEvent])[] = [
    [0, { type: 'routed', answer: { flow: [connect], routeName } }],
    [100, { type: 'legCallId', leg, sipCallId: 'd4e5f6@192.0.2.1' }],
    [1_000, { type: 'legRinging', leg }],
    [2_000, { type: 'legAnswered', leg }],
    [62_000, { type: 'legEnded', leg: 'caller', sipStatus: 200 }],
  ];
  const call = life.reduce(
    (record, [atMs, event]) => advance(record, event, startedMs + atMs).call,
    newCallRecord(incomingCall(), 'call-1', 'caller', startedMs, noLimits),
  );
  return { ...cdrOf(call), ...part };
}

/** The conference of that call. */
export function conferenceFacts(part: Partial<ConferenceFacts> = {}): ConferenceFacts {
  return { id: 'call-1-conf', callNodes: ['call-1'], ...part };
}

/** That call, when its node has died. */
export function lostCall(part: Partial<LostCall> = {}): LostCall {
  const { id, source, dialled, callerNumber } = incomingCall();
  return {
    id,
    node: 'call-1',
    source,
    dialled,
    callerNumber,
    emergency: false,
    sessions: 2,
    priority: 0,
    dryRun: false,
    ...part,
  };
}
