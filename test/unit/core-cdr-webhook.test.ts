// Call records at a webhook: signed, in order, each delivery until it was taken, through refusals, silence and crashes.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CallRecords } from '../../core/cdr/call-records.js';
import { CdrWebhook } from '../../core/cdr/cdr-webhook.js';
import { OutboxKeys, webhookOutbox } from '../../core/cdr/cdr-outbox.js';
import { signedHeaders } from '../../core/cdr/webhook-message.js';
import type { WebhookConfig } from '../../core/config/holdfast-config.js';
import { createLogger, silentLogger, type Logger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';
import { callDetailRecord as record } from '../harness/call-detail-record.js';
import { waitFor } from '../harness/wait-for.js';
import { WebhookReceiver } from '../harness/webhook-receiver.js';

const secret = 'a-secret-of-some-length';
const retryMs = { first: 2, most: 10 };

let store: Store;
let keys: OutboxKeys;
let receiver: WebhookReceiver;
let hooks: CdrWebhook[];

beforeEach(async () => {
  store = openMemoryStore();
  keys = new OutboxKeys();
  receiver = await WebhookReceiver.open(secret);
  hooks = [];
});
afterEach(async () => {
  for (const hook of hooks) await hook.stop();
  await receiver.close();
});

function target(change: Partial<WebhookConfig> = {}): WebhookConfig {
  return { url: receiver.url, secret, timeoutMs: 2_000, ...change };
}

function start(to: WebhookConfig | undefined = target(), log: Logger = silentLogger): CdrWebhook {
  const hook = new CdrWebhook({ store, log, retryMs });
  hooks.push(hook);
  hook.start(to);
  return hook;
}

async function end(...callIds: string[]): Promise<void> {
  const outbox = webhookOutbox(store);
  for (const callId of callIds) await outbox.put(keys.next(), record(callId), 0);
}

const nothingWaits = (): Promise<unknown> =>
  waitFor('an empty outbox', async () => (await webhookOutbox(store).count()) === 0, { everyMs: 2 });

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `call-${i}`);

