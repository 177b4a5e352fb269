// One session of a dead node, against an Asterisk that says what the real one says at awkward moments.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import type { AriClient, AriEvent } from '../../core/ports/asterisk.js';
import { LegRecovery, pauseAfter } from '../../core/recovery/leg-recovery.js';
import { waitFor } from '../harness/wait-for.js';

const session = { epoch: 'e', callId: 'c', legId: 'c-1', dialog: null, trunk: null, priority: 0 };

const refused = (status: number): HoldfastError =>
  new HoldfastError('ARI_REFUSED', `refused: ${status}`, { details: { status } });

/** `answers`: of each originate, in turn; the last one repeats. */
function recovery(answers: readonly (() => Promise<undefined>)[], isThere: boolean) {
  const asked: string[] = [];
  const ari = {
    channels: {
      originate: async () => {
        asked.push('originate');
        return answers[Math.min(asked.filter(one => one === 'originate').length, answers.length) - 1]?.();
      },
      get: async () => {
        asked.push('get');
        if (!isThere) throw refused(404);
        return {};
      },
    },
  } as unknown as AriClient;
  const leg = new LegRecovery({
    ...{ session, ari: () => ari, hasCredentials: () => false },
    ...{ patienceMs: () => 10_000, bridge: () => undefined },
  });
  return { leg, asked };
}

const taken = async (): Promise<undefined> => undefined;
const exists = (): Promise<undefined> => Promise.reject(refused(409));
const hear = (leg: LegRecovery, type: 'StasisStart' | 'ChannelDestroyed', status?: number): boolean =>
  leg.hears({ type, channel: { id: 'c-1' }, cause: 0, cause_txt: '', tech_cause: status } as unknown as AriEvent);

test('an attempt after a refusal waits until Asterisk has forgotten the channel of the one before', async () => {
  const { leg, asked } = recovery([taken, exists, exists, taken], true);
  const outcome = leg.run('call-2', 'new');
  await waitFor('the first INVITE', () => asked.length === 1);
  hear(leg, 'ChannelDestroyed', 491);
  await waitFor('the second INVITE', () => asked.length === 4);
  hear(leg, 'StasisStart');
  assert.deepEqual(await outcome, { result: 'recovered', reason: 'answered' });
  // What is there is no order of ours whose answer was lost: nobody asks for it.
  assert.deepEqual(asked, ['originate', 'originate', 'originate', 'originate']);
  assert.deepEqual(leg.refusals, [491]);
});

test('a channel that is there before any refusal is of an order whose answer was lost', async () => {
  const { leg, asked } = recovery([exists], true);
  const outcome = leg.run('call-2', 'new');
  await waitFor('a look at it', () => asked.includes('get'));
  hear(leg, 'StasisStart');
  assert.equal((await outcome).result, 'recovered');
  assert.deepEqual(asked, ['originate', 'get']);
});

test('one that was there and is gone is asked for again', async () => {
  const { leg, asked } = recovery([exists, taken], false);
  const outcome = leg.run('call-2', 'new');
  await waitFor('the second order', () => asked.length === 3);
  hear(leg, 'StasisStart');
  assert.equal((await outcome).result, 'recovered');
});

test('a phone that hangs up behind its answer, in the same turn, is left to its call', async () => {
  const { leg } = recovery([taken], false);
  const outcome = leg.run('call-2', 'new');
  assert.deepEqual([hear(leg, 'StasisStart'), hear(leg, 'ChannelDestroyed')], [true, false]);
  assert.equal((await outcome).result, 'recovered');
});

test('a BYE that overtakes the answer to our INVITE is the end of the session, not its failure', async () => {
  const { leg } = recovery([taken], false);
  const outcome = leg.run('call-2', 'new');
  hear(leg, 'ChannelDestroyed', 200);
  assert.equal((await outcome).result, 'gone');
});

test('one who never answers is not said to have answered', async t => {
  t.mock.timers.enable({ apis: ['Date'] });
  t.mock.timers.setTime(1_000_000);
  const reasons: string[] = [];
  for (const answerMs of [3_000, 8_010]) {
    const { leg } = recovery([taken], false);
    const outcome = leg.run('call-2', 'new');
    t.mock.timers.setTime(Date.now() + answerMs);
    hear(leg, 'ChannelDestroyed', 480);
    const { result, reason } = await outcome;
    reasons.push(`${result}: ${reason}`);
  }
  assert.deepEqual(reasons, ['failed: the far end answered 480', 'failed: the far end did not answer']);
});

test('nodes that cannot be reached do not fail a session, however many: those that refuse it do', async () => {
  const unreachable = (): Promise<undefined> => Promise.reject(new HoldfastError('ARI_UNREACHABLE', 'not reached'));
  const { leg } = recovery([unreachable, unreachable, unreachable, () => Promise.reject(refused(500))], false);
  const results: string[] = [];
  for (let i = 0; i < 5; i++) results.push((await leg.run('call-2', 'new')).result);
  assert.deepEqual(results, [...Array<string>(4).fill('again elsewhere'), 'failed']);
});

test('an order whose answer was lost with the connection, and that was taken, is heard', async () => {
  const lost = (): Promise<undefined> => Promise.reject(new HoldfastError('ARI_UNREACHABLE', 'connection lost'));
  const { leg, asked } = recovery([lost], true);
  const outcome = leg.run('call-2', 'new');
  await waitFor('the order', () => asked.length === 1);
  hear(leg, 'StasisStart');
  assert.equal((await outcome).result, 'recovered');
});

test('the pause after a refusal is longer after many, and differs by chance: two that recover one dialog part', () => {
  assert.deepEqual(
    [1, 3, 5, 7, 20].map(attempt => [pauseAfter(attempt, 0), pauseAfter(attempt, 1)]),
    [
      [50, 150],
      [100, 300],
      [200, 600],
      [500, 1500],
      [500, 1500],
    ],
  );
  assert.notEqual(pauseAfter(1), pauseAfter(1));
});
