// How callers are shown to a trunk, and how those that it sends are read.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { presentCaller, type CallerIdentity, type Presentation } from '../../core/calls/caller-identity.js';
import {
  callerFor,
  callerFrom,
  presentedTo,
  type CallerRules,
  type TrunkCaller,
} from '../../core/calls/trunk-caller.js';
import type { NumberFormat } from '../../core/numbers/phone-number.js';

const domain = 'a.test';
const main = '+4930901820';
const caller = (callerNumber: string, part: Partial<CallerIdentity> = {}) => ({
  ...{ callerNumber, callerName: 'Ann', presented: null, asserted: [], privacy: [], headers: {}, ...part },
});
const wishes = (format: NumberFormat, rules?: Partial<CallerRules>): TrunkCaller => ({
  numbers: { format, country: 'DE' },
  ...(rules === undefined
    ? {}
    : { caller: { number: main, show: 'caller', asserted: 'caller', privacy: 'pass', ...rules } as const }),
});

function shown(who: ReturnType<typeof caller>, wanted: TrunkCaller, number?: string): Presentation {
  const ruled = callerFor(who, wanted, number);
  const asked = ruled.number === undefined ? {} : { number: ruled.number };
  return presentedTo(presentCaller(ruled.caller, { trusted: true, domain, ...asked }), wanted, domain);
}

describe('to a trunk a caller is shown', () => {
  test('with a number in its format, in From and P-Asserted-Identity', () => {
    const { number, headers } = shown(caller('+493091'), wishes('plain'));
    assert.equal(number, '493091');
    assert.deepEqual(headers, { 'p-asserted-identity': ['"Ann" <sip:493091@a.test>'] });
    const asserted = ['"B" <sip:+4930901820@b.test;user=phone>', '<tel:+4930901820>'];
    assert.deepEqual(shown(caller('+493091', { asserted }), wishes('national')).headers, {
      'p-asserted-identity': ['"B" <sip:030901820@b.test;user=phone>', '<tel:030901820>'],
    });
  });

  test('by our own number where it has none that the world knows, unless the route says another', () => {
    assert.equal(shown(caller('1001'), wishes('e164', {})).number, main);
    assert.equal(shown(caller('+4917712345678'), wishes('e164', {})).number, '+4917712345678');
    assert.equal(shown(caller('1001'), wishes('e164', {}), '+493092').number, '+493092');
    assert.equal(shown(caller('+4917712345678'), wishes('e164', { show: 'number' }), '+493092').number, main);
    assert.equal(shown(caller('1001'), wishes('as-is')).number, '1001');
  });

  test('while our own number is asserted, or nobody', () => {
    const own = shown(caller('+4917712345678'), wishes('plain', { asserted: 'number' }));
    assert.equal(own.number, '4917712345678');
    assert.deepEqual(own.headers['p-asserted-identity'], ['<sip:4930901820@a.test>']);
    assert.deepEqual(shown(caller('+4917712345678'), wishes('plain', { asserted: 'none' })).headers, {});
  });

  test('or not, as the trunk wants it', () => {
    const hidden = shown(caller('+4917712345678'), wishes('plain', { privacy: 'hide' }));
    assert.deepEqual([hidden.number, hidden.fromHost], ['anonymous', 'anonymous.invalid']);
    assert.deepEqual(hidden.headers['privacy'], ['id']);
    const open = shown(caller('+4917712345678', { privacy: ['id'] }), wishes('plain', { privacy: 'show' }));
    assert.deepEqual([open.number, open.headers['privacy']], ['4917712345678', undefined]);
  });
});

test('a caller from a trunk has its number in E.164, and one without any keeps what it has', () => {
  const presented = { number: '03091', name: '' };
  const numbers = { format: 'national', country: 'DE' } as const;
  assert.deepEqual(callerFrom(caller('030901820', { presented }), numbers).callerNumber, main);
  assert.deepEqual(callerFrom(caller('030901820', { presented }), numbers).presented?.number, '+493091');
  assert.equal(callerFrom(caller('anonymous'), numbers).callerNumber, 'anonymous');
  assert.equal(callerFrom(caller('030901820'), { format: 'as-is' }).callerNumber, '030901820');
});
