// What passes from leg to leg as pure functions: header fields, who calls, and why a leg has ended.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { presentCaller, readIdentity, type CallerIdentity } from '../../core/calls/caller-identity.js';
import { defaultPassHeaders, endHeaders, passedHeaders } from '../../core/calls/passed-headers.js';
import { readFields, writeFields } from '../../core/calls/sip-fields.js';

const rules = { headers: defaultPassHeaders, domain: 'holdfast.test', trusts: (trunk: string) => trunk === 'carrier' };
const carrier = { kind: 'trunk', trunk: 'carrier' } as const;

describe('header fields in a channel variable', () => {
  test('come back as they went, whatever is in them', () => {
    const value = '"Jo\\"e, 100%" <sip:é@x>;a="b;c"';
    assert.deepEqual(readFields(writeFields([{ name: 'Reason', value: value }])), { reason: [value] });
  });

  test('are read by name whatever its case, in their order, with compact forms', () => {
    const fields = readFields(encodeURIComponent('DIVERSION: <sip:1@x>\nDiversion: <sip:2@x>\ns: hello\n'));
    assert.deepEqual(fields, { diversion: ['<sip:1@x>', '<sip:2@x>'], subject: ['hello'] });
  });

  test('of a phone that writes Latin-1 are understood', () => {
    assert.deepEqual(readFields('From%3A%20J%FCrgen%0A'), { from: ['Jürgen'] });
  });

  test('cannot bring in another header', () => {
    assert.deepEqual(readFields(writeFields([{ name: 'Reason', value: 'x\r\nX-Evil: 1' }])), {
      reason: ['x X-Evil: 1'],
    });
  });

  test('that are none, or not there, are none', () => {
    for (const text of [undefined, '', '%', '%zz', 'no colon', ': no name', '%0A%0A'])
      assert.deepEqual(readFields(text), {});
  });
});

describe('passing', () => {
  const fields = readFields(
    writeFields([
      { name: 'Diversion', value: '<sip:1@x>' },
      { name: 'user-to-user', value: 'ff' },
      { name: 'X-Own', value: '1' },
      { name: 'Reason', value: 'SIP;cause=1' },
    ]),
  );

  test('is for the configured headers; who diverted is believed from a trusted trunk only', () => {
    assert.deepEqual(passedHeaders(fields, rules, true), { diversion: ['<sip:1@x>'], 'user-to-user': ['ff'] });
    assert.deepEqual(passedHeaders(fields, rules, false), { 'user-to-user': ['ff'] });
    assert.deepEqual(passedHeaders(fields, { ...rules, headers: ['x-own'] }, false), { 'x-own': ['1'] });
  });

  test('at the end of a leg is for the Reason too', () => {
    assert.deepEqual(endHeaders(fields, rules), [
      { name: 'Reason', value: 'SIP;cause=1' },
      { name: 'User-to-User', value: 'ff' },
    ]);
  });
});

describe('who calls', () => {
  const from = { number: '100', name: 'of the channel' };
  const read = (text: string, source: Parameters<typeof readIdentity>[1] = carrier, trusted = true): CallerIdentity =>
    readIdentity(readFields(encodeURIComponent(text)), source, from, trusted);

  test('is what the From says, and what the channel says where there is no From', () => {
    const identity = read('From: "J\\"o" <sip:+49%2F1;phone-context=x@h>;tag=1');
    assert.deepEqual([identity.callerNumber, identity.callerName, identity.presented], ['+49/1', 'J"o', null]);
    assert.equal(read('').callerNumber, '100');
  });

  test('is what a trusted trunk asserts, by sip: or tel:, and the From is what is shown', () => {
    const identity = read(
      'From: "Shop" <sip:5@h>;tag=1\nP-Asserted-Identity: "A, B" <sip:+4930@c>, <tel:+4930>\nPrivacy: id; critical',
    );
    assert.deepEqual(identity, {
      callerNumber: '+4930',
      callerName: 'A, B',
      presented: { number: '5', name: 'Shop' },
      asserted: ['"A, B" <sip:+4930@c>', '<tel:+4930>'],
      privacy: ['id', 'critical'],
    });
    assert.equal(read('From: <sip:5@h>\nP-Asserted-Identity: <tel:+4931;ext=5>').callerNumber, '+4931');
  });

  test('is never what a phone or an untrusted trunk asserts', () => {
    const text = 'From: <sip:5@h>\nP-Asserted-Identity: <sip:110@h>';
    for (const source of [{ kind: 'subscriber', subscriber: '5' }, carrier] as const) {
      const { callerNumber, asserted } = read(text, source, false);
      assert.deepEqual([callerNumber, asserted], ['5', []]);
    }
    assert.equal(read(text, { kind: 'subscriber', subscriber: '5' }, true).callerNumber, '5');
  });
});

