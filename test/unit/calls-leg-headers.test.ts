// The headers of an outgoing leg: what is passed on, what plugins change, and what nobody may.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { headerVariables, legHeaders, wrongHeaderName } from '../../core/calls/leg-headers.js';

const passed = { 'x-account': ['42'], diversion: ['<sip:1@a.test>;reason=unconditional', '<sip:2@a.test>'] };

describe('headers of a leg', () => {
  test('are those passed on, each value on its own and in order', () => {
    assert.deepEqual(legHeaders(passed, []), [
      ['x-account', '42'],
      ['diversion', '<sip:1@a.test>;reason=unconditional'],
      ['diversion', '<sip:2@a.test>'],
    ]);
  });

  test('are set in place of those passed on, and removed, whatever the case of their names', () => {
    const changes = [{ set: { 'X-Account': '43', 'X-New': 'a, b' }, remove: ['Diversion'] }];
    assert.deepEqual(legHeaders(passed, changes), [
      ['X-Account', '43'],
      ['X-New', 'a, b'],
    ]);
  });

  test('of a target go before those of its step', () => {
    const target = { set: { 'X-Account': 'target' }, remove: ['X-Step'] };
    const step = { set: { 'x-account': 'step', 'X-Step': 'step' }, remove: ['diversion'] };
    assert.deepEqual(legHeaders(passed, [target, step]), [['X-Account', 'target']]);
  });

  test('become variables of which none hides another', () => {
    assert.deepEqual(
      headerVariables([
        ['Diversion', 'a'],
        ['Diversion', 'b'],
      ]),
      {
        'PJSIP_HEADER(add,Diversion,1)': 'a',
        'PJSIP_HEADER(add,Diversion,2)': 'b',
      },
    );
  });

  test('that SIP works by, compact forms and what is no name are refused', () => {
    for (const name of ['From', 'VIA', 'content-type', 'X-Holdfast-Source', 'f', 'a b', 'x:y', 'x,1)', '']) {
      assert.notEqual(wrongHeaderName(name), undefined, name);
    }
    for (const name of [
      'X-Account',
      'P-Asserted-Identity',
      'Privacy',
      'Diversion',
      'History-Info',
      'Reason',
      'Subject',
    ]) {
      assert.equal(wrongHeaderName(name), undefined, name);
    }
  });
});
