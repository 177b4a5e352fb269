// Control server and client on a temporary socket.
import { after, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { callDaemon } from '../../core/control/control-client.js';
import { ControlServer } from '../../core/control/control-server.js';
import { LineReader } from '../../core/control/messages.js';
import type { OperationContext, OperationName, Operations } from '../../core/control/operations.js';
import { HoldfastError } from '../../core/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-control-'));
const servers: ControlServer[] = [];
let count = 0;

const unused = (): Promise<never> => Promise.reject(new Error('not part of this test'));

async function serve(operations: Partial<Operations>): Promise<{ server: ControlServer; path: string }> {
  const names: OperationName[] = ['status', 'nodes', 'calls', 'conferences', 'registrations', 'recoveries', 'down'];
  const all = Object.fromEntries(names.map(name => [name, unused])) as unknown as Operations;
  const path = join(folder, `${++count}.sock`);
  const server = new ControlServer({
    operations: { ...all, ...operations },
    socketPath: path,
    log: { debug: () => undefined },
  });
  await server.listen();
  servers.push(server);
  return { server, path };
}

async function sendRaw(path: string, data: string | Buffer): Promise<string> {
  const socket = connect(path);
  const chunks: Buffer[] = [];
  socket.on('data', chunk => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.write(data);
  await new Promise(resolve => socket.once('close', resolve));
  return Buffer.concat(chunks).toString();
}

after(async () => {
  await Promise.all(servers.map(server => server.close()));
  rmSync(folder, { recursive: true });
});

describe('the control socket', () => {
  it('is open to its owner only, carries parameters and results, and keeps fields it does not know', async () => {
    const drained = { node: 'call-1', state: 'draining' as const, calls: 3, extra: 'kept' };
    const asked: unknown[] = [];
    const drain: Operations['drain'] = async params => {
      asked.push(params);
      return drained;
    };
    const { path, server } = await serve({ drain });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(await callDaemon(path, 'drain', { node: 'call-1', wait: false }), drained);
    assert.deepEqual(asked, [{ node: 'call-1', wait: false }]);
    assert.equal(server.counters.requests, 1);
  });

  it('shows progress while a long operation runs', async () => {
    const { path } = await serve({
      reload: async (_params, { progress }) => {
        progress('reading');
        progress('applying');
        return { changes: ['trunk lab'] };
      },
    });
    const lines: string[] = [];
    const result = await callDaemon(path, 'reload', {}, { progress: line => lines.push(line) });
    assert.deepEqual(lines, ['reading', 'applying']);
    assert.deepEqual(result.changes, ['trunk lab']);
  });

  it('carries an error with its code, place and remedy', async () => {
    const { path } = await serve({
      undrain: () =>
        Promise.reject(new HoldfastError('HOST_FAILED', 'no node x', { details: { node: 'x' }, remedy: 'try y' })),
      calls: () => Promise.reject(new Error('boom')),
    });
    await assert.rejects(callDaemon(path, 'undrain', { node: 'x' }), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'HOST_FAILED'));
      assert.deepEqual([error.message, error.remedy, error.details], ['no node x', 'try y', { node: 'x' }]);
      return true;
    });
    await assert.rejects(callDaemon(path, 'calls', {}), /boom/);
  });

  it('refuses and counts garbage, endless lines, unknown operations and bad parameters, and goes on', async () => {
    const { path, server } = await serve({ nodes: async () => [] });
    assert.equal(await sendRaw(path, 'GET / HTTP/1.1\r\n\r\n'), '');
    assert.equal(await sendRaw(path, Buffer.from([0xff, 0xfe, 0x00, 0x0a])), '');
    assert.equal(await sendRaw(path, '{"id":1,"op":"nodes","params":{},"more":1}\n'), '');
    assert.equal(await sendRaw(path, '[]\n'), '');
    assert.equal(await sendRaw(path, Buffer.alloc(200_000, 'x')), '');
    await assert.rejects(callDaemon(path, 'drain', { node: '', wait: false }), /parameters refused: node/);
    await assert.rejects(callDaemon(path, 'nodes', { x: 1 } as unknown as Record<string, never>), /parameters refused/);
    assert.deepEqual(await callDaemon(path, 'nodes', {}), []);
    const { garbage, tooLong, invalidParams } = server.counters;
    assert.deepEqual({ garbage, tooLong, invalidParams }, { garbage: 4, tooLong: 1, invalidParams: 2 });
  });

  it('names an operation that the daemon does not know', async () => {
    const { path, server } = await serve({});
    const socket = connect(path);
    socket.write('{"id":7,"op":"constructor","params":{}}\n');
    const [data] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    assert.match(data.toString(), /^\{"id":7,"error":\{"code":"DAEMON_REFUSED","message":".*no operation/);
    assert.equal(server.counters.unknownOperation, 1);
  });

  it('aborts an operation when its caller goes, but not one that survives its caller', async () => {
    const contexts: OperationContext[] = [];
    const hang = (_params: unknown, context: OperationContext): Promise<never> => {
      contexts.push(context);
      return new Promise(() => undefined);
    };
    const { path } = await serve({ calls: hang, reload: hang });
    const aborter = new AbortController();
    const given = [callDaemon(path, 'calls', {}, aborter), callDaemon(path, 'reload', {}, aborter)];
    const outcomes = Promise.allSettled(given);
    while (contexts.length < 2) await delay(5);
    aborter.abort();
    assert.ok((await outcomes).every(({ status }) => status === 'rejected'));
    while (!contexts[0]!.signal.aborted) await delay(5);
    assert.equal(contexts[1]!.signal.aborted, false);
    contexts[1]!.progress('to nobody');
  });

  it('answers at the deadline for an operation that hangs, and the client gives up by itself too', async () => {
    const { path } = await serve({ status: () => new Promise(() => undefined) });
    await assert.rejects(callDaemon(path, 'status', {}), /status took more than 2000 ms/);
    await assert.rejects(callDaemon(path, 'status', {}, { timeoutMs: 50 }), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'DAEMON_UNREACHABLE'));
      assert.match(error.message, /did not answer status within 50 ms/);
      return true;
    });
  });

  it('says that no daemon is up, and takes the socket of a dead daemon but not of a living one', async () => {
    await assert.rejects(callDaemon(join(folder, 'none.sock'), 'status', {}), /no daemon is up/);
    const { path } = await serve({ nodes: async () => [] });
    const operations = {} as Operations;
    const second = new ControlServer({ operations, socketPath: path, log: { debug: () => undefined } });
    await assert.rejects(second.listen(), (error: unknown) => HoldfastError.is(error, 'FARM_BUSY'));
    assert.deepEqual(await callDaemon(path, 'nodes', {}), []);
  });

  it('answers what runs before it closes', async () => {
    const { path, server } = await serve({
      down: async () => {
        await delay(50);
        return { ended: ['call-1'] };
      },
    });
    const answer = callDaemon(path, 'down', {});
    while (server.counters.requests === 0) await delay(2);
    await server.close();
    assert.deepEqual((await answer).ended, ['call-1']);
    await assert.rejects(callDaemon(path, 'down', {}), /no daemon is up/);
  });

  it('refuses a ninth request of a connection at the same time, and a path that no socket can have', async () => {
    const { path, server } = await serve({ calls: () => new Promise(() => undefined) });
    const socket = connect(path);
    socket.write('{"id":1,"op":"calls","params":{}}\n'.repeat(9));
    const [data] = (await once(socket, 'data')) as [Buffer];
    assert.match(data.toString(), /more than 8 requests/);
    assert.equal(server.counters.tooMany, 1);
    socket.destroy();
    await assert.rejects(
      serve({})
        .then(() => undefined)
        .then(() => longPath().listen()),
      /too long/,
    );
  });

  function longPath(): ControlServer {
    const socketPath = join(folder, 'x'.repeat(120));
    return new ControlServer({ operations: {} as Operations, socketPath, log: { debug: () => undefined } });
  }
});

describe('LineReader', () => {
  it('puts lines together from any cut, also within a character', () => {
    const bytes = Buffer.from('{"a":"ü"}\n\n{"b":1}\n{"c"');
    for (let cut = 0; cut < bytes.length; cut++) {
      const reader = new LineReader(100);
      const lines = [...reader.push(bytes.subarray(0, cut))!, ...reader.push(bytes.subarray(cut))!];
      assert.deepEqual(lines, ['{"a":"ü"}', '{"b":1}']);
    }
  });
});
