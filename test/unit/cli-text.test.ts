// The pure parts of the command line: tables, suggestions, log lines.
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { formatLogLine } from '../../core/cli/log-follower.js';
import { terminalStyle } from '../../core/cli/style.js';
import { suggest } from '../../core/cli/suggest.js';
import { formatTable, type Cell } from '../../core/cli/table.js';

const plain = terminalStyle(false);

describe('formatTable', () => {
  it('aligns columns, numbers to the right, and shows a missing value as a dash', () => {
    const table = formatTable(
      ['NAME', 'N'],
      [
        ['a', 1],
        ['long name', 200],
      ],
    );
    assert.equal(table, 'NAME         N\na            1\nlong name  200\n');
    assert.equal(formatTable(['A', 'B'], [[null, undefined]]), 'A  B\n-  -\n');
  });

  it('does not count colours as width', () => {
    const colour = terminalStyle(true);
    const [, first, second] = formatTable(
      ['S', 'X'],
      [
        [colour('green', 'up'), 'x'],
        ['dead', 'x'],
      ],
    ).split('\n');
    assert.equal(first, `${colour('green', 'up')}    x`);
    assert.equal(second, 'dead  x');
  });
});

describe('a table on a terminal', () => {
  const headings = ['CALL', 'PEER', 'CALL-ID'];
  const rows = [
    ['1m85e2qacqcfkeb09', 'sip:70001@192.0.2.8:5060', 'e806b2b89e6c@192.0.2.7'],
    ['', '1001', 'short'],
  ];
  const fit = { shortens: ['CALL-ID', 'PEER'], omits: ['CALL-ID'] };
  const at = (columns: number | undefined, given: readonly (readonly Cell[])[] = rows): string[] =>
    formatTable(headings, given, { ...fit, columns }).split('\n');

  it('is as it is where it fits, or where there is none', () => {
    const whole = at(undefined);
    assert.equal(whole[1], '1m85e2qacqcfkeb09  sip:70001@192.0.2.8:5060  e806b2b89e6c@192.0.2.7');
    assert.deepEqual(at(67), whole);
  });

  it('shortens what matters least first, a URI without its scheme, and leaves it out at last', () => {
    assert.equal(at(60)[1], '1m85e2qacqcfkeb09  sip:70001@192.0.2.8:5060  e806b2b89e6c@1…');
    assert.equal(at(49)[1], '1m85e2qacqcfkeb09  70001@192.0.2.8:5060  e806b2b…');
    assert.equal(at(40)[1], '1m85e2qacqcfkeb09  70001@192.…  e806b2b…');
    assert.deepEqual(at(30), [
      'CALL               PEER',
      '1m85e2qacqcfkeb09  70001@192.…',
      '                   1001',
      '',
    ]);
    for (let columns = 27; columns < 70; columns++)
      assert.ok(
        at(columns).every(line => line.length <= columns),
        `${columns}`,
      );
  });

  it('never cuts what alone says what a row is about', () => {
    const [, known, unknown] = at(40, [...rows.slice(0, 1), ['(no call)', null, { whole: 'a-call-id@192.0.2.99' }]]);
    assert.equal(known, '1m85e2qacqcfkeb09  70001@192.…  e806b2b…');
    assert.equal(unknown, '(no call)          -            a-call-id@192.0.2.99');
  });

  it('goes on in the next line with words, below where they began', () => {
    const table = formatTable(['NODE', 'WHY'], [['call-1', 'it does not answer, and its stream is silent']], {
      columns: 32,
      wraps: true,
    });
    assert.equal(table, 'NODE    WHY\ncall-1  it does not answer, and\n        its stream is silent\n');
  });
});

describe('suggest', () => {
  it('finds slips and beginnings, and nothing where nothing is near', () => {
    const names = ['status', 'nodes', 'calls', 'conferences', 'dispatcher', 'down', 'up'];
    assert.equal(suggest('stauts', names), 'status');
    assert.equal(suggest('call', names), 'calls');
    assert.equal(suggest('conf', names), 'conferences');
    assert.equal(suggest('donw', names), 'down');
    assert.equal(suggest('frobnicate', names), undefined);
    assert.equal(suggest('x', names), undefined);
  });
});

describe('formatLogLine', () => {
  it('shows time, message and fields, leaves debug lines out, and passes what is no log line', () => {
    const line = { level: 'info', time: '2025-01-01T10:20:30.000Z', call: 'c-1', msg: 'call up' };
    assert.match(formatLogLine(JSON.stringify(line), plain) ?? '', /^\d\d:20:30 call up call=c-1$/);
    const error = { ...line, level: 'error', error: { message: 'no', stack: 'long' } };
    assert.match(formatLogLine(JSON.stringify(error), plain) ?? '', /^\d\d:20:30 error call up call=c-1 error=no$/);
    assert.equal(formatLogLine(JSON.stringify({ ...line, level: 'debug' }), plain), undefined);
    assert.equal(formatLogLine('Segmentation fault', plain), 'Segmentation fault');
    assert.equal(formatLogLine('', plain), undefined);
  });
});
