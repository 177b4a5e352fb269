// Which error comes of which broken HTTP answer, and how many connections a node's client opens.
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ariClient } from '../../asterisk/ari-client.js';
import { AriRequester } from '../../asterisk/ari-requester.js';
import { HoldfastError, messageOf, type ErrorCode } from '../../core/errors.js';
import type { AriClient } from '../../core/ports/asterisk.js';
import { waitFor } from '../harness/wait-for.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const honest: Answer = (_, response) => response.end('[]');
let answer: Answer;
let server: Server;
let connections: number;
let requester: AriRequester;
let ari: AriClient;

beforeEach(async () => {
  answer = honest;
  connections = 0;
  server = createServer((request, response) => answer(request, response));
  server.on('connection', () => connections++);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  requester = new AriRequester({ node: 'call-1', origin, user: 'holdfast', password: 'secret', timeoutMs: 2_000 });
  ari = ariClient(requester);
});
afterEach(async () => {
  await requester.close();
  server.closeAllConnections();
  await new Promise(resolve => server.close(resolve));
});

/** The error of a request that is answered like this. */
async function errorOf(broken: Answer): Promise<HoldfastError> {
  answer = broken;
  const error = await ari.channels.list().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(HoldfastError.is(error), String(error));
  return error;
}

describe('An answer', () => {
  const broken: readonly [what: string, code: ErrorCode, answer: Answer][] = [
    ['that is cut JSON', 'ARI_INVALID_REPLY', (_, response) => response.end('[{"id":"a"')],
    ['of another kind', 'ARI_INVALID_REPLY', (_, response) => response.end('{"channels":[]}')],
    ['with fields missing', 'ARI_INVALID_REPLY', (_, response) => response.end('[{"id":"a"}]')],
    ['that is empty', 'ARI_INVALID_REPLY', (_, response) => response.end()],
    [
      'that does not end',
      'ARI_INVALID_REPLY',
      (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(1 << 20, ' ')));
        };
        response.on('drain', more);
        more();
      },
    ],
    ['that stops halfway', 'ARI_TIMEOUT', (_, response) => response.write('[')],
    ['that is no HTTP', 'ARI_UNREACHABLE', ({ socket }) => socket.end('SIP/2.0 200 OK\r\n\r\n')],
    ['with a broken head', 'ARI_UNREACHABLE', ({ socket }) => socket.end('HTTP/1.1 200 OK\r\nx\0y: 1\r\n\r\n')],
    ['that is a reset', 'ARI_UNREACHABLE', ({ socket }) => socket.resetAndDestroy()],
    [
      'that ends in the middle',
      'ARI_UNREACHABLE',
      (_, response) => {
        response.setHeader('Content-Length', 100);
        response.write('[', () => response.destroy());
      },
    ],
  ];
  for (const [what, code, how] of broken) {
    it(`${what} is ${code}, and the next request is served`, async () => {
      const error = await errorOf(how);
      assert.equal(error.code, code);
      assert.deepEqual([error.details['node'], error.details['operation']], ['call-1', 'channels.list']);
      answer = honest;
      assert.deepEqual(await ari.channels.list(), []);
    });
  }

  it('that refuses bears the status, and the words of ARI or of the web server', async () => {
    for (const text of ['{"message":"Channel not in Stasis application"}', 'Channel not in Stasis application']) {
      const error = await errorOf((_, response) => response.writeHead(409).end(text));
      assert.equal(error.code, 'ARI_REFUSED');
      assert.equal(error.details['status'], 409);
      assert.equal(error.message, 'call-1 refused channels.list: 409 Channel not in Stasis application');
    }
  });
});

describe('Connections', () => {
  it('are kept, and at most eight, whatever is asked at once', async () => {
    for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 100 }, () => ari.bridges.list()));
    assert.equal(connections, 8);
  });

  it('are abandoned with all that is asked by them, or would be before there is another process', async () => {
    answer = () => undefined;
    const asked = Array.from({ length: 20 }, async () => ari.bridges.list());
    const said = Promise.all(asked.map(one => one.then(String, (error: unknown) => messageOf(error))));
    await waitFor('all connections', () => connections === 8);
    await requester.abandon('call-1 was declared dead');
    const told = 'call-1 could not be asked bridges.list: call-1 was declared dead';
    assert.deepEqual(await said, Array<string>(20).fill(told));
    answer = honest;
    await assert.rejects(ari.bridges.list(), { code: 'ARI_UNREACHABLE', message: told });
    assert.equal(connections, 8);
    requester.resume();
    assert.deepEqual(await ari.bridges.list(), []);
    assert.equal(connections, 9);
  });
});
