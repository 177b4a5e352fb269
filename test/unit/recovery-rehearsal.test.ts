// The rehearsal of a recovery: what it plays is the daemon's own code, so it fails where a recovery would.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rehearse } from '../../core/recovery/rehearsal.js';

test('all sessions of a rehearsal are recovered, and nothing of it is left', async () => {
  assert.deepEqual(await rehearse(), { sessions: 72, recovered: 72 });
  // A timer of a session or a call would hold the process up.
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'));
});
