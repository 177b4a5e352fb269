// What an attacker can do at the TCP and TLS doors of three real Kamailios: take places, send nonsense, break off. Phones go on, and every stranger ends.
import assert from 'node:assert/strict';
import { createConnection, type Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ports } from '../../core/farm/farm-plan.js';
import { sessionOf } from '../../core/host/process-table.js';
import { JsonrpcClient } from '../../kamailio/jsonrpc-client.js';
import { handshakeBreaker } from '../harness/broken-handshakes.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain } from './kamailio-lab.js';

/** Fifty addresses may take more places than all instances have together: 3 times 200. */
const streams = { tcp: 5060, tls: 5061, perSource: 40 };
/** A stranger's whole time in this lab, with a look more, and the time of a busy machine. */
const endMs = 40_000;
/** What was lost to each of ten certificates was more than this, and to 15,000 handshakes about as much. */
const slackOctets = 500_000;
let lab: EdgeLab;
let rpc: JsonrpcClient | undefined;

before(async () => {
  lab = await EdgeLab.up(streams);
});
after(async () => {
  rpc?.close();
  await lab.down();
});
afterEach(async () => {
  for (const one of strangers.splice(0)) one.destroy();
  await lab.closeEndpoints();
  await lab.endSessions();
});

const strangers: Socket[] = [];

function kept<One extends Socket>(socket: One): One {
  socket.on('error', () => undefined);
  socket.resume();
  strangers.push(socket);
  return socket;
}

function stranger(port: number, host: number, octets: string | Buffer): Socket {
  const to = { host: lab.plan.publicVip, port, localAddress: lab.address(host) };
  const socket = createConnection({ ...to, noDelay: true }, () => socket.write(octets));
  return kept(socket);
}

function secured(host: number, options: { readonly maxVersion?: 'TLSv1.2' } = {}): Promise<TLSSocket> {
  const to = { host: lab.plan.publicVip, port: streams.tls, localAddress: lab.address(host) };
  return new Promise((resolve, reject) => {
    const socket = kept(connectTls({ ...to, rejectUnauthorized: false, ...options }, () => resolve(socket)));
    socket.once('error', reject);
  });
}

/** At one Kamailio itself, sixty at a time: past the limits of a source, which hold at the VIP. */
async function breakOff(handshakes: number): Promise<void> {
  const { external: host = '' } = lab.nodes('kamailio')[0] ?? {};
  const breakOne = await handshakeBreaker();
  let left = handshakes;
  const oneAfterTheOther = async (): Promise<void> => {
    while (left-- > 0) await breakOne({ host, port: streams.tls, localAddress: lab.address(205 + (left % 50)) });
  };
  await Promise.all(Array.from({ length: 60 }, oneAfterTheOther));
}

function ask(method: string): Promise<unknown> {
  rpc ??= new JsonrpcClient({
    ...{ address: lab.nodes('kamailio')[0]?.address ?? '', port: ports.rpc, localAddress: lab.plan.daemonAddress },
    timeoutMs: 10_000,
  });
  return rpc.request(method);
}

/** What the first Kamailio has in use of what its processes share, octets. */
async function memory(): Promise<number> {
  return ((await ask('core.shmmem')) as { readonly real_used: number }).real_used;
}

function phone(transport: 'TCP' | 'TLS', host: number): Promise<SipEndpoint> {
  const port = transport === 'TCP' ? streams.tcp : streams.tls;
  return lab.open({
    ...{ host, user: '1001', domain: labDomain, codecs: ['PCMA'] },
    credentials: { username: '1001', password: 'alice-secret' },
    connection: { transport, to: { address: lab.plan.publicVip, port } },
  });
}

async function callsWell(one: SipEndpoint): Promise<void> {
  const call = await one.invite(`sip:1002@${lab.plan.publicVip}`);
  await call.answered();
  assert.equal(await call.hangup(), 200);
}

function processes(): string {
  return lab
    .nodes('kamailio')
    .map(({ name }) => {
      const leader = lab.host.process(name);
      return leader
        ? sessionOf(leader)
            .map(({ pid }) => pid)
            .join(' ')
        : '';
    })
    .join('\n');
}

async function allEnd(what: string): Promise<void> {
  // A socket of Node's that waits for a renegotiation is told of the end, and tells nobody: it has no `close`.
  const open = (): readonly Socket[] => strangers.filter(one => one.readyState !== 'closed');
  const describe = (): string => `${open().length} of ${strangers.length}`;
  await waitFor(what, () => open().length === 0, { deadlineMs: endMs, describe });
}

