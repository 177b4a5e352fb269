// Telephone numbers: read and written as carriers do, and which of them may be called.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { destinationRefusal, expensiveByDefault, expensiveRefusal } from '../../core/numbers/destinations.js';
import { readNumber, writeNumber, type NumberFormat } from '../../core/numbers/phone-number.js';

const german = { format: 'as-is', country: 'DE' } as const;

describe('a number', () => {
  const readings: readonly (readonly [string, string | undefined, string | undefined, NumberFormat?])[] = [
    ['+4930901820', undefined, '+4930901820'],
    ['+49 (30) 90-1820', undefined, '+4930901820'],
    ['030901820', 'DE', '+4930901820'],
    ['004930901820', 'DE', '+4930901820'],
    ['004930901820', undefined, '+4930901820'],
    ['01149 30901820', 'US', '+4930901820'],
    ['2125551234', 'US', '+12125551234'],
    ['12125551234', 'US', '+12125551234'],
    ['3331234567', 'IT', '+393331234567'],
    ['4915112345678', 'DE', '+4915112345678', 'plain'],
    ['+999123456', undefined, '+999123456'],
    // Neither extensions nor short numbers, names or what is too long are numbers of the public network.
    ...['1001', '9001', '112', '115', '30901820', 'alice', '+49alice', '0'.repeat(30), ''].map(
      text => [text, 'DE', undefined] as const,
    ),
    ['030901820', undefined, undefined],
  ];
  for (const [text, country, e164, format = 'as-is'] of readings) {
    test(`${text} read in ${country ?? 'no country'} is ${e164 ?? 'none'}`, () => {
      assert.equal(readNumber(text, { format, ...(country === undefined ? {} : { country }) }), e164);
    });
  }

  test('is written as the trunk writes numbers', () => {
    const written = (format: NumberFormat, country: string, e164: string): string =>
      writeNumber(e164, { format, country });
    assert.equal(written('as-is', 'DE', '+4930901820'), '+4930901820');
    assert.equal(written('e164', 'DE', '+4930901820'), '+4930901820');
    assert.equal(written('plain', 'DE', '+4930901820'), '4930901820');
    assert.equal(written('international', 'DE', '+4930901820'), '004930901820');
    assert.equal(written('international', 'US', '+4930901820'), '0114930901820');
    assert.equal(written('national', 'DE', '+4930901820'), '030901820');
    assert.equal(written('national', 'DE', '+12125551234'), '0012125551234');
    assert.equal(written('national', 'US', '+12125551234'), '2125551234');
    assert.equal(written('national', 'IT', '+390612345678'), '0612345678');
  });
});

describe('a destination', () => {
  const number = (written: string) => {
    const e164 = readNumber(written, german);
    return { written, ...(e164 === undefined ? {} : { e164 }) };
  };
  const refused = (written: string, allow: string[], block: string[] = []): boolean =>
    destinationRefusal(number(written), { allow, block }) !== undefined;

  test('is allowed or blocked by the longest prefix that fits', () => {
    assert.equal(refused('030901820', []), false);
    assert.equal(refused('030901820', ['+49']), false);
    assert.equal(refused('+12125551234', ['+49']), true);
    assert.equal(refused('030901820', [], ['+4930']), true);
    assert.equal(refused('030901820', ['+4930901'], ['+4930']), false);
    assert.equal(refused('030901820', ['+49'], ['+4930']), true);
    assert.equal(refused('0900123', ['0']), false);
    assert.equal(refused('7123', ['7'], ['71']), true);
    assert.equal(refused('+12125551234', ['+']), false);
  });

  const expensive = (written: string, allow: string[] = []): boolean =>
    expensiveRefusal(number(written), expensiveByDefault, allow) !== undefined;

  test('that is expensive is blocked until it is allowed by name', () => {
    for (const one of [
      '00881612345678',
      '+870773111111',
      '+88299123456',
      '+979123456789',
      '+80812345678',
      '+19005551234',
    ])
      assert.ok(expensive(one), one);
    assert.ok(expensive('09001234567'), 'premium rate, as it is dialled at home');
    assert.ok(expensive('+1900555123400'), 'digits after its end do not hide it');
    assert.equal(expensive('030901820'), false);
    assert.equal(expensive('+12125551234'), false);
    assert.ok(expensive('00881612345678', ['+', '+88']), 'the whole world is no name');
    assert.equal(expensive('00881612345678', ['+', '+881']), false);
    assert.ok(expensive('09001234567', ['+49']), 'nor is a country');
    assert.equal(expensive('09001234567', ['+49', '+49900']), false);
  });
});
