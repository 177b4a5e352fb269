// Recordings of calls: which leg is listened to, over deaths and departures, and what becomes of one that cannot begin.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { advance, type CallEvent } from '../../core/calls/call-machine.js';
import type { CallRecord } from '../../core/calls/call-record.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import { StasisArrivals } from '../../core/calls/stasis-arrivals.js';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import type { AsteriskFarm } from '../../core/ports/asterisk.js';
import { followed, newCallRecording, type CallRecording } from '../../core/recordings/call-recording-record.js';
import { CallRecordings } from '../../core/recordings/call-recordings.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { incomingCall } from '../../core/testing/facts.js';
import { waitFor } from '../harness/wait-for.js';

const wish = { sides: 'both', maxSeconds: null, webhook: null } as const;

/** A call of two that are connected, after these events. */
function connected(...events: readonly CallEvent[]): CallRecord {
  const call = newCallRecord(incomingCall({ id: 'c1' }), 'call-1', 'caller', 0, noLimits);
  const flow = [{ action: 'connect', targets: [{ uri: 'sip:a@b' }], strategy: 'in-order' }] as const;
  const begun: readonly CallEvent[] = [
    { type: 'routed', answer: { flow, routeName: 'r' } },
    { type: 'legAnswered', leg: 'c1-1' },
  ];
  return [...begun, ...events].reduce((now, event) => advance(now, event, 1).call, call);
}

const moved: CallEvent = { type: 'legsMoved', legs: ['caller', 'c1-1'], node: 'call-2', epoch: 'e1' };
const back = (leg: string): CallEvent => ({ type: 'legRecovered', leg });
const segments = (recording: CallRecording): readonly unknown[] =>
  recording.segments.map(({ leg, node, endedMs }) => [leg, node, endedMs === null ? 'open' : 'over']);

describe('a recording of a call', () => {
  test('waits while the node of the caller is dead, and goes on where they are again', () => {
    const before = newCallRecording(connected(), wish, 1);
    const waiting = followed(before, connected(moved), 2);
    assert.deepEqual(segments(waiting), [['caller', 'call-1', 'over']]);
    assert.equal(followed(waiting, connected(moved, back('c1-1')), 3), waiting, 'the other one alone is not the call');
    const after = followed(waiting, connected(moved, back('c1-1'), back('caller')), 4);
    assert.deepEqual(segments(after), [
      ['caller', 'call-1', 'over'],
      ['caller', 'call-2', 'open'],
    ]);
  });

  test('is over with the call, and untouched by what does not concern it', () => {
    const recording = newCallRecording(connected(), wish, 1);
    assert.equal(followed(recording, connected({ type: 'legHeld', leg: 'c1-1', held: true }), 2), recording);
    const over = followed(recording, connected({ type: 'hangup', reason: 'enough' }), 2);
    assert.deepEqual([over.endedMs, segments(over)], [2, [['caller', 'call-1', 'over']]]);
  });
});

describe('recordings of calls', () => {
  const opened = (snoop: () => Promise<void>, write: () => Promise<void> = async () => undefined) => {
    const arrivals = new StasisArrivals();
    const asked: string[] = [];
    const channels = {
      snoopChannelWithId: async ({ snoopId }: { snoopId: string }) => {
        asked.push('snoop');
        await snoop();
        arrivals.arrived(snoopId);
      },
      record: async () => void asked.push('record'),
      hangup: async () => void asked.push('hangup'),
    };
    const gone = async (): Promise<never> => {
      throw new HoldfastError('ARI_REFUSED', 'gone', { details: { status: 404 } });
    };
    const ari = { channels, recordings: { stop: async () => undefined, getLive: gone } };
    const told: string[] = [];
    let call: CallRecord | undefined = connected();
    const recordings = new CallRecordings({
      ...{ store: openMemoryStore(), arrivals, log: silentLogger },
      asterisks: { node: () => ({ connected: true, ari }) } as unknown as AsteriskFarm,
      folder: { take: async () => true, write },
      call: () => call,
      told: async type => void told.push(type),
    });
    const end = (): void => {
      const [before, after] = [connected(), connected({ type: 'hangup', reason: 'enough' })];
      call = undefined;
      recordings.changed(before, after);
    };
    return { recordings, asked, told, end };
  };
  const soon = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 20));

  test('asked for twice is one; as the call ends so does it, and nobody listens any more', async () => {
    const { recordings, asked, told, end } = opened(async () => undefined);
    const { id } = await recordings.start('c1', wish);
    assert.equal((await recordings.start('c1', wish)).id, id);
    assert.deepEqual([asked, recordings.listenersOn('call-1')], [['snoop', 'record'], [`listener-${id}-1`]]);
    end();
    await waitFor('its end', () => told.includes('done') && asked.includes('hangup'));
    assert.deepEqual([asked.at(-1), told], ['hangup', ['started', 'done']]);
    assert.deepEqual([recordings.of('c1'), recordings.listenersOn('call-1')], [undefined, []]);
  });

  test('that cannot begin is none, and the next one may', async () => {
    const answers = [new HoldfastError('ARI_REFUSED', 'no', { details: { status: 500 } }), undefined];
    const { recordings } = opened(async () => {
      const answer = answers.shift();
      if (answer) throw answer;
    });
    await assert.rejects(recordings.start('c1', wish), { code: 'ARI_REFUSED' });
    assert.equal(recordings.of('c1'), undefined);
    assert.equal((await recordings.start('c1', wish)).call, 'c1');
    await recordings.stop('c1');
  });

  test('of a call that is over is refused', async () => {
    const { recordings, end } = opened(async () => undefined);
    end();
    await assert.rejects(recordings.start('c1', wish), { code: 'CALL_NOT_FOUND' });
  });

  test('goes on where two things happen to it at once: its file of times is written by one at a time', async () => {
    let writing = 0;
    const { recordings, asked } = opened(
      async () => undefined,
      async () => {
        if (writing++ > 0) throw new HoldfastError('HOST_FAILED', 'the other one has taken it away');
        await soon();
        writing--;
      },
    );
    await recordings.start('c1', wish);
    recordings.changed(connected(), connected(moved));
    recordings.changed(connected(moved), connected(moved, back('caller')));
    const records = (): number => asked.filter(what => what === 'record').length;
    await waitFor('it to go on', () => records() === 2);
    await recordings.stop('c1');
  });

  test('with a limit ends by itself', async () => {
    const { recordings, told } = opened(async () => undefined);
    await recordings.start('c1', { ...wish, maxSeconds: 0.01 });
    await waitFor('its end', () => told.includes('done') && recordings.of('c1') === undefined);
    assert.deepEqual([told, recordings.of('c1')], [['started', 'done'], undefined]);
  });
});
