// Copies of messages become hops, and hops become lines.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hopsOf } from '../../core/trace/hops.js';
import { ladder } from '../../core/trace/ladder.js';
import type { TraceMessage } from '../../core/trace/trace-message.js';
import { traceCopy } from '../harness/trace-copy.js';

const phone = '127.40.0.200:5062';
const call1 = '127.40.0.31:5060';
const outside = (i: number): string => `127.40.0.1${i}:5060`;
const inside = (i: number): string => `127.40.0.2${i}:5060`;

/** Both copies of a request that Kamailio `i` passes inside, or of a response that it passes outside. */
function passed(i: number, atMs: number, fields: Partial<TraceMessage> = {}): TraceMessage[] {
  const instance = `kamailio-${i}`;
  const request = fields.status === undefined;
  const [upper, lower] = [
    { viaBranch: 'edge', nextViaBranch: 'phone' },
    { viaBranch: 'phone', nextViaBranch: null },
  ];
  const outer = { source: phone, destination: outside(i) };
  const inner = { source: inside(i), destination: call1 };
  const back = ({ source, destination }: typeof outer): typeof outer => ({ source: destination, destination: source });
  return [
    traceCopy({
      instance,
      atMs,
      direction: 'in',
      ...(request ? { ...outer, ...lower } : { ...back(inner), ...upper }),
      ...fields,
    }),
    traceCopy({
      instance,
      atMs: atMs + 0.2,
      direction: 'out',
      ...(request ? { ...inner, ...upper } : { ...back(outer), ...lower }),
      ...fields,
    }),
  ];
}

const invite = passed(2, 1000);
const ringing = passed(3, 1012.3, { status: 180, reason: 'Ringing', toTag: 't' });
const answered = passed(1, 3000, { status: 200, reason: 'OK', toTag: 't' });
const bye = passed(1, 5000, { method: 'BYE', cseq: 2, toTag: 't' });
const byeAnswered = passed(3, 5001, { method: 'BYE', cseq: 2, status: 200, reason: 'OK', toTag: 't' });

describe('the hops of a call', () => {
  test('are one per message and Kamailio, in the order of time', () => {
    const shuffled = [...byeAnswered, ...ringing, ...invite, ...bye, ...answered].reverse();
    assert.deepEqual(
      hopsOf(shuffled).map(({ summary, from, via, to }) => [summary, from, via, to]),
      [
        ['INVITE', phone, 'kamailio-2', call1],
        ['180 Ringing', call1, 'kamailio-3', phone],
        ['200 OK', call1, 'kamailio-1', phone],
        ['BYE', phone, 'kamailio-1', call1],
        ['200 OK (BYE)', call1, 'kamailio-3', phone],
      ],
    );
  });

  test('mark a retransmission, whichever Kamailio carried it, and pair each copy with its own', () => {
    const hops = hopsOf([...passed(1, 0), ...passed(2, 500), ...passed(1, 1500)]);
    assert.deepEqual(
      hops.map(({ via, to, retransmission }) => [via, to, retransmission]),
      [
        ['kamailio-1', call1, false],
        ['kamailio-2', call1, true],
        ['kamailio-1', call1, true],
      ],
    );
  });

  test('show where a message ended, and what a Kamailio answered by itself', () => {
    const [received] = invite;
    assert.ok(received);
    const refusal = traceCopy({
      atMs: 1000.1,
      instance: 'kamailio-2',
      direction: 'out',
      source: outside(2),
      destination: phone,
      status: 403,
      reason: 'Forbidden',
    });
    assert.deepEqual(
      hopsOf([received, refusal]).map(({ summary, from, to }) => [summary, from, to]),
      [
        ['INVITE', phone, null],
        ['403 Forbidden', null, phone],
      ],
    );
  });

  test('are paired by nearness where the topology hiding rewrote the Vias', () => {
    const [received, sent] = invite;
    assert.ok(received && sent);
    assert.equal(hopsOf([received, { ...sent, nextViaBranch: 'masked' }]).length, 1);
    assert.equal(hopsOf([received, { ...sent, nextViaBranch: 'masked', atMs: 2000 }]).length, 2);
  });

  test('do not mix the two legs of a call', () => {
    const other = passed(2, 1000.1).map(message => ({ ...message, callId: 'c2', viaBranch: 'x', nextViaBranch: 'y' }));
    assert.deepEqual(
      hopsOf([...invite, ...other]).map(({ callId }) => callId),
      ['c1', 'c2'],
    );
  });
});

describe('the ladder', () => {
  const names: Record<string, string> = { [call1]: 'call-1' };

  test('has one aligned line per hop', () => {
    const trying = traceCopy({
      atMs: 1000.1,
      instance: 'kamailio-2',
      direction: 'out',
      source: outside(2),
      destination: phone,
      status: 100,
      reason: 'Trying',
    });
    assert.deepEqual(
      ladder([...invite, trying, ...ringing, ...passed(1, 1500), ...byeAnswered], end => names[end]),
      [
        '+   0.0 ms  INVITE          127.40.0.200:5062 → kamailio-2 → call-1',
        '+   0.1 ms  100 Trying                          kamailio-2 → 127.40.0.200:5062',
        '+  12.3 ms  180 Ringing                call-1 → kamailio-3 → 127.40.0.200:5062',
        '+ 500.0 ms  INVITE (again)  127.40.0.200:5062 → kamailio-1 → call-1',
        '+4001.0 ms  200 OK (BYE)               call-1 → kamailio-3 → 127.40.0.200:5062',
      ],
    );
  });

  test('lets no control character of a stranger reach the terminal', () => {
    const evil = passed(1, 0, { status: 486, reason: 'Busy\u001b[2J\u202e' });
    assert.match(ladder(evil).join('\n'), /486 Busy\?\[2J\?/);
  });

  test('of nothing is nothing', () => assert.deepEqual(ladder([]), []));
});
