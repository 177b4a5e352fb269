// Phones on TCP and TLS through three real Kamailios: whichever instance a message meets, it finds its connection.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import type { SipCall } from '../harness/sip-call.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain } from './kamailio-lab.js';
import { cut } from '../harness/packet-cut.js';

const streams = { tcp: 5060, tls: 5061, perSource: 20 };
let lab: EdgeLab;

before(async () => {
  lab = await EdgeLab.up(streams);
});
after(() => lab.down());
afterEach(async () => {
  await lab.closeEndpoints();
  await lab.endSessions();
});

function phone(transport: 'TCP' | 'TLS', host = 210): Promise<SipEndpoint> {
  const port = transport === 'TCP' ? streams.tcp : streams.tls;
  return lab.open({
    ...{ host, user: '1001', domain: labDomain, codecs: ['PCMA'] },
    credentials: { username: '1001', password: 'alice-secret' },
    connection: { transport, to: { address: lab.plan.publicVip, port } },
  });
}

async function hearEachOther(a: SipCall, b: SipCall): Promise<void> {
  a.audio.sendTone(440);
  b.audio.sendTone(660);
  await b.audio.hears(440);
  await a.audio.hears(660);
}

/** The phone's REGISTER, as the registrar gets it, tells by which Path it is reached. */
async function registered(one: SipEndpoint, registrar: SipEndpoint): Promise<string> {
  assert.equal((await one.register(`sip:${lab.plan.publicVip}`)).status, 200);
  const isIts = (message: SipMessage): boolean => message.get('Contact').includes(`:${one.port};`);
  const register = await registrar.received('its REGISTER', message => message.isRequest && isIts(message));
  return register.get('Path');
}

async function ring(node: SipEndpoint, target: string, path: string, callId: string): Promise<OutgoingCall> {
  const headers = [`<sip:${lab.plan.privateVip}:5060;lr>`, path].map(value => ['Route', value] as const);
  return node.invite(target, { from: `<sip:1002@${labDomain}>;tag=${callId}`, callId, proxy: lab.privateVip, headers });
}

/** What a phone is told must say nothing of the inside. */
function seesNothingInside(one: SipEndpoint): void {
  const inside = new RegExp(`\\b${lab.address(0).replace(/0$/, '')}(2[1-9]|3[1-9]|71|101)\\b`);
  for (const { message, direction } of one.ladder.rows()) {
    if (direction === 'sent' || message.method === 'REGISTER') continue;
    const found = message
      .toString()
      .split('\r\n')
      .find(line => inside.test(line.replace(/tag=[^;>]*|branch=[^;]*|line=[^;>]*/g, '')));
    assert.equal(found, undefined, message.toString());
  }
}

function instanceOf(path: string): string {
  return /~(\d)~s\d+~\d+/.exec(path)?.[1] ?? '';
}

for (const transport of ['TCP', 'TLS'] as const) {
  const lower = transport.toLowerCase();
  describe(`A phone on ${transport}`, () => {
    it('calls, and is sent what belongs to its call by whichever Kamailio got it', async () => {
      const nodes = await lab.openNodes(async call => {
        call.ring();
        await call.answer();
      });
      const alice = await phone(transport);
      const call = await alice.invite(`sip:1002@${lab.plan.publicVip}`);
      const answer = await call.answered();
      const port = streams[lower as 'tcp' | 'tls'];
      assert.match(answer.get('Record-Route'), new RegExp(`^<sip:[\\d.]+:${port};transport=${lower};.*lr`));
      const inside = nodes.flatMap(node => node.calls)[0] as IncomingCall;
      await hearEachOther(call, inside);
      for (let i = 0; i < 6; i++) assert.equal((await inside.request('OPTIONS')).status, 200);
      for (let i = 0; i < 6; i++) assert.equal((await call.request('OPTIONS')).status, 200);
      assert.equal((await call.reinvite()).status, 200);
      assert.equal(await inside.hangup(), 200);
      seesNothingInside(alice);
    });

    it('is rung by the Path of its registration, and cancelled, and hangs up', async () => {
      const registrar = await lab.open({ host: 71, accepts: ['REGISTER'] });
      const [node] = await lab.openNodes(call => call.reject(480));
      assert.ok(node);
      const alice = await phone(transport);
      const path = await registered(alice, registrar);
      assert.match(path, new RegExp(`hfn=${alice.address}~${alice.port}~${lower}~[123]~`));
      const contact = alice.contact.slice(1, -1);

      const given = alice.incoming();
      const first = await ring(node, contact, path, 'given-up');
      const abandoned = await given;
      abandoned.ring();
      await first.ringing();
      assert.equal(await first.cancel(), 487);

      const taken = alice.incoming();
      const second = await ring(node, contact, path, 'taken');
      const rung = await taken;
      assert.match(rung.invite.get('Via'), new RegExp(`^SIP/2.0/${transport} ${lab.plan.publicVip}:`));
      await rung.answer();
      await second.answered();
      await hearEachOther(rung, second);
      for (let i = 0; i < 4; i++) assert.equal((await second.request('OPTIONS')).status, 200);
      assert.equal((await second.reinvite()).status, 200);
      assert.equal(await rung.hangup(), 200);
      seesNothingInside(alice);
    });
  });
}

