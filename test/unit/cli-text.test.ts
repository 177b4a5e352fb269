// The pure parts of the command line: tables, suggestions, log lines.
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { formatLogLine } from '../../core/cli/log-follower.js';
import { terminalStyle } from '../../core/cli/style.js';
import { suggest } from '../../core/cli/suggest.js';
import { formatTable } from '../../core/cli/table.js';

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
