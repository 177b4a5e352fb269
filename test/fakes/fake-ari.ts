// An ARI server at the socket: bridges without media, an event stream, and the faults a client must live with.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';

interface Reply {
  readonly status: number;
  readonly body?: unknown;
}

type Handler = (match: readonly string[], query: URLSearchParams) => Reply;

const gone: Reply = { status: 404, body: { message: 'Bridge not found' } };

export class FakeAri {
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #bridges = new Map<string, object>();
  readonly #routes: readonly (readonly [method: string, path: RegExp, handler: Handler])[];
  readonly #authorization: string;
  /** Changes when it restarts. */
  startupTime = new Date().toISOString();
  /** Requests that are read and not answered. */
  ignoreNext = 0;
  /** Bridges of these ids are ending: they can neither be made nor had, so many times more. */
  readonly endingBridges = new Map<string, number>();
  /** Sent as the body of the next reply. */
  garbage: string | undefined;
  /** Runs before the list of channels is answered: what happens while a snapshot is taken. */
  onSnapshot: () => void = () => undefined;
  /** Event types asked for. */
  allowed: unknown;

  private constructor(password: string) {
    this.#authorization = `Basic ${Buffer.from(`holdfast:${password}`).toString('base64')}`;
    this.#routes = [
      ['GET', /^\/ari\/asterisk\/ping$/, () => ({ status: 200, body: { ping: 'pong' } })],
      ['GET', /^\/ari\/asterisk\/info$/, () => ({ status: 200, body: this.#info() })],
      ['GET', /^\/ari\/channels$/, () => this.#channels()],
      ['GET', /^\/ari\/channels\/([^/]+)$/, () => ({ status: 404, body: { message: 'Channel not found' } })],
      ['DELETE', /^\/ari\/channels\/([^/]+)$/, () => ({ status: 404, body: { message: 'Channel not found' } })],
      ['GET', /^\/ari\/bridges$/, () => ({ status: 200, body: [...this.#bridges.values()] })],
      ['GET', /^\/ari\/bridges\/([^/]+)$/, ([id = '']) => this.#bridge(id)],
      ['POST', /^\/ari\/bridges\/([^/]+)$/, ([id = ''], query) => this.#create(id, query)],
      ['DELETE', /^\/ari\/bridges\/([^/]+)$/, ([id = '']) => this.#destroy(id)],
      ['PUT', /^\/ari\/applications\/holdfast\/eventFilter$/, () => ({ status: 200, body: { name: 'holdfast' } })],
    ];
    this.#http = createServer((request, response) => void this.#answer(request, response));
    this.#http.on('upgrade', (request, socket, head) => {
      if (!this.#isAuthorized(request)) {
        socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      this.#sockets.handleUpgrade(request, socket, head, client => this.#sockets.emit('connection', client, request));
    });
  }

  static async start(address: string, password: string, port = 8088): Promise<FakeAri> {
    const fake = new FakeAri(password);
    await new Promise<void>((resolve, reject) => {
      fake.#http.once('error', reject);
      fake.#http.listen(port, address, resolve);
    });
    return fake;
  }

  async stop(): Promise<void> {
    this.cut();
    this.#http.closeAllConnections();
    await new Promise<void>(resolve => this.#http.close(() => resolve()));
  }

  /** Connections that are open, without the event streams. */
  async connections(): Promise<number> {
    const open = await new Promise<number>((resolve, reject) =>
      this.#http.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
    return open - this.listeners;
  }

  get listeners(): number {
    return this.#sockets.clients.size;
  }

  /** Sends an event, or whatever else, to everybody who listens. */
  send(data: unknown): void {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    for (const client of this.#sockets.clients) client.send(text);
  }

  /** Closes every event stream. */
  cut(): void {
    for (const client of this.#sockets.clients) client.terminate();
  }

  /** Event streams stay open and nothing answers on them any more, as with a frozen host. */
  freeze(): void {
    for (const client of this.#sockets.clients) (client as WebSocket & { _socket: { pause(): void } })._socket.pause();
  }

  #isAuthorized(request: IncomingMessage): boolean {
    return request.headers.authorization === this.#authorization;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    if (this.ignoreNext > 0) {
      this.ignoreNext--;
      return;
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://fake');
    if (pathname.endsWith('/eventFilter')) this.allowed = (JSON.parse(body) as { allowed: unknown }).allowed;
    const reply = this.#isAuthorized(request)
      ? this.#route(request.method ?? '', pathname, searchParams)
      : { status: 401, body: { message: 'Authentication required' } };
    const text = this.garbage ?? (reply.body === undefined ? '' : JSON.stringify(reply.body));
    this.garbage = undefined;
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(text);
  }

  #route(method: string, path: string, query: URLSearchParams): Reply {
    for (const [verb, pattern, handler] of this.#routes) {
      const match = verb === method ? pattern.exec(path) : null;
      if (match) return handler(match.slice(1).map(decodeURIComponent), query);
    }
    return { status: 404, body: { message: 'Resource not found' } };
  }

  #info(): object {
    return {
      system: { version: 'fake', entity_id: '02:00:00:00:00:01' },
      status: { startup_time: this.startupTime, last_reload_time: this.startupTime },
    };
  }

  #channels(): Reply {
    this.onSnapshot();
    return { status: 200, body: [] };
  }

  #bridge(id: string): Reply {
    const bridge = this.#bridges.get(id);
    if (this.endingBridges.has(id)) this.endingBridges.set(id, (this.endingBridges.get(id) ?? 0) - 1);
    return bridge ? { status: 200, body: bridge } : gone;
  }

  #create(id: string, query: URLSearchParams): Reply {
    if (this.#bridges.has(id) || (this.endingBridges.get(id) ?? 0) > 0)
      return { status: 409, body: { message: `Bridge with id '${id}' already exists` } };
    const name = query.get('name') ?? '';
    const bridge = { id, technology: 'simple_bridge', bridge_type: query.get('type') ?? 'mixing', name, channels: [] };
    this.#bridges.set(id, bridge);
    return { status: 200, body: bridge };
  }

  #destroy(id: string): Reply {
    const bridge = this.#bridges.get(id);
    if (!bridge) return gone;
    this.#bridges.delete(id);
    this.send({ type: 'BridgeDestroyed', timestamp: new Date().toISOString(), bridge });
    return { status: 204 };
  }
}