describe('the caller as a callee sees it', () => {
  const caller = {
    callerNumber: '1001',
    callerName: 'Al "A" ice',
    presented: null,
    asserted: [],
    privacy: [],
    headers: { 'history-info': ['h'], subject: ['s'] },
  };
  const show = (
    change: Partial<CallerIdentity> = {},
    trusted = true,
    number?: string,
  ): ReturnType<typeof presentCaller> =>
    presentCaller(
      { ...caller, ...change },
      { trusted, domain: 'holdfast.test', ...(number === undefined ? {} : { number }) },
    );

  test('has an identity that we assert, for a trusted trunk only', () => {
    assert.deepEqual(show(), {
      number: '1001',
      name: 'Al "A" ice',
      headers: { ...caller.headers, 'p-asserted-identity': ['"Al \\"A\\" ice" <sip:1001@holdfast.test>'] },
    });
    assert.deepEqual(show({}, false), { number: '1001', name: 'Al "A" ice', headers: caller.headers });
  });

  test('has what another trunk asserts, beside what is shown', () => {
    const change = { presented: { number: '5', name: 'Shop' }, asserted: ['<tel:+49>'] };
    assert.deepEqual([show(change).number, show(change).headers['p-asserted-identity']], ['5', ['<tel:+49>']]);
    assert.deepEqual(
      [show(change, false).number, show(change, false).headers['p-asserted-identity']],
      ['5', undefined],
    );
  });

  test('has the number of the route in every place', () => {
    const shown = show({ presented: { number: '5', name: 'Shop' }, asserted: ['<tel:+49>'] }, true, '+1555');
    assert.deepEqual(
      [shown.number, shown.headers['p-asserted-identity']],
      ['+1555', ['"Al \\"A\\" ice" <sip:+1555@holdfast.test>']],
    );
  });

  test('is nobody where it wants to be hidden, and a trusted trunk is told both', () => {
    for (const privacy of [['id'], ['user', 'critical'], ['header']]) {
      const { number, name, fromHost, headers } = show({ privacy }, false);
      assert.deepEqual([number, name, fromHost], ['anonymous', 'Anonymous', 'anonymous.invalid']);
      assert.deepEqual(
        [headers['p-asserted-identity'], headers['privacy'], headers['subject']],
        [undefined, undefined, ['s']],
      );
      const trunk = show({ privacy });
      assert.equal(trunk.fromHost, 'anonymous.invalid');
      assert.deepEqual(trunk.headers['privacy'], [privacy.join(';')]);
      assert.match(trunk.headers['p-asserted-identity']?.[0] ?? '', /sip:1001@/);
    }
    assert.equal(show({ privacy: ['none'] }, false).number, '1001');
  });

  test('does not tell by which way the call came where that is to be hidden', () => {
    assert.equal(show({ privacy: ['history'] }, false).headers['history-info'], undefined);
    assert.deepEqual(show({ privacy: ['history'] }).headers['history-info'], ['h']);
  });

  test('that nobody knows has no identity that we could assert', () => {
    assert.equal(show({ callerNumber: 'anonymous' }).headers['p-asserted-identity'], undefined);
  });
});
