// The fence around a real Asterisk: neither SIP nor RTP nor ARI passes, at once, through restarts of the daemon, and ends in time.
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fences } from '../../core/farm/fences.js';
import type { FarmNode } from '../../core/farm/farm-plan.js';
import { NftBalancer } from '../../core/host/nft-balancer.js';
import { silentLogger } from '../../core/log.js';
import type { NodeHost, NodeProcess } from '../../core/ports/node-host.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { AsteriskLab } from './asterisk-node-lab.js';

async function socketOn(address: string): Promise<Socket> {
  const socket = createSocket('udp4').on('error', () => undefined);
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** What is to come may take a loaded machine its time; what is not to come is not waited for as long, ms. */
const [dueMs, vainMs] = [5_000, 300];

/** True when a packet from one socket reaches the other in time. */
async function passes(from: Socket, to: Socket, withinMs: number): Promise<boolean> {
  const ended = new AbortController();
  const arrived = once(to, 'message', { signal: ended.signal }).then(() => true);
  from.send('packet', to.address().port, to.address().address, () => undefined);
  return inTime(arrived, withinMs).finally(() => ended.abort());
}

async function inTime(answered: Promise<boolean>, withinMs: number): Promise<boolean> {
  const late = new AbortController();
  const answer = answered.catch(() => false);
  return Promise.race([answer, sleep(withinMs, false, { signal: late.signal })]).finally(() => late.abort());
}

describe('a fenced Asterisk', () => {
  const store = openMemoryStore();
  let lab: AsteriskLab;
  let node: FarmNode;
  let balancer: NftBalancer;
  let fences: Fences;
  const media = {} as Record<'own' | 'engine' | 'other', Socket>;
  const open = (): { balancer: NftBalancer; fences: Fences } => {
    const nft = new NftBalancer(lab.plan);
    const running: Pick<NodeHost, 'process'> = {
      process: (name): NodeProcess | undefined =>
        name === node.name ? { pid: lab.pid(name), startTicks: 1 } : undefined,
    };
    return { balancer: nft, fences: new Fences(store, nft, running, silentLogger) };
  };

  before(async () => {
    lab = await AsteriskLab.open();
    node = lab.node('call-1');
    ({ balancer, fences } = open());
    await balancer.apply([]);
    await lab.start(node.name);
    media.own = await socketOn(node.address);
    media.engine = await socketOn(lab.node('rtpengine-1').address);
    media.other = await socketOn(lab.node('conference-1').address);
  });
  after(async () => {
    for (const socket of Object.values(media)) socket.close();
    await lab.close();
    await balancer.remove();
    assert.equal(await balancer.present(), false);
  });

  const answersAri = (withinMs: number): Promise<boolean> =>
    inTime(
      lab.farm
        .node(node.name)
        .ari.asterisk.ping()
        .then(() => true),
      withinMs,
    );
  async function answersSip(withinMs: number): Promise<boolean> {
    const socket = await socketOn(lab.plan.daemonAddress);
    const { port } = socket.address();
    const from = lab.plan.daemonAddress;
    const lines = [
      `OPTIONS sip:${node.address} SIP/2.0`,
      `Via: SIP/2.0/UDP ${from}:${port};branch=z9hG4bK${port};rport`,
    ];
    lines.push(
      `From: <sip:t@${from}>;tag=1`,
      `To: <sip:${node.address}>`,
      `Call-ID: ${port}@${from}`,
      'CSeq: 1 OPTIONS',
    );
    const answered = once(socket, 'message').then(() => true);
    socket.send([...lines, 'Content-Length: 0', '', ''].join('\r\n'), 5060, node.address);
    return inTime(answered, withinMs).finally(() => socket.close());
  }
  async function isCutOff(): Promise<void> {
    assert.deepEqual([await answersSip(vainMs), await answersAri(vainMs)], [false, false]);
    assert.equal(await passes(media.own, media.engine, vainMs), false, 'its RTP to an engine');
    assert.equal(await passes(media.engine, media.own, vainMs), false, 'RTP of an engine to it');
    assert.equal(await passes(media.own, media.other, vainMs), false, 'its RTP to another Asterisk');
    assert.equal(await passes(media.engine, media.other, dueMs), true, 'what others have to say to each other');
  }
  async function isReachable(): Promise<void> {
    assert.deepEqual([await answersSip(dueMs), await answersAri(dueMs)], [true, true]);
    assert.equal(await passes(media.own, media.engine, dueMs), true);
    assert.equal(await passes(media.engine, media.own, dueMs), true);
  }

  test('is cut off within milliseconds, and nobody else is', async t => {
    await isReachable();
    const took: number[] = [];
    for (let i = 0; i < 5; i++) {
      await fences.lower(node);
      const startMs = performance.now();
      await fences.raise(node);
      took.push(Math.round(performance.now() - startMs));
    }
    t.diagnostic(`raised in ${took.join(', ')} ms`);
    assert.deepEqual(fences.list(), ['call-1']);
    await isCutOff();
  });

  test('stays so when the balancer is changed', async () => {
    await balancer.apply(lab.plan.nodes.filter(one => one.farm === 'kamailio'));
    await isCutOff();
  });

  test('stays so under a new daemon, as long as its process is there', async () => {
    ({ balancer, fences } = open());
    await fences.load();
    assert.deepEqual(fences.list(), ['call-1']);
    await balancer.apply([]);
    await isCutOff();
  });

  test('sent nothing meanwhile that comes out afterwards, and is reachable again', async () => {
    await fences.lower(node);
    await isReachable();
    const again = open();
    await again.fences.load();
    assert.deepEqual(again.fences.list(), []);
  });
});
