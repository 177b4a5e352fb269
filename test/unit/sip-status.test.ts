// Which of several failures a caller hears (RFC 3261 §16.7), and as what.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestStatus } from '../../core/calls/sip-status.js';

test('a 6xx before all, else of the lowest class the last one; a redirection is no answer', () => {
  assert.equal(bestStatus([486, 603, 503]), 603);
  assert.equal(bestStatus([503, 486, 480]), 480);
  assert.equal(bestStatus([302, 486]), 486);
  assert.equal(bestStatus([]), 480);
});

test('what is meant for us says nothing to a caller: redirections, challenges, and our own edge that has lost a connection', () => {
  assert.deepEqual(
    [302, 401, 407, 430].map(status => bestStatus([status])),
    [480, 500, 500, 480],
  );
});
