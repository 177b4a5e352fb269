// A call record as the daemon writes it, for tests that need one.
import type { CallDetailRecord } from '../../core/calls/call-facts.js';

export function callDetailRecord(callId: string, change: Partial<CallDetailRecord> = {}): CallDetailRecord {
  const at = '2026-01-01T00:00:00.000Z';
  return {
    callId,
    sipCallIds: ['a@b'],
    source: { kind: 'trunk', trunk: 'lab' },
    callerNumber: '1',
    dialled: '2',
    route: null,
    answeredBy: null,
    startedAt: at,
    answeredAt: null,
    endedAt: at,
    endedNotBefore: at,
    durationSeconds: 1,
    billSeconds: 0,
    outcome: 'busy',
    sipStatus: 486,
    endedBy: 'callee',
    reason: 'every target failed',
    limit: null,
    nodes: ['call-1'],
    recoveries: 0,
    transfers: [],
    legs: [],
    ...change,
  };
}
