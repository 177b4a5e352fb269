// The record of a recovery, as a daemon finds it that comes back in the middle of one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeStates } from '../../core/farm/node-states.js';
import { silentLogger } from '../../core/log.js';
import { Recoveries, type RecoveriesOptions } from '../../core/recovery/recoveries.js';
import { recoveryRecordSchema } from '../../core/recovery/recovery-record.js';
import { openMemoryStore } from '../../core/store/memory-store.js';

test('one that is told of the same death again, as the daemon before it hardly lived, counts its sessions once', async () => {
  const store = openMemoryStore();
  const death = { node: 'call-1', firstSignMs: 1_000, declaredMs: 2_000 };
  const begun = { found: 4, recovered: 1, ended: 0, failed: 0 };
  const record = { ...death, epoch: 'call-1-rs', farm: 'call', sessions: begun, lastUpMs: null, done: false };
  await store.table('recoveries', recoveryRecordSchema).put('call-1-rs', { ...record, farm: 'call' });
  const told: string[] = [];
  const options = {
    ...{ store, nodes: new NodeStates(silentLogger), policy: () => undefined, log: silentLogger },
    engine: { onRecovering: () => undefined, save: async () => undefined, book: { withLegsOn: () => [] } },
    source: {
      ...{ hasTraced: false, hold: () => undefined, release: () => undefined },
      ...{ openInvites: async () => [], dialogs: async () => new Map() },
    },
    done: ({ epoch, sessions }: { epoch: string; sessions: { found: number } }) =>
      void told.push(`${epoch} ${sessions.found}`),
  } as unknown as RecoveriesOptions;
  const recoveries = new Recoveries(options);
  await recoveries.load();
  await recoveries.nodeDied({ ...death, reason: 'it died while the daemon was away' });
  assert.deepEqual(
    recoveries.list().map(one => [one.sessions, one.done]),
    [[begun, true]],
  );
  assert.deepEqual(told, ['call-1-rs 4']);
});
