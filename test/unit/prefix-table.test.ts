// Trunks by the longest prefix of the number, from a CSV file.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readPrefixTable } from '../../plugins/routing/prefix-table.js';

const trunks = new Set(['west', 'east']);
const read = (text: string) => readPrefixTable(text, name => trunks.has(name));

describe('a table of prefixes', () => {
  test('gives the trunks of the longest prefix, best first', () => {
    const { table, problems } = read('prefix,trunks\r\n# home\r\n+49,west\r\n"+4930","east|west"\r\n\r\n7;east\r\n');
    assert.deepEqual(problems, []);
    assert.equal(table.size, 3);
    assert.deepEqual(table.trunksFor('+493091'), ['east', 'west']);
    assert.deepEqual(table.trunksFor('+4989'), ['west']);
    assert.deepEqual(table.trunksFor('7'), ['east']);
    assert.equal(table.trunksFor('+4'), undefined);
    assert.equal(table.trunksFor(''), undefined);
  });

  test('says of each wrong line where it is and what it lacks', () => {
    const { problems, table } = read('+49,west\n+50,north\nabc,west\n+49,east\n+51\n+52,west,9\n');
    assert.deepEqual(
      problems.map(({ line, message }) => `${line}: ${message}`),
      [
        '2: there is no trunk "north"',
        '3: must be prefix,trunk or prefix,trunk|trunk: digits, and names of trunks',
        '4: +49 is there twice',
        '5: must be prefix,trunk or prefix,trunk|trunk: digits, and names of trunks',
        '6: must be prefix,trunk or prefix,trunk|trunk: digits, and names of trunks',
      ],
    );
    assert.equal(table.size, 1);
  });
});
