// TLS handshakes that are broken off, beside honest ones: how many of these are answered, how soon, and what memory it takes.
//
//   node dist/test/bench/edge/handshakes.bench.js [--sources 0] [--seconds 300] [--reload 3]
//
// sources: of so many addresses, 120 at most, through the VIP, each as often as its limit lets it; 0: sixty at a time at one Kamailio itself, past the limits.
// reload: the certificate is loaded again each time so many seconds have passed. Exits 1 where a process dies, or of the honest ones one in a hundred is not answered.
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { parseArgs } from 'node:util';
import { ports, type FarmNode } from '../../../core/farm/farm-plan.js';
import { messageOf } from '../../../core/errors.js';
import { JsonrpcClient } from '../../../kamailio/jsonrpc-client.js';
import { handshakeBreaker } from '../../harness/broken-handshakes.js';
import { EdgeLab } from '../../integration/kamailio-lab.js';
import { percentile } from '../calls/load.js';

const { values } = parseArgs({
  options: {
    sources: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '300' },
    reload: { type: 'string', default: '3' },
  },
});
const [sources, seconds, reloadSeconds] = [Number(values.sources), Number(values.seconds), Number(values.reload)];
const streams = { tcp: 5060, tls: 5061, perSource: 200 };
const [width, honestSources, everySeconds] = [60, 8, 10];
/** An honest one that has no answer by then has none. */
const patienceMs = 3_000;

const lab = await EdgeLab.up(streams);
const kamailios = lab.nodes('kamailio');
const [first] = kamailios;
const attacked = sources > 0 ? lab.plan.publicVip : (first?.external ?? '');
const seen = { broken: 0, answered: 0, not: 0, tookMs: [] as number[] };
let [answered, not, died, isOver] = [0, 0, 0, false];
lab.host.onExit(() => {
  died++;
});
const clients = new Map(kamailios.map(node => [node, clientOf(node)]));

function clientOf({ address }: FarmNode): JsonrpcClient {
  return new JsonrpcClient({ address, port: ports.rpc, localAddress: lab.plan.daemonAddress, timeoutMs: 5_000 });
}

async function attack(): Promise<void> {
  const breakOne = await handshakeBreaker();
  const once = async (host: number): Promise<void> => {
    await breakOne({ host: attacked, port: streams.tls, localAddress: lab.address(host) }).catch(() => undefined);
    seen.broken++;
  };
  const paced = async (nth: number): Promise<void> => {
    while (!isOver) {
      void once(110 + nth);
      await sleep((10 * 1_000) / streams.perSource);
    }
  };
  const atOnce = async (nth: number): Promise<void> => {
    while (!isOver) await once(110 + nth);
  };
  const one = sources > 0 ? paced : atOnce;
  await Promise.all(Array.from({ length: sources || width }, (_, nth) => one(nth)));
}

/** One connection after the other, and on each an OPTIONS; a stranger may send ten a second. */
async function honest(nth: number): Promise<void> {
  while (!isOver) {
    const startMs = performance.now();
    if (await isAnswered(240 + nth)) {
      seen.answered++;
      seen.tookMs.push(performance.now() - startMs);
    } else seen.not++;
    await sleep(200);
  }
}

function isAnswered(host: number): Promise<boolean> {
  const localAddress = lab.address(host);
  const id = `${host}-${performance.now()}`;
  return new Promise(resolve => {
    const to = { host: attacked, port: streams.tls, localAddress };
    const socket = connect({ ...to, rejectUnauthorized: false }, () => {
      const [from, call] = [`From: <sip:x@${localAddress}>;tag=x`, `Call-ID: ${id}`];
      const via = `Via: SIP/2.0/TLS ${localAddress}:${socket.localPort ?? 0};branch=z9hG4bK${id}`;
      const lines = [via, 'Max-Forwards: 70', from, `To: <sip:${attacked}>`, call, 'CSeq: 1 OPTIONS'];
      socket.write([`OPTIONS sip:${attacked} SIP/2.0`, ...lines, 'Content-Length: 0', '', ''].join('\r\n'));
    });
    const late = setTimeout(() => socket.destroy(), patienceMs);
    let is = false;
    socket.once('data', () => {
      is = true;
      socket.end();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(late);
      resolve(is);
    });
  });
}

async function reload(): Promise<void> {
  if (reloadSeconds === 0) return;
  while (!isOver) {
    await sleep(reloadSeconds * 1_000);
    for (const client of clients.values())
      await client.request('tls.reload').catch((error: unknown) => process.stderr.write(`${messageOf(error)}\n`));
  }
}

async function memory(client: JsonrpcClient): Promise<string> {
  const reply = await client.request('core.shmmem').catch(() => undefined);
  return `${(reply as { real_used?: number } | undefined)?.real_used ?? '?'}`;
}

async function tell(startMs: number): Promise<void> {
  while (!isOver) {
    await sleep(everySeconds * 1_000);
    const used = await Promise.all([...clients.values()].map(memory));
    const took = [0.5, 0.99].map(p => Math.round(percentile(seen.tookMs, p))).join(' / ');
    const atSeconds = Math.round((performance.now() - startMs) / 1_000);
    process.stdout.write(
      `${atSeconds} s: ${Math.round(seen.broken / everySeconds)} broken off a second; honest ones ${seen.answered} answered, p50 / p99 ${took} ms, ${seen.not} not; octets in use ${used.join(' ')}\n`,
    );
    [answered, not] = [answered + seen.answered, not + seen.not];
    Object.assign(seen, { broken: 0, answered: 0, not: 0, tookMs: [] });
  }
}

try {
  const work = [attack(), ...Array.from({ length: honestSources }, (_, nth) => honest(nth)), reload()];
  const telling = tell(performance.now());
  await sleep(seconds * 1_000);
  isOver = true;
  await Promise.all([...work, telling]);
  const isFine = died === 0 && not * 100 <= answered + not;
  process.stdout.write(`${answered} honest ones answered, ${not} not; ${died} processes died\n`);
  if (!isFine) process.exitCode = 1;
} finally {
  for (const client of clients.values()) client.close();
  await lab.down();
}
