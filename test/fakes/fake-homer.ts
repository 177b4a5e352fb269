// A HOMER 7 at its sockets: HEPv3 comes in over UDP, is written in batches as by heplify-server, and read as from homer-app.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { decodeHep, sipPayload, type HepPacket } from '../../core/trace/hep-packet.js';
import { scanSip } from '../../core/trace/sip-scanner.js';
import type { RunningHomer } from './homer.js';

export interface FakeHomerOptions {
  /** For HEP and HTTP. */
  readonly address: string;
  /** Default: any free one. heplify-server's is 9060, homer-app's 9080. */
  readonly hepPort?: number;
  readonly httpPort?: number;
  /** heplify-server's DBTimer, here in ms. Default 4000. */
  readonly writeEveryMs?: number;
  /** An API token that is taken, as with `enable_token_access`. */
  readonly token?: string;
}

/** A row of hep_proto_1_call: its two JSON columns merged, as in an answer. */
export type HomerRow = Readonly<Record<string, unknown>> & { readonly sid: string; readonly timeSeconds: number };

/** heplify-server's DBBulk. */
const bulk = 400;
/** What goes to hep_proto_1_call (database/postgres.go); all other methods go to tables that are not asked here. */
const callMethods = new Set(['INVITE', 'UPDATE', 'BYE', 'ACK', 'PRACK', 'REFER', 'CANCEL', 'INFO']);

const transaction = z.looseObject({
  timestamp: z.looseObject({ from: z.int(), to: z.int() }),
  param: z.looseObject({ search: z.record(z.string(), z.looseObject({ callid: z.array(z.string()) })) }),
});
const credentials = z.looseObject({ username: z.string().min(1), password: z.string().min(1) });

export class FakeHomer implements RunningHomer {
  readonly username = 'admin';
  readonly password = 'sipcapture';
  /** How often each path was asked. */
  readonly asked = new Map<string, number>();
  /** Rows that are in the database; a test may add its own. */
  readonly rows: HomerRow[] = [];
  /** SIP messages that came in, written or not. */
  heard = 0;
  /** False: what comes in waits, as with a database that is late. */
  writes = true;
  /** Milliseconds before each answer. */
  delayMs = 0;
  /** Sent instead of the next answers to /call/transaction. */
  garbage: string | undefined;
  readonly #hep: Socket;
  readonly #http: Server;
  readonly #writer: NodeJS.Timeout;
  readonly #token: string | undefined;
  readonly #sessions = new Set<string>();
  #unwritten: HomerRow[] = [];
  #lastId = 0;