describe('the webhook', () => {
  test('gets every record once, in the order in which calls ended, many in one request', async () => {
    await end(...names(120));
    start();
    await end('later');
    await receiver.takes(121);
    assert.deepEqual(receiver.callIds, [...names(120), 'later']);
    assert.ok(receiver.attempts.length <= 4, `${receiver.attempts.length} requests`);
    assert.deepEqual(receiver.taken[0]?.records[0], record('call-0'));
    assert.deepEqual(receiver.forged, []);
    await nothingWaits();
  });

  test('gets no body that receivers commonly refuse for its size', async () => {
    const outbox = webhookOutbox(store);
    for (const callId of names(20)) await outbox.put(keys.next(), record(callId, { dialled: 'x'.repeat(9_000) }));
    start();
    await receiver.takes(20);
    for (const { records } of receiver.attempts) assert.ok(JSON.stringify(records).length < 100_000);
    assert.ok(receiver.attempts.length >= 3);
  });

  test('that refuses gets the same delivery again before any other, with waits that grow', async () => {
    receiver.answer = (_, attempt) => (attempt <= 4 ? { status: 503, body: 'down for\nmaintenance' } : { status: 200 });
    const lines: string[] = [];
    await end('a', 'b');
    start(target(), createLogger({ level: 'info', destination: { write: text => void lines.push(text) } }));
    await waitFor('a refusal', () => receiver.attempts.length > 0);
    await end('c');
    await receiver.takes(3);
    assert.deepEqual(receiver.callIds, ['a', 'b', 'c']);
    const ids = receiver.attempts.map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 5), new Array(5).fill(ids[0]));
    assert.notEqual(ids[5], ids[0]);
    const failures = lines.filter(line => line.includes('not delivered'));
    assert.match(failures[0] ?? '', /answered 503: down for maintenance.*sent again, in order/);
    assert.deepEqual(
      failures.map(line => (JSON.parse(line) as { retryMs: number }).retryMs),
      [2, 4, 8, 10],
    );
    await waitFor('its recovery in the log', () => lines.at(-1)?.includes('takes call records again'));
    assert.ok(!lines.some(line => line.includes(secret) || line.includes('token')), 'no secret in the log');
  });

  test('that asks for patience gets it', async () => {
    receiver.answer = (_, attempt) =>
      attempt === 1 ? { status: 429, headers: { 'retry-after': '1' } } : { status: 204 };
    await end('a');
    const startMs = performance.now();
    start();
    await receiver.takes(1);
    assert.ok(performance.now() - startMs > 900);
  });

  test('that redirects is not followed', async () => {
    receiver.answer = (_, attempt) =>
      attempt === 1 ? { status: 307, headers: { location: 'http://127.0.0.1:9/' } } : { status: 204 };
    await end('a');
    start();
    await receiver.takes(1);
    assert.equal(receiver.attempts.length, 2);
  });

  test('that took a delivery and whose answer was lost gets it again under the same id', async () => {
    receiver.answer = (_, attempt) => (attempt === 1 ? 'silence' : { status: 204 });
    await end('a', 'b');
    start(target({ timeoutMs: 1_000 }));
    await receiver.takes(2);
    await nothingWaits();
    assert.equal(receiver.attempts[1]?.id, receiver.attempts[0]?.id);
    assert.deepEqual(receiver.attempts[1], receiver.attempts[0]);
    assert.deepEqual(receiver.callIds, ['a', 'b']);
  });

  test('is given by the next daemon exactly what the last one was giving, with nothing that came since in it', async () => {
    receiver.answer = (_, attempt) => (attempt === 1 ? 'silence' : { status: 204 });
    await end('a', 'b');
    const first = start();
    await waitFor('the first attempt', () => receiver.attempts.length === 1);
    await end('c');
    await first.stop();
    assert.equal(await webhookOutbox(store).count(), 3);
    start();
    await receiver.takes(3);
    assert.deepEqual(receiver.attempts[1], receiver.attempts[0]);
    assert.deepEqual(receiver.callIds, ['a', 'b', 'c']);
  });

  test('that is down costs the end of the daemon no time', async () => {
    receiver.answer = () => 'silence';
    await end('a');
    const hook = start(target({ timeoutMs: 60_000 }));
    await waitFor('the attempt', () => receiver.attempts.length === 1);
    const startMs = performance.now();
    await hook.stop();
    assert.ok(performance.now() - startMs < 10_000, 'not what it may take');
  });

  test('is changed by a reload: what waits goes to the new one; without one it is kept, and the log says so', async () => {
    const other = await WebhookReceiver.open('another-secret-of-ours');
    const lines: string[] = [];
    try {
      receiver.answer = () => ({ status: 500 });
      await end('a');
      const hook = start(
        target(),
        createLogger({ level: 'info', destination: { write: line => void lines.push(line) } }),
      );
      await waitFor('a refusal', () => receiver.attempts.length > 0);
      await hook.retarget(undefined);
      assert.match(lines.at(-1) ?? '', /1 call records wait for a webhook/);
      await hook.retarget({ url: other.url, secret: 'another-secret-of-ours', timeoutMs: 1_000 });
      await other.takes(1);
      assert.deepEqual(other.forged, []);
    } finally {
      await other.close();
    }
  });
});

describe('call records with two destinations', () => {
  test('are in the file while the webhook is down, and in the webhook when it is up again, each once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-cdr-'));
    const file = join(folder, 'cdr.jsonl');
    receiver.answer = () => ({ status: 500 });
    const records = new CallRecords({ store, log: silentLogger, file, webhook: target() });
    try {
      await records.start();
      for (const callId of names(5)) await store.transaction(records.writes(record(callId)));
      const written = async (): Promise<string[]> =>
        (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(line => line !== '');
      await waitFor('the file', async () => (await written()).length === 5, { everyMs: 5 });
      await waitFor('the counts', () => records.waiting.file === 0);
      assert.deepEqual(records.waiting, { file: 0, webhook: 5 });
      receiver.answer = () => ({ status: 200 });
      await receiver.takes(5, 10_000);
      assert.deepEqual(receiver.callIds, names(5));
      await waitFor('the counts', () => records.waiting.webhook === 0);
    } finally {
      await records.stop();
      await rm(folder, { recursive: true });
    }
  });

  test('keep their order over a restart with a clock that went back', async () => {
    const anHourAhead = String((Date.now() + 3_600_000) * 1000).padStart(16, '0');
    const next = new OutboxKeys();
    next.after(anHourAhead);
    const [first, second] = [next.next(), next.next()];
    assert.ok(anHourAhead < first && first < second, `${anHourAhead} < ${first} < ${second}`);
  });
});

test('a signature is what the Standard Webhooks specification computes, also with its own form of a secret', () => {
  const key = Buffer.from('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'base64');
  const headers = signedHeaders('msg_1', '{"test": 2432232314}', `whsec_${key.toString('base64')}`, 1_614_265_330_900);
  const wanted = createHmac('sha256', key).update('msg_1.1614265330.{"test": 2432232314}').digest('base64');
  assert.deepEqual(headers, {
    'webhook-id': 'msg_1',
    'webhook-timestamp': '1614265330',
    'webhook-signature': `v1,${wanted}`,
  });
});
