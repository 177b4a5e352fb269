// Recordings of rooms that cannot begin: refused by ARI, or by a full disk.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conferenceRecordSchema } from '../../core/conferences/conference-record.js';
import { Recordings } from '../../core/conferences/recordings.js';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import type { AsteriskFarm } from '../../core/ports/asterisk.js';
import type { RecordingFolder } from '../../core/recordings/recording-book.js';
import { openMemoryStore } from '../../core/store/memory-store.js';

const room = {
  ...conferenceRecordSchema.parse({
    ...{ id: 'c1', room: '8001', mixing: 'conference-farm', node: 'conference-1', createdMs: 1, participants: [] },
  }),
  room: '8001',
};

describe('a recording that cannot begin', () => {
  const opened = (record: () => Promise<void>, write: RecordingFolder['write']) => {
    const told: string[] = [];
    const node = { connected: true, ari: { bridges: { record } } };
    const recordings = new Recordings({
      store: openMemoryStore(),
      asterisks: { node: () => node } as unknown as AsteriskFarm,
      folder: { take: async () => false, write },
      conference: () => room,
      log: silentLogger,
      told: type => told.push(type),
    });
    return { recordings, told };
  };

  test('as ARI refuses it is none, and the next one may begin', async () => {
    const answers = [new HoldfastError('ARI_REFUSED', 'no', { details: { status: 500 } }), undefined];
    const record = async (): Promise<void> => {
      const answer = answers.shift();
      if (answer) throw answer;
    };
    const { recordings, told } = opened(record, async () => undefined);
    await assert.rejects(recordings.start(room), { code: 'ARI_REFUSED' });
    assert.equal(recordings.of(room.id), undefined);
    await recordings.start(room);
    assert.equal(recordings.of(room.id)?.room, '8001');
    assert.deepEqual(told, ['started']);
  });

  test('as the disk is full it is none, and nothing is recorded', async () => {
    let asked = 0;
    const full = async (): Promise<void> => {
      throw new HoldfastError('HOST_FAILED', 'no space left on device');
    };
    const counting = async (): Promise<void> => {
      asked += 1;
    };
    const { recordings } = opened(counting, full);
    await assert.rejects(recordings.start(room), { code: 'HOST_FAILED' });
    assert.deepEqual([recordings.of(room.id), asked], [undefined, 0]);
  });
});
