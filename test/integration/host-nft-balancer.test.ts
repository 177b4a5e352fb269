// NftBalancer with real packets: dgram sockets stand where the Kamailios would be.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastError } from '../../core/errors.js';
import { planFarm, type FarmNode } from '../../core/farm/farm-plan.js';
import { NftBalancer } from '../../core/host/nft-balancer.js';

const sizes = { kamailio: 4, call: 1, conference: 1, registrar: 1, rtpengine: 1 };
const plan = planFarm('127.66.0.0/24', sizes);
const kamailios = plan.nodes.filter(node => node.farm === 'kamailio');

interface Peer {
  readonly socket: Socket;
  readonly received: { text: string; from: string }[];
}

async function peer(address: string, port: number, answer = false): Promise<Peer> {
  const socket = createSocket('udp4');
  const received: Peer['received'] = [];
  socket.on('message', (data: Buffer, from: RemoteInfo) => {
    received.push({ text: String(data), from: `${from.address}:${from.port}` });
    if (answer) socket.send(`answer to ${String(data)}`, from.port, from.address);
  });
  socket.bind(port, address);
  await once(socket, 'listening');
  return { socket, received };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) assert.fail(`waited in vain: ${what}`);
    await delay(5);
  }
}

describe('NftBalancer', () => {
  const balancer = new NftBalancer(plan);
  const outside: Peer[] = [];
  const inside: Peer[] = [];
  let phone: Peer;
  let asterisk: Peer;
  let daemon: Peer;

  before(async () => {
    for (const node of kamailios) {
      outside.push(await peer(node.external!, 5060, true));
      inside.push(await peer(node.address, 5060, true));
    }
    phone = await peer('127.66.0.200', 5060);
    asterisk = await peer('127.66.0.31', 5060);
    daemon = await peer(plan.daemonAddress, 9060);
  });

  afterEach(() => {
    for (const { received } of [...outside, ...inside, phone, asterisk, daemon]) received.length = 0;
  });

  after(async () => {
    await balancer.remove();
    for (const { socket } of [...outside, ...inside, phone, asterisk, daemon]) socket.close();
  });

  async function sendToVips(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      phone.socket.send(`p${i}`, 5060, plan.publicVip);
      asterisk.socket.send(`a${i}`, 5060, plan.privateVip);
    }
    await until('answers', () => phone.received.length === count && asterisk.received.length === count);
  }

  const shares = (peers: readonly Peer[]): number[] => peers.map(({ received }) => received.length);

  it('spreads the packets to each VIP evenly, and every answer bears the VIP', async () => {
    await balancer.apply(kamailios.slice(0, 3));
    await sendToVips(30);
    assert.deepEqual(shares(outside), [10, 10, 10, 0]);
    assert.deepEqual(shares(inside), [10, 10, 10, 0]);
    assert.ok(phone.received.every(({ from }) => from === `${plan.publicVip}:5060`));
    assert.ok(asterisk.received.every(({ from }) => from === `${plan.privateVip}:5060`));
    assert.ok(outside[0]!.received.every(({ from }) => from === '127.66.0.200:5060'));
  });

  it('follows members that come and go without losing a packet', async () => {
    const sets: FarmNode[][] = [kamailios.slice(0, 3), kamailios, kamailios.slice(1), kamailios.slice(2, 3)];
    let sent = 0;
    const progress = { done: false };
    const changes = (async () => {
      for (const members of sets) await balancer.apply(members);
      progress.done = true;
    })();
    while (!progress.done) {
      phone.socket.send(`p${sent++}`, 5060, plan.publicVip);
      await delay(1);
    }
    await changes;
    await until('all answers', () => phone.received.length === sent);
    for (const { received } of [...outside, ...inside, phone]) received.length = 0;
    await sendToVips(5);
    assert.deepEqual(shares(outside), [0, 0, 5, 0]);
    assert.deepEqual(shares(inside), [0, 0, 5, 0]);
  });

  it("leaves an instance's own address on what it sends to the daemon, and probes of one instance alone", async () => {
    await balancer.apply(kamailios.slice(0, 3));
    outside[0]!.socket.send('HEP3', 9060, plan.daemonAddress);
    inside[1]!.socket.send('HEP3', 9060, plan.daemonAddress);
    daemon.socket.send('OPTIONS', 5060, kamailios[2]!.address);
    await until('packets', () => daemon.received.length === 3);
    assert.deepEqual(daemon.received.map(({ from }) => from).sort(), [
      `${kamailios[0]!.external!}:5060`,
      `${kamailios[1]!.address}:5060`,
      `${kamailios[2]!.address}:5060`,
    ]);
    const rpc = await peer(kamailios[0]!.address, 8060, true);
    const client = await peer(plan.daemonAddress, 0);
    client.socket.send('dispatcher.list', 8060, kamailios[0]!.address);
    await until('RPC answer', () => client.received.length === 1);
    assert.equal(client.received[0]?.from, `${kamailios[0]!.address}:8060`);
    rpc.socket.close();
    client.socket.close();
  });

  it("gives the VIP's address to what a Kamailio sends that is no member any more", async () => {
    await balancer.apply(kamailios.slice(0, 1));
    outside[3]!.socket.send('late', 5060, '127.66.0.200');
    await until('packet', () => phone.received.length === 1);
    assert.equal(phone.received[0]?.from, `${plan.publicVip}:5060`);
  });

  it('takes the VIPs down without members, and removes its table', async () => {
    await balancer.apply(kamailios);
    await balancer.apply([]);
    phone.socket.send('nobody', 5060, plan.publicVip);
    await delay(50);
    assert.deepEqual(shares(outside), [0, 0, 0, 0]);
    assert.equal(await balancer.present(), true);
    await balancer.remove();
    await balancer.remove();
    assert.equal(await balancer.present(), false);
    await sendDirect();
  });

  async function sendDirect(): Promise<void> {
    phone.socket.send('direct', 5060, kamailios[0]!.external);
    await until('answer', () => phone.received.length === 1);
    assert.equal(phone.received[0]?.from, `${kamailios[0]!.external!}:5060`);
  }

  it('says what to do when a VIP is on no interface', async () => {
    const elsewhere = new NftBalancer(planFarm('127.66.0.0/24', sizes, { public: '192.0.2.99' }));
    await assert.rejects(elsewhere.apply(kamailios), (error: unknown) => {
      assert.ok(HoldfastError.is(error, 'BALANCER_FAILED'));
      assert.match(error.remedy ?? '', /ip address add 192\.0\.2\.99/);
      return true;
    });
  });
});