describe('Connections of strangers', () => {
  it('end when they are silent, and those of phones do not', async () => {
    const registrar = await lab.open({ host: 71, accepts: ['REGISTER'] });
    const [node] = await lab.openNodes(call => call.reject(480));
    assert.ok(node);
    const alice = await phone('TLS');
    const path = await registered(alice, registrar);
    const rung = alice.incoming();
    const call = await ring(node, alice.contact.slice(1, -1), path, 'long');
    await (await rung).answer();
    await call.answered();
    // Its ACK is the last that the phone is sent, and nothing comes back for it: the strangers come later.
    const stranger = await phone('TLS', 212);
    assert.equal((await stranger.request('OPTIONS', `sip:${lab.plan.publicVip}`)).status, 200);
    const silent = await lab.open({ host: 213, connection: { transport: 'TCP', to: lab.publicVip } });
    for (const one of [stranger, silent])
      await waitFor('a stranger to be hung up on', () => one.isDisconnected, { deadlineMs: 20_000 });
    assert.equal(alice.isDisconnected, false);
    assert.equal(await call.hangup(), 200);
  });

  it('end when they begin a message or a handshake and go no further or one octet after the other, and keep no phone from calling', async () => {
    const message = `OPTIONS sip:${lab.plan.publicVip} SIP/2.0\r\nX-Slow: ${'s'.repeat(1_000)}`;
    const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    const unfinished = [
      new SlowStranger({ host: 213, port: streams.tcp }, message.slice(0, 20)),
      new SlowStranger({ host: 213, port: streams.tls }, hello),
    ];
    // One octet after the other, which is not silence.
    const slow = Array.from({ length: streams.perSource - 2 }, (_, i) => {
      const port = i % 2 === 0 ? streams.tcp : streams.tls;
      return new SlowStranger({ host: 214, port }, i % 2 === 0 ? message : Buffer.concat([hello, Buffer.alloc(500)]));
    });
    const trunk = await lab.open({ host: 200, connection: { transport: 'TCP', to: lab.publicVip } });
    const asking = setInterval(() => void trunk.request('OPTIONS', `sip:${lab.plan.publicVip}`).catch(() => {}), 500);
    try {
      await lab.openNodes(call => void call.answer());
      const talking = await phone('TLS', 216);
      const long = await talking.invite(`sip:1002@${lab.plan.publicVip}`);
      await long.answered();
      for (const transport of ['TCP', 'TLS'] as const) {
        const alice = await phone(transport);
        const call = await alice.invite(`sip:1002@${lab.plan.publicVip}`);
        await call.answered();
        assert.equal(await call.hangup(), 200);
      }
      for (const one of unfinished)
        await waitFor('an unfinished stranger to be hung up on', () => one.isClosed, { deadlineMs: 60_000 });
      await waitFor('the slow ones to be hung up on', () => slow.every(one => one.isClosed), {
        deadlineMs: 30_000,
        describe: () => `${slow.filter(one => one.isClosed).length} of ${slow.length}`,
      });
      // Each is counted once it is closed.
      await waitFor('them to be counted', async () => (await lab.counter('closed.stranger')) >= slow.length);
      assert.equal(trunk.isDisconnected, false);
      assert.equal(talking.isDisconnected, false);
      assert.equal(await long.hangup(), 200);
    } finally {
      clearInterval(asking);
      for (const one of [...unfinished, ...slow]) one.close();
    }
  });

  it('end at the next word of one whose address is banned', async () => {
    const guesser = await phone('TLS', 217);
    const options = (): Promise<SipMessage> => guesser.request('OPTIONS', `sip:${lab.plan.publicVip}`);
    assert.equal((await options()).status, 200);
    const ban = {
      source: guesser.address,
      reason: 'wrong passwords',
      untilSeconds: Math.floor(Date.now() / 1000) + 60,
    };
    for (const { name } of lab.nodes('kamailio')) await lab.edge.ban(name, ban);
    void options().catch(() => undefined);
    await waitFor('it to be hung up on', () => guesser.isDisconnected);
    for (const { name } of lab.nodes('kamailio')) await lab.edge.unban(name, ban.source);
  });

  it('are so many from one address, and no more', async () => {
    const taken = async (count: number): Promise<number> => {
      const all = await Promise.allSettled(Array.from({ length: count }, () => phone('TCP', 215)));
      return all.filter(({ status }) => status === 'fulfilled').length;
    };
    assert.equal(await taken(streams.perSource), streams.perSource);
    // As many as may be begun in that time are four. Two, a tenth, are taken where there seem to be too many, as anybody can make it seem.
    await delay(2_000);
    assert.equal(await taken(8), 2);
    // Nor as many one after the other, each of which is a handshake.
    const inHaste = await Promise.allSettled(
      Array.from({ length: 60 }, async () => (await phone('TLS', 218)).disconnect()),
    );
    const shaken = inHaste.filter(({ status }) => status === 'fulfilled').length;
    assert.ok(shaken >= streams.perSource && shaken < 40, `${shaken}`);
    assert.equal((await (await phone('TCP', 216)).request('OPTIONS', `sip:${lab.plan.publicVip}`)).status, 200);
  });
});

