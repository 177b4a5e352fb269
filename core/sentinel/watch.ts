// Watches one Asterisk: its process, its SIP by OPTIONS (RFC 3261 §11), its ARI by ping. For the sentinel's thread.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { isRunning } from '../host/process-table.js';
import { judge, type Signs, type Verdict } from './verdict.js';
import type { SentinelStart, WatchedNode } from './sentinel-protocol.js';

/** How long a new watch waits for first answers before it says that there are none, ms. */
const firstWordMs = 500;
/** Clock ticks a second of /proc/PID/stat: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;
/** A ping that takes longer than this is as good as none, ms. */
const pingDeadlineMs = 2_000;

export class Watch {
  readonly node: WatchedNode;
  readonly #start: SentinelStart;
  readonly #socket: Socket;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #signs: Signs;
  #pinging = false;
  #said: Verdict['health'] | undefined;
  /** When the process was last seen, ms since 1970. */
  #seenMs = Date.now();
  readonly #openedMs = performance.now();

  constructor(node: WatchedNode, start: SentinelStart, streamOpen: boolean) {
    this.node = node;
    this.#start = start;
    this.#signs = {
      ...{ processGone: false, streamOpen, ariAnsweredMs: 0, optionsAnsweredMs: 0, refusedMs: 0 },
      ...{ listeningSinceMs: this.#openedMs, startedMs: this.#openedMs - ageMs(node.startTicks) },
    };
    // Connected, so that the kernel tells of a port that nobody listens on.
    this.#socket = createSocket('udp4');
    this.#socket.on('message', message => {
      if (message.subarray(0, 8).toString('latin1') === 'SIP/2.0 ')
        this.#note({ optionsAnsweredMs: performance.now() });
    });
    // An ICMP error is told by whichever comes first, this or the next send.
    this.#socket.on('error', error => this.#noteRefusal(error));
    this.#socket.bind(0, start.address, () => this.#socket.connect(start.sipPort, node.address));
  }

  set streamOpen(open: boolean) {
    this.#note({ streamOpen: open });
  }

  /** We did not listen ourselves: silence counts anew from now. */
  restart(): void {
    this.#note({ listeningSinceMs: performance.now() });
  }

  lookAtProcess(): void {
    if (isRunning(this.node)) this.#seenMs = Date.now();
    else this.#note({ processGone: true });
  }

  sendOptions(): void {
    const { address } = this.node;
    const id = randomBytes(8).toString('hex');
    const own = this.#start.address;
    let port: number;
    try {
      port = this.#socket.address().port;
    } catch {
      return;
    }
    const request = [
      `OPTIONS sip:${address}:${this.#start.sipPort} SIP/2.0`,
      `Via: SIP/2.0/UDP ${own}:${port};branch=z9hG4bK${id};rport`,
      `From: <sip:holdfast@${own}>;tag=${id}`,
      `To: <sip:${address}:${this.#start.sipPort}>`,
      `Call-ID: ${id}`,
      'CSeq: 1 OPTIONS',
      `Contact: <sip:holdfast@${own}:${port}>`,
      'Max-Forwards: 5',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
    try {
      this.#socket.send(request, error => this.#noteRefusal(error));
    } catch {
      // Not connected yet.
    }
  }

  ping(): void {
    if (this.#pinging) return;
    this.#pinging = true;
    const done = (): void => void (this.#pinging = false);
    const request = get(
      {
        ...{ host: this.node.address, port: this.#start.ariPort, path: '/ari/asterisk/ping', auth: this.node.ariAuth },
        ...{ agent: this.#agent, timeout: pingDeadlineMs },
      },
      response => {
        if (response.statusCode === 200) this.#note({ ariAnsweredMs: performance.now() });
        response.resume().once('close', done);
      },
    );
    request.once('timeout', () => request.destroy()).once('error', done);
  }

  /** The verdict, where it is another one than last time; with the first sign of a death, ms since 1970. */
  judge(silenceMs: number): (Verdict & { readonly firstSignMs: number; readonly processGone: boolean }) | undefined {
    const nowMs = performance.now();
    const verdict = judge(this.#signs, nowMs, silenceMs);
    if (verdict.health === this.#said) return undefined;
    // A thread that was started anew must not take healthy nodes' calls away while it gets to know them.
    const isFirst = this.#said === undefined && nowMs - this.#openedMs < firstWordMs;
    if (isFirst && verdict.health === 'suspect') return undefined;
    this.#said = verdict.health;
    const { processGone, ariAnsweredMs, optionsAnsweredMs } = this.#signs;
    const lastMs = Math.max(ariAnsweredMs, optionsAnsweredMs, this.#openedMs);
    const firstSignMs = processGone ? this.#seenMs : Date.now() - (nowMs - lastMs);
    return { ...verdict, firstSignMs, processGone };
  }

  close(): void {
    this.#socket.close();
    this.#agent.destroy();
  }

  #noteRefusal(error: NodeJS.ErrnoException | null): void {
    if (error?.code === 'ECONNREFUSED') this.#note({ refusedMs: performance.now() });
  }

  #note(change: Partial<Signs>): void {
    this.#signs = { ...this.#signs, ...change };
  }
}

/** How long ago a process was started: both count from the machine's start, proc(5). */
function ageMs(startTicks: number): number {
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
  return Math.max(0, uptimeSeconds - startTicks / ticksPerSecond) * 1_000;
}
