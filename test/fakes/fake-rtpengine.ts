// An ng responder at the socket: sessions without media, for tests that need an engine's answers and faults on demand.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { decodeBencode, encodeBencode, text, type Bencoded } from './bencode.js';

type Dictionary = Readonly<Record<string, Bencoded>>;

export class FakeRtpengine {
  readonly #socket: Socket;
  readonly #startedMs = performance.now();
  readonly #sessions = new Map<string, string>();
  #statisticsRequests = 0;
  /** Requests that are read and not answered. */
  loseNext = 0;
  /** Sent instead of the next answer, cookie and all. */
  garbage: Buffer | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (message, from) => this.#onMessage(message, from));
  }

  static async start(address: string, port = 2223): Promise<FakeRtpengine> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, address, resolve);
    });
    return new FakeRtpengine(socket);
  }

  async stop(): Promise<void> {
    await new Promise<void>(resolve => this.#socket.close(resolve));
  }

  #onMessage(message: Buffer, from: RemoteInfo): void {
    const space = message.indexOf(' ');
    if (space < 1) return;
    if (this.loseNext > 0) {
      this.loseNext--;
      return;
    }
    const cookie = message.toString('latin1', 0, space);
    const reply = this.garbage ?? Buffer.from(`${cookie} ${encodeBencode(this.#answer(message.subarray(space + 1)))}`);
    this.garbage = undefined;
    this.#socket.send(reply, from.port, from.address);
  }

  #answer(body: Buffer): Dictionary {
    let request: Dictionary;
    try {
      request = decodeBencode(body) as Dictionary;
    } catch {
      return { result: 'error', 'error-reason': 'Could not decode bencode dictionary' };
    }
    const callId = text(request['call-id']);
    switch (request['command']) {
      case 'ping':
        return { result: 'pong' };
      case 'statistics':
        return this.#statistics();
      case 'list':
        return { calls: [...this.#sessions.keys()].slice(0, Number(request['limit'] ?? 32)), result: 'ok' };
      case 'offer':
        this.#sessions.set(callId, text(request['from-tag']));
        return { result: 'ok', sdp: text(request['sdp']) };
      case 'query': {
        const tag = this.#sessions.get(callId);
        if (tag === undefined) return { result: 'error', 'error-reason': 'Unknown call-id' };
        return { result: 'ok', tags: { [tag]: { tag } } };
      }
      case 'delete':
        if (this.#sessions.delete(callId)) return { result: 'ok' };
        return { result: 'ok', warning: "Call-ID not found or tags didn't match" };
      default:
        return { result: 'error', 'error-reason': 'Unrecognized command' };
    }
  }

  #statistics(): Dictionary {
    const uptime = String(Math.floor((performance.now() - this.#startedMs) / 1000));
    return {
      result: 'ok',
      statistics: {
        currentstatistics: { sessionstotal: this.#sessions.size },
        totalstatistics: { uptime },
        controlstatistics: { totalstatscount: this.#statisticsRequests++ },
      },
    };
  }
}