describe('SYNs in the name of a phone', () => {
  it('that it does not answer use up neither its connections nor its rate', async () => {
    const [host, firstPort, count] = [219, 20_000, 2 * streams.perSource];
    const unanswered = `ip daddr ${lab.address(host)} tcp dport ${firstPort}-${firstPort + count - 1}`;
    const heal = cut(lab.plan, unanswered);
    const begun = Array.from({ length: count }, (_, i) => {
      const from = { localAddress: lab.address(host), localPort: firstPort + i };
      const socket = createConnection({ host: lab.plan.publicVip, port: streams.tls, ...from });
      return socket.on('error', () => undefined);
    });
    try {
      // As whoever forges them may do.
      await waitFor('each SYN to be sent again', () => synsSentAgain(lab.address(host)) === count);
      assert.equal(begun.filter(one => one.connecting).length, count);
      for (const transport of ['TCP', 'TLS'] as const) {
        const alice = await phone(transport, host);
        assert.equal((await alice.request('OPTIONS', `sip:${lab.plan.publicVip}`)).status, 200);
      }
    } finally {
      for (const one of begun) one.destroy();
      heal();
    }
  });
});

/** Of an address: how many connections have had no answer to their first SYN, and have sent another, as ss(8) tells it. */
function synsSentAgain(address: string): number {
  const lines = execFileSync('ss', ['-Htno', 'state', 'syn-sent', 'src', address], { encoding: 'utf8' });
  return (lines.match(/timer:\(on,[^,]+,[1-9]/g) ?? []).length;
}

/** Sends its octets one by one for as long as it is let. */
class SlowStranger {
  readonly #socket: Socket;
  readonly #sending: NodeJS.Timeout;

  constructor({ host, port }: { readonly host: number; readonly port: number }, octets: string | Buffer) {
    const left = [...Buffer.from(octets)];
    this.#socket = createConnection({ host: lab.plan.publicVip, port, localAddress: lab.address(host) });
    this.#socket.on('error', () => undefined);
    this.#sending = setInterval(() => {
      const next = left.shift();
      if (next !== undefined) this.#socket.write(Buffer.from([next]));
    }, 200);
  }

  get isClosed(): boolean {
    return this.#socket.closed;
  }

  close(): void {
    clearInterval(this.#sending);
    this.#socket.destroy();
  }
}

describe('A connection that is gone', () => {
  it('is told of at once, and a phone that comes back by another Kamailio goes on with its call', async () => {
    const registrar = await lab.open({ host: 71, accepts: ['REGISTER'] });
    const nodes = await lab.openNodes(call => void call.answer());
    const [node] = nodes;
    assert.ok(node);
    const alice = await phone('TLS');
    const path = await registered(alice, registrar);
    const call = await alice.invite(`sip:1002@${lab.plan.publicVip}`);
    await call.answered();
    const inside = nodes.flatMap(one => one.calls)[0] as IncomingCall;
    await alice.disconnect();
    const before = await lab.counter('failed.flow');
    const lost = await ring(node, `sip:1001@${alice.address}`, path, 'lost');
    assert.equal(await lost.rejected(), 430);
    assert.ok((await lab.counter('failed.flow')) > before);
    assert.equal((await inside.request('INFO')).status, 430);

    // The Kamailio itself: another one answers in its stead once the daemon has said that it is dead.
    const instance = `kamailio-${instanceOf(path)}`;
    await lab.setNodeState(instance, 'dead');
    const dead = await ring(node, `sip:1001@${alice.address}`, path, 'dead');
    assert.equal(await dead.rejected(), 430);
    await lab.balancer.apply(lab.nodes('kamailio').filter(({ name }) => name !== instance));

    await alice.connect();
    assert.equal((await call.reinvite()).status, 200);
    await hearEachOther(call, inside);
    const again = await registered(alice, registrar);
    assert.equal(await call.hangup(), 200);
    await lab.setNodeState(instance, 'up');
    await lab.balancer.apply(lab.nodes('kamailio'));
    assert.ok(again);
  });

  it('stays where it is while its Kamailio is drained, and new ones go elsewhere', async () => {
    const registrar = await lab.open({ host: 71, accepts: ['REGISTER'] });
    const alice = await phone('TCP');
    const instance = instanceOf(await registered(alice, registrar));
    await lab.balancer.apply(lab.nodes('kamailio').filter(({ index }) => String(index) !== instance));
    for (let i = 0; i < 3; i++) {
      const other = await phone('TCP', 211 + i);
      assert.equal((await other.request('OPTIONS', `sip:${lab.plan.publicVip}`)).status, 200);
      assert.notEqual(instanceOf(await registered(other, registrar)), instance);
    }
    assert.equal((await alice.register(`sip:${lab.plan.publicVip}`)).status, 200);
    await lab.balancer.apply(lab.nodes('kamailio'));
  });
});
