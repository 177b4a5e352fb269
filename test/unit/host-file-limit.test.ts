// The limit of open files, as /proc/PID/limits has it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileLimitWarning } from '../../core/host/file-limit.js';

const limits = (hard: string): string =>
  `Limit                     Soft Limit           Hard Limit           Units
Max processes             63500                63500                processes
Max open files            1024                 ${hard.padEnd(20)} files
`;

test('a hard limit that a thousand calls would use up is told with its remedy', () => {
  assert.match(
    fileLimitWarning(limits('4096')) ?? '',
    /may open 4096 files here.* about 409 calls; raise .*LimitNOFILE/,
  );
});

test('nothing is said of a higher one, nor of none', () => {
  assert.equal(fileLimitWarning(limits('20000')), undefined);
  assert.equal(fileLimitWarning(limits('unlimited')), undefined);
  assert.equal(fileLimitWarning(''), undefined);
});

test('the limit of this process is understood', () => {
  assert.doesNotThrow(() => fileLimitWarning());
});
