// A rate service for the tests: a real HTTP server, whose answers the test says.
import { once } from 'node:events';
import { createServer } from 'node:http';

/**
 * @param {(number: string) => { status?: number, body: unknown } | undefined} answer `undefined`: never answers.
 */
export async function startRateService(answer) {
  /** @type {string[]} */
  const asked = [];
  const server = createServer((request, response) => {
    const number = new URL(request.url ?? '', 'http://localhost').searchParams.get('number') ?? '';
    asked.push(number);
    server.emit('asked');
    const { status = 200, body } = answer(number) ?? {};
    if (body !== undefined)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `http://127.0.0.1:${port}/rates`,
    /** Numbers that it was asked about. */
    asked,
    /** Resolves when it is asked next. */
    nextAsked: () => once(server, 'asked'),
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
