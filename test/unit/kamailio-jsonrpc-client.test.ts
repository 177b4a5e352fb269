// The JSON-RPC client against a scripted UDP server: deadlines, retries of what is safe, large and malformed replies.
import { afterEach, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { HoldfastError } from '../../core/errors.js';
import { JsonrpcClient } from '../../kamailio/jsonrpc-client.js';
import { waitFor } from '../harness/wait-for.js';

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}
type Reply = (request: Request, send: (text: string) => void) => void;

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function serve(reply: Reply): Promise<{ client: JsonrpcClient; requests: Request[]; socket: Socket }> {
  const socket = createSocket('udp4');
  const requests: Request[] = [];
  socket.on('message', (data, from) => {
    const request = JSON.parse(data.toString()) as Request;
    requests.push(request);
    reply(request, text => socket.send(text, from.port, from.address));
  });
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve));
  const client = new JsonrpcClient({ address: '127.0.0.1', port: socket.address().port, timeoutMs: 3_000 });
  open.push(socket, client);
  return { client, requests, socket };
}

const answer = ({ id }: Request, result: unknown): string => JSON.stringify({ jsonrpc: '2.0', result, id });
const is = (code: HoldfastError['code']) => (error: unknown) => HoldfastError.is(error, code);

describe('JsonrpcClient', () => {
  it('matches answers to requests by id, in whatever order they come', async () => {
    const held: (() => void)[] = [];
    const { client } = await serve((request, send) => {
      held.unshift(() => send(answer(request, request.method)));
      if (held.length === 3) for (const release of held) release();
    });
    const results = await Promise.all(['a', 'b', 'c'].map(method => client.request(method)));
    assert.deepEqual(results, ['a', 'b', 'c']);
  });

  it('sends the parameters as they are', async () => {
    const { client, requests } = await serve((request, send) => send(answer(request, null)));
    await client.request('htable.sets', ['pins', 'a"b', '12', 12]);
    assert.deepEqual(requests[0]?.params, ['pins', 'a"b', '12', 12]);
  });

  it('takes a reply of 60 kB', async () => {
    const { client } = await serve((request, send) => send(answer(request, 'x'.repeat(60_000))));
    assert.equal(((await client.request('dispatcher.list')) as string).length, 60_000);
  });

  it('repeats a method that is safe, and takes the first answer', async () => {
    let asked = 0;
    const { client, requests } = await serve((request, send) => {
      if (++asked === 3) send(answer(request, 'third'));
    });
    assert.equal(await client.request('dispatcher.list'), 'third');
    assert.equal(requests.length, 3);
  });

  it('sends a reload once, and gives up at the deadline', async () => {
    const { client, requests } = await serve(() => undefined);
    await assert.rejects(client.request('dispatcher.reload', [], { timeoutMs: 120 }), is('RPC_TIMEOUT'));
    await waitFor('it to be heard', () => requests.length > 0);
    assert.equal(requests.length, 1);
  });

  it('counts what is no answer and goes on waiting', async () => {
    const { client } = await serve((request, send) => {
      for (const garbage of [
        '',
        'x',
        '[]',
        '{"id":"1"}',
        answer({ ...request, id: 999 }, 1),
        '{"jsonrpc":"2.0","result":1}',
      ])
        send(garbage);
      setTimeout(() => send(answer(request, 'good')), 20);
    });
    assert.equal(await client.request('core.uptime'), 'good');
    await waitFor('all to be counted', () => client.strays === 6);
  });

  it('tells what the server refused', async () => {
    const { client } = await serve(({ id }, send) =>
      send(JSON.stringify({ jsonrpc: '2.0', error: { code: 500, message: 'No Destination Sets' }, id })),
    );
    await assert.rejects(client.request('dispatcher.list'), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'RPC_REFUSED'));
      assert.match(error.message, /No Destination Sets/);
      assert.equal(error.details['code'], 500);
      return true;
    });
  });

  it('fails at once where nobody listens, and works again when somebody does', async () => {
    const { client, socket } = await serve((request, send) => send(answer(request, 'ok')));
    const { port } = socket.address();
    socket.close();
    open.splice(0, 1);
    const startedMs = performance.now();
    await assert.rejects(client.request('core.uptime', [], { timeoutMs: 60_000 }), is('RPC_TIMEOUT'));
    assert.ok(performance.now() - startedMs < 10_000, 'not what it may take');
    const again = createSocket('udp4');
    open.push(again);
    again.on('message', (data, from) =>
      again.send(answer(JSON.parse(data.toString()) as Request, 'back'), from.port, from.address),
    );
    await new Promise<void>(resolve => again.bind(port, '127.0.0.1', resolve));
    assert.equal(await client.request('core.uptime'), 'back');
  });

  it('ends a request when its signal aborts', async () => {
    const { client } = await serve(() => undefined);
    const aborter = new AbortController();
    const request = client.request('core.uptime', [], { signal: aborter.signal, timeoutMs: 5000 });
    setTimeout(() => aborter.abort(new Error('enough')), 20);
    await assert.rejects(request, /enough/);
    await assert.rejects(client.request('core.uptime', [], { signal: aborter.signal }), /enough/);
  });

  it('rejects what waits when it is closed, and everything after', async () => {
    const { client } = await serve(() => undefined);
    const request = client.request('core.uptime', [], { timeoutMs: 5000 });
    setTimeout(() => client.close(), 20);
    await assert.rejects(request, /closed/);
    await assert.rejects(client.request('core.uptime'), /closed/);
  });
});