  private constructor(hep: Socket, http: Server, options: FakeHomerOptions) {
    this.#hep = hep;
    this.#http = http;
    this.#token = options.token;
    this.#writer = setInterval(() => this.#write(), options.writeEveryMs ?? 4000);
    hep.on('message', datagram => this.#hear(datagram));
    http.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response));
  }

  static async start(options: FakeHomerOptions): Promise<FakeHomer> {
    const hep = createSocket('udp4');
    hep.bind(options.hepPort ?? 0, options.address);
    await once(hep, 'listening');
    const http = createServer();
    http.listen(options.httpPort ?? 0, options.address);
    await once(http, 'listening');
    return new FakeHomer(hep, http, options);
  }

  get hepAddress(): string {
    return this.#hep.address().address;
  }

  get hepPort(): number {
    return this.#hep.address().port;
  }

  get url(): string {
    const { address, port } = this.#http.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** As after a restart of homer-app with another key. */
  forgetLogins(): void {
    this.#sessions.clear();
  }

  async stop(): Promise<void> {
    clearInterval(this.#writer);
    await new Promise<void>(resolve => this.#hep.close(resolve));
    this.#http.closeAllConnections();
    await new Promise(resolve => this.#http.close(resolve));
  }

  #hear(datagram: Buffer): void {
    const decoded = decodeHep(datagram);
    if (!decoded.ok || decoded.packet.payloadKind !== sipPayload) return;
    this.heard++;
    const row = this.#rowOf(decoded.packet);
    if (row && this.#unwritten.push(row) >= bulk) this.#write();
  }

  #write(): void {
    if (!this.writes) return;
    this.rows.push(...this.#unwritten);
    this.#unwritten = [];
  }

  #rowOf(packet: HepPacket): HomerRow | undefined {
    const sip = scanSip(packet.payload);
    if (!sip || !callMethods.has(sip.cseqMethod)) return undefined;
    const { callId, method } = sip;
    const [timeSeconds, timeUseconds] = splitTime(packet.atMs);
    const stamp = timeSeconds * 1000 + Math.floor(timeUseconds / 1000);
    return {
      ...{ id: ++this.#lastId, sid: callId, callid: callId, method, profile: '1_call', dbnode: 'localnode' },
      ...{ protocolFamily: 2, protocol: packet.protocol, payloadType: packet.payloadKind },
      ...{ srcIp: packet.source.address, srcPort: packet.source.port },
      ...{ dstIp: packet.destination.address, dstPort: packet.destination.port },
      ...{ timeSeconds, timeUseconds, create_date: stamp, create_ts: stamp, micro_ts: stamp },
      captureId: String(packet.captureId ?? 0),
      ...(packet.authKey === undefined ? {} : { capturePass: packet.authKey.toString() }),
      // decoder.go, toUTF8: bytes that are no UTF-8, and NUL, are left out.
      raw: packet.payload.toString('utf8').replace(/[\0\ufffd]/g, ''),
    };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const path = (request.url ?? '').replace(/^\/api\/v3/, '');
    this.asked.set(path, (this.asked.get(path) ?? 0) + 1);
    if (this.delayMs > 0) await sleep(this.delayMs);
    const [status, body] = this.#answer(path, request, Buffer.concat(chunks).toString());
    response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(body);
  }

  #answer(path: string, request: IncomingMessage, text: string): readonly [number, string] {
    if (request.method !== 'POST' || !request.url?.startsWith('/api/v3/')) return refuse(404, 'Not Found');
    if (path === '/auth') return this.#signIn(text);
    const { authorization, 'auth-token': token } = request.headers;
    const bearer = authorization?.replace(/^Bearer /, '');
    if (token === undefined && bearer === undefined) return refuse(400, 'missing or malformed jwt');
    const isKnown = token === undefined ? this.#sessions.has(bearer ?? '') : token === this.#token;
    if (!isKnown) return refuse(401, 'invalid or expired jwt');
    return path === '/call/transaction' ? this.#transaction(text) : refuse(404, 'Not Found');
  }

  #signIn(text: string): readonly [number, string] {
    const given = credentials.safeParse(parseJson(text));
    if (!given.success) return refuse(400, 'request format is not correct');
    if (given.data.username !== this.username || given.data.password !== this.password) {
      return [401, JSON.stringify({ statuscode: 401, error: 'Unauthorized', message: 'incorrect password' })];
    }
    const token = randomBytes(24).toString('base64url');
    this.#sessions.add(token);
    return [201, JSON.stringify({ token, scope: 'e71771a2-1ea0-498f-8d27-391713e10664', user: { admin: true } })];
  }

  #transaction(text: string): readonly [number, string] {
    if (this.garbage !== undefined) return [201, this.garbage];
    const query = transaction.safeParse(parseJson(text));
    // A search without `callid` makes the handler panic; the web framework catches that.
    if (!query.success) return refuse(500, 'Internal Server Error');
    const { timestamp, param } = query.data;
    const wanted = new Set(Object.values(param.search).flatMap(search => search.callid));
    const [from, to] = [Math.trunc(timestamp.from / 1000), Math.trunc(timestamp.to / 1000)];
    const messages = this.rows
      .filter(row => wanted.has(row.sid) && row.timeSeconds >= from && secondsOf(row) <= to)
      .sort((a, b) => secondsOf(a) - secondsOf(b));
    const data = { messages, hosts: {}, calldata: [], alias: {} };
    return [201, JSON.stringify({ total: messages.length, data, keys: [] })];
  }
}

function secondsOf({ timeSeconds, timeUseconds }: HomerRow): number {
  return timeSeconds + Number(timeUseconds) / 1e6;
}

function splitTime(atMs: number): [number, number] {
  const seconds = Math.floor(atMs / 1000);
  return [seconds, Math.round((atMs - seconds * 1000) * 1000)];
}

function refuse(status: number, message: string): readonly [number, string] {
  return [status, JSON.stringify({ data: {}, message })];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Not JSON: refused like any other body that does not fit.
    return undefined;
  }
}