const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

function options(length: string, body = '', more = ''): string {
  const lines = [
    `OPTIONS sip:${lab.plan.publicVip} SIP/2.0`,
    `Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK${length}`,
    'Max-Forwards: 70',
    'From: <sip:x@192.0.2.1>;tag=x',
    `To: <sip:${lab.plan.publicVip}>`,
    `Call-ID: x${length}`,
    'CSeq: 1 OPTIONS',
    ...(length === '' ? [] : [`Content-Length: ${length}`]),
    ...(more === '' ? [] : [more]),
  ];
  return [...lines, '', body].join('\r\n');
}

describe('An attacker at the doors for connections', () => {
  it('takes all places by handshakes that never end: who is connected calls on, and who is not gets in soon', async () => {
    await lab.openNodes(call => void call.answer());
    const connected = [await phone('TCP', 204), await phone('TLS', 202)];
    for (const one of connected) await callsWell(one);
    for (let host = 205; host < 255; host++)
      for (let i = 0; i < streams.perSource; i++) stranger(i % 2 === 0 ? streams.tls : streams.tcp, host, hello);
    await waitFor('no place to be left', () => strangers.filter(one => one.closed).length > 1_000);
    for (const one of connected) {
      await callsWell(one);
      assert.equal(one.isDisconnected, false);
    }
    await allEnd('all of them to be hung up on');
    await callsWell(await phone('TLS', 203));
  });

  it('sends nonsense, wrong lengths and half messages: every connection ends, no process does, and phones call', async () => {
    await lab.openNodes(call => void call.answer());
    const before = processes();
    const alice = await phone('TLS', 202);
    const good = options('0');
    const nonsense: readonly (string | Buffer)[] = [
      ...['4294967297', '99999999999999999999', '-1', '2147483647', '18446744073709551615', 'x', ''].map(length =>
        options(length, 'x'.repeat(3_000)),
      ),
      options('20', '', 'Content-Length: 4000000000'),
      `${options('400')}${good}${good}`,
      `${options('3', 'x'.repeat(40))}${good}`,
      `${good.repeat(40)}${good.slice(0, 50)}`,
      `OPTIONS sip:x SIP/2.0\r\nX: ${'x'.repeat(200_000)}`,
      '\r\n'.repeat(200_000),
      Buffer.alloc(100_000),
      Buffer.from('HEP3\xff\xff', 'latin1'),
      Buffer.from([0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, ...Buffer.alloc(40)]),
      'PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n',
      'GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\n',
      'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n',
      'MSRP x SEND\r\nTo-Path: msrp://x\r\n',
    ];
    nonsense.forEach((octets, i) => {
      for (const port of [streams.tcp, streams.tls]) stranger(port, 210 + i, octets);
    });
    for (const [i, octets] of nonsense.entries()) (await secured(210 + i)).write(octets);
    for (const one of [await secured(229, { maxVersion: 'TLSv1.2' }), await secured(229)]) {
      one.renegotiate({}, () => undefined);
      one.write(good.slice(0, 60));
    }
    // Ends in the middle of a message, and in the middle of a record.
    for (let i = 0; i < 100; i++) {
      const one = stranger(
        i % 2 === 0 ? streams.tcp : streams.tls,
        231 + (i % 10),
        i % 2 === 0 ? good.slice(0, i) : hello,
      );
      setTimeout(() => one.resetAndDestroy(), i);
    }
    await callsWell(alice);
    await callsWell(await phone('TCP', 204));
    await allEnd('all of them to be hung up on');
    assert.equal(processes(), before);
    assert.equal(alice.isDisconnected, false);
    await callsWell(alice);
  });

  it('breaks off thousands of TLS handshakes, each in its own way: no process dies', async () => {
    await lab.openNodes(call => void call.answer());
    const before = processes();
    await breakOff(15_000);
    assert.equal(processes(), before);
    await callsWell(await phone('TLS', 202));
  });

  it('is not what memory is lost by, nor are new certificates: a Kamailio that believes so takes no connection more', async () => {
    // What each process makes itself at its first handshakes, and a certificate of which the connections are not gone.
    await breakOff(3_000);
    await ask('tls.reload');
    const before = await memory();
    await breakOff(15_000);
    for (let i = 0; i < 10; i++) await ask('tls.reload');
    const describe = async (): Promise<string> => `${await memory()} after ${before}`;
    await waitFor('its memory to be as before', async () => (await memory()) - before < slackOctets, { describe });
  });
});
