// What flows tell webhooks: signed, in order, kept until it is taken, and no webhook waits for another one.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { signedHeaders } from '../../core/cdr/webhook-message.js';
import type { WebhookConfig } from '../../core/config/holdfast-config.js';
import { FlowNotices, type FlowNotice } from '../../core/flows/flow-notices.js';
import { silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';
import { waitFor } from '../harness/wait-for.js';

const secret = 'a secret of ours';
const retryMs = { first: 5, most: 20 };

describe('notices of flows', () => {
  let store: Store;
  let server: Server;
  let status: number;
  let taken: FlowNotice[];
  let attempts: number;
  let open: FlowNotices[];

  beforeEach(async () => {
    store = openMemoryStore();
    [status, attempts, taken, open] = [204, 0, [], []];
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature } = request.headers;
        assert.equal(signature, signedHeaders(id as string, body, secret, Number(seconds) * 1000)['webhook-signature']);
        attempts++;
        if (status === 204) taken.push(...(JSON.parse(body) as { notices: FlowNotice[] }).notices);
        response.writeHead(status).end();
      });
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    await Promise.all(open.map(one => one.stop()));
    await new Promise(resolve => server.close(resolve));
  });

  const target = (port = (server.address() as AddressInfo).port): WebhookConfig => ({
    ...{ url: `http://127.0.0.1:${port}/`, secret, timeoutMs: 1_000 },
  });
  const start = async (webhooks: Readonly<Record<string, WebhookConfig>>): Promise<FlowNotices> => {
    const notices = new FlowNotices({ store, log: silentLogger, retryMs });
    open.push(notices);
    await notices.start(webhooks);
    return notices;
  };
  const notice = (id: string): FlowNotice => ({ ...{ id, event: 'heard', callId: 'c1', at: '', data: { a: 'b' } } });
  const ids = (): string[] => taken.map(({ id }) => id);
  const take = (count: number): Promise<unknown> =>
    waitFor(`${count} notices`, () => taken.length >= count, { everyMs: 2 });

  test('are delivered in their order, also over a time in which nobody takes them', async () => {
    status = 503;
    const notices = await start({ crm: target() });
    for (const id of ['1', '2', '3']) await notices.add('crm', notice(id));
    await waitFor('attempts', () => attempts > 1, { everyMs: 2 });
    status = 204;
    await take(3);
    assert.deepEqual(ids(), ['1', '2', '3']);
    assert.deepEqual(taken[0], notice('1'));
  });

  test('of a webhook that is gone keep no other one waiting', async () => {
    const notices = await start({ gone: target(1), crm: target() });
    await notices.add('gone', notice('1'));
    await notices.add('crm', notice('2'));
    await take(1);
    assert.deepEqual(ids(), ['2']);
  });

  test('outlive the daemon, and a config without their webhook', async () => {
    const first = await start({});
    await first.add('crm', notice('1'));
    await first.stop();
    const second = await start({});
    await second.redirect({ crm: target() });
    await take(1);
    await second.add('crm', notice('2'));
    await take(2);
    assert.deepEqual(ids(), ['1', '2']);
  });
});
