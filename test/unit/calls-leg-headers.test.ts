// The headers of an outgoing leg: what is passed on, what plugins change, and what nobody may.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  changedFields,
  headersOf,
  headerVariables,
  passedFields,
  wrongHeaderName,
} from '../../core/calls/leg-headers.js';

const passed = [
  { name: 'X-Account', value: '42' },
  { name: 'Diversion', value: '<sip:1@a.test>;reason=unconditional' },
  { name: 'Diversion', value: '<sip:2@a.test>' },
];
const headers = { 'x-account': ['42'], diversion: ['<sip:1@a.test>;reason=unconditional', '<sip:2@a.test>'] };

describe('headers of a leg', () => {
  test('are those passed on where nothing is changed', () => {
    assert.deepEqual(passedFields(headers), passed);
    assert.deepEqual(headersOf(changedFields(passed, [undefined])), headers);
  });

  test('are set in place of those passed on, and removed, whatever the case of their names', () => {
    const changes = [{ set: { 'x-ACCOUNT': '43', 'X-New': 'a, b' }, remove: ['diversion'] }];
    assert.deepEqual(changedFields(passed, changes), [
      { name: 'x-ACCOUNT', value: '43' },
      { name: 'X-New', value: 'a, b' },
    ]);
  });

  test('of an earlier change go before those of a later one', () => {
    const target = { set: { 'X-Account': 'target' }, remove: ['X-Step'] };
    const step = { set: { 'x-account': 'step', 'X-Step': 'step' }, remove: ['diversion'] };
    assert.deepEqual(changedFields(passed, [target, step]), [{ name: 'X-Account', value: 'target' }]);
  });

  test('become variables of which none hides another', () => {
    assert.deepEqual(headerVariables(passed.slice(1)), {
      'PJSIP_HEADER(add,Diversion,1)': '<sip:1@a.test>;reason=unconditional',
      'PJSIP_HEADER(add,Diversion,2)': '<sip:2@a.test>',
    });
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
