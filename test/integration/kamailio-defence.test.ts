// What the edge does against strangers: bans that only a wrong password can bring, rates, scanners; on three real Kamailios.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, afterEach, before, describe, it } from 'node:test';
import { ports } from '../../core/farm/farm-plan.js';
import { JsonrpcClient } from '../../kamailio/jsonrpc-client.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab, labDomain } from './kamailio-lab.js';

let lab: EdgeLab;
const open: SipEndpoint[] = [];

before(async () => {
  lab = await EdgeLab.up();
});
after(() => lab.down());
afterEach(async () => {
  await Promise.all(open.splice(0).map(one => one.close()));
  await lab.closeEndpoints();
  await unbanAll();
});

async function endpoint(host: number): Promise<SipEndpoint> {
  const made = await SipEndpoint.open({ address: lab.address(host), codecs: ['PCMA'] });
  open.push(made);
  return made;
}

const instances = (): string[] => lab.nodes('kamailio').map(({ name }) => name);

async function banned(): Promise<string[]> {
  const all = await Promise.all(instances().map(name => lab.edge.bans(name)));
  return [...new Set(all.flat().map(({ source }) => source.replace(lab.address(0).slice(0, -1), '')))].sort();
}

async function unbanAll(): Promise<void> {
  for (const name of instances())
    for (const { source } of await lab.edge.bans(name)) await lab.edge.unban(name, source);
}

const target = (): string => `sip:70001@${lab.plan.publicVip}`;
const wrong = (username: string): object => ({ credentials: { username, password: 'guessed' } });

/** One guess; the last of a storm may not be answered any more. */
async function guess(from: SipEndpoint, username: string): Promise<void> {
  const call = await from.invite(target(), wrong(username));
  await call.rejected(300).catch(() => undefined);
}

/** Datagrams from an address, and how many were answered within a moment; where `wanted` answers are due, within their time. */
async function send(from: string, texts: readonly string[], waitMs = 400, wanted = 0): Promise<number> {
  const socket = createSocket('udp4');
  let answers = 0;
  const asked = new Set(texts.map(callIdOf));
  // What comes late is of whoever had the address before.
  socket.on('message', data => (answers += asked.has(callIdOf(data.toString())) ? 1 : 0));
  await new Promise<void>(resolve => socket.bind(5060, from, resolve));
  try {
    for (const [i, text] of texts.entries()) {
      socket.send(text, lab.publicVip.port, lab.publicVip.address);
      // More answers than a socket's buffer holds must not wait there.
      if (i % 50 === 49) await new Promise(resolve => setTimeout(resolve, 10));
    }
    await new Promise(resolve => setTimeout(resolve, waitMs));
    if (wanted > 0) await waitFor(`${wanted} answers`, () => answers >= wanted, { describe: () => `${answers} came` });
  } finally {
    socket.close();
  }
  return answers;
}

function request(method: string, from: string, n: number, headers: readonly string[] = []): string {
  const id = `${method}-${n}-${from}`;
  return [
    `${method} ${method === 'REGISTER' ? `sip:${labDomain}` : target()} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK-${id};rport`,
    `From: <sip:x@${labDomain}>;tag=${n}`,
    `To: <${target()}>`,
    `Call-ID: ${id}`,
    `CSeq: 1 ${method}`,
    'Max-Forwards: 70',
    `Contact: <sip:x@${from}:5060>`,
    ...headers,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

describe('A stranger', () => {
  it('who goes on guessing passwords is banned, and not heard at all', async () => {
    const guesser = await endpoint(230);
    for (let i = 0; i < 30 && (await banned()).length === 0; i++) await guess(guesser, i % 2 === 0 ? '1001' : 'nobody');
    assert.deepEqual(await banned(), ['230']);
    for (const name of instances()) {
      const [ban] = (await Promise.all(instances().map(one => lab.edge.bans(one)))).flat();
      assert.ok(ban);
      await lab.edge.ban(name, ban);
    }
    assert.equal(await send(lab.address(231), [request('OPTIONS', lab.address(231), 1)], 0, 1), 1);
    await Promise.all(open.splice(0).map(one => one.close()));
    assert.equal(await send(lab.address(230), [request('OPTIONS', lab.address(230), 1)]), 0);
    await unbanAll();
    assert.equal(await send(lab.address(230), [request('OPTIONS', lab.address(230), 2)], 0, 1), 1);
  });

  it('in whose name forged answers to challenges are sent is not banned', async () => {
    const victim = lab.address(232);
    const forged = (n: number): string =>
      `Proxy-Authorization: Digest username="1001", realm="${labDomain}", nonce="Z0000${n}", uri="${target()}", response="0123456789abcdef0123456789abcdef", algorithm=MD5`;
    const other = await endpoint(233);
    const challenge = await other.request('INVITE', target(), { proxy: lab.publicVip });
    const nonce = /nonce="([^"]+)"/.exec(challenge.get('Proxy-Authenticate'))?.[1] ?? '';
    assert.notEqual(nonce, '');
    const storm = Array.from({ length: 25 }, (_, i) => [
      request('INVITE', victim, 2 * i, [forged(i)]),
      request('INVITE', victim, 2 * i + 1, [forged(i).replace(/nonce="[^"]*"/, `nonce="${nonce}"`)]),
    ]);
    // Slower than the rate of a stranger, which would hide what is looked for.
    for (const part of storm) {
      await send(victim, part, 60);
    }
    assert.deepEqual(await banned(), []);
  });

  it('who calls itself what scanners do is not answered', async () => {
    const from = lab.address(234);
    assert.equal(await send(from, [request('OPTIONS', from, 1, ['User-Agent: friendly-scanner'])]), 0);
    assert.equal(await send(from, [request('OPTIONS', from, 2, ['User-Agent: A Phone 1.0'])], 0, 1), 1);
    assert.ok((await lab.counter('dropped.scanner')) >= 1);
    assert.deepEqual(await banned(), []);
  });

  it('is answered so often and no more, while a trunk is answered each time', async () => {
    const flood = (from: string): string[] => Array.from({ length: 300 }, (_, i) => request('INVITE', from, i));
    // Three instances, 20 in each window of two seconds, whenever it begins.
    const mostSince = (startMs: number): number => 3 * 20 * (Math.floor((performance.now() - startMs) / 2_000) + 2);
    const startMs = performance.now();
    const answers = await send(lab.address(235), flood(lab.address(235)), 400, 20);
    assert.ok(answers <= mostSince(startMs), `${answers} of 300`);
    const laterMs = performance.now();
    let after = 0;
    for (let second = 0; second < 7; second++) after += await send(lab.address(235), flood(lab.address(235)), 1_000);
    assert.ok(after <= mostSince(laterMs), `${after} of 2100`);
    assert.deepEqual(await banned(), []);
    const trunk = lab.address(200);
    const options = Array.from({ length: 300 }, (_, i) => request('OPTIONS', trunk, i));
    assert.equal(await send(trunk, options, 0, options.length), options.length);
  });
});

describe('A phone that has proved itself', () => {
  it('is neither limited nor banned for what others at its address, or in its name, do', async () => {
    const office = await endpoint(236);
    const nodes = [await endpoint(31), await endpoint(32)];
    for (const node of nodes) node.onInvite(async call => call.reject(486));
    const right = {
      credentials: { username: '1001', password: 'alice-secret' },
      from: `<sip:1001@${labDomain}>;tag=x`,
    };
    for (let i = 0; i < 12; i++) {
      const call = await office.invite(target(), { ...right, from: `<sip:1001@${labDomain}>;tag=x${i}` });
      assert.equal(await call.rejected(), 486);
    }
    for (let i = 0; i < 40 && (await banned()).length === 0; i++) await guess(office, 'nobody');
    assert.deepEqual(await banned(), ['236/nobody']);
    const call = await office.invite(target(), { ...right, from: `<sip:1001@${labDomain}>;tag=y` });
    assert.equal(await call.rejected(), 486);
    await unbanAll();
    await Promise.all(open.splice(0).map(one => one.close()));
    const flood = Array.from({ length: 200 }, (_, i) => request('OPTIONS', lab.address(236), i));
    await waitFor('all to be answered', async () => (await send(lab.address(236), flood)) === 200, { everyMs: 100 });
  });
});

describe('A source that sends more calls than a node can carry', () => {
  it('is refused its share with 503, the same for each copy of an INVITE, and for so long only', async () => {
    await lab.openNodes(call => void call.reject(486).catch(() => undefined));
    const [loud, other] = [lab.address(200), lab.address(201)];
    const calls = (from: string, tag: string): string[] => {
      const ids = Array.from({ length: 60 }, (_, i) => request('INVITE', from, i));
      return ids.map(text => text.replace(/Call-ID: /, `Call-ID: ${tag}`));
    };
    const begun = await sums(undefined);
    const share = { source: `trunk:lab@${loud}`, lots: 64 };
    const shed = async (seconds: number): Promise<void> => {
      for (const name of instances())
        for (const { name: node } of lab.nodes('call')) await lab.edge.shed(name, { node, ...share }, seconds);
    };
    await shed(60);
    const first = await refused(loud, calls(loud, 'a'));
    assert.ok(first.size >= 15 && first.size <= 45, `${first.size} of 60`);
    // A copy of one that was let in is not answered anew.
    assert.deepEqual(await refused(loud, calls(loud, 'a'), first), first);
    assert.equal((await refused(other, calls(other, 'b'))).size, 0);
    const emergency = calls(loud, 'c').map(text => text.replaceAll('sip:70001@', 'sip:0112@'));
    assert.equal((await refused(loud, emergency)).size, 0);
    assert.equal((await sums(undefined)).offered - begun.offered, 240);
    assert.equal((await sums(share.source)).refused, 2 * first.size);
    assert.equal(await lab.counter('refused.overload'), 2 * first.size);
    await shed(1);
    let round = 0;
    const isOver = async (): Promise<boolean> => (await refused(loud, calls(loud, `d${round++}`))).size === 0;
    await waitFor('it to be over', isOver, { deadlineMs: 10_000 });
  });

  it('is told in all where there are more sources than fit into a reply', async t => {
    const [kamailio, node] = [lab.nodes('kamailio')[0]!, lab.nodes('call')[0]!.name];
    const rpc = new JsonrpcClient({ address: kamailio.address, port: ports.rpc });
    t.after(() => rpc.close());
    const set = (key: string, count: number): Promise<unknown> => rpc.request('htable.seti', ['offered', key, count]);
    const sources = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) await set(`${node}|subscriber:${i}@${labDomain}`, 2);
    };
    await sources(0, 250);
    const one = { kind: undefined, node, source: `subscriber:249@${labDomain}`, count: 2 };
    const { offered } = await lab.edge.offeredCalls(kamailio.name, [node]);
    assert.deepEqual(
      offered.find(({ source }) => source === one.source),
      one,
    );
    await sources(250, 1_000);
    const count = 2_000;
    await set(node, count);
    assert.deepEqual(await lab.edge.offeredCalls(kamailio.name, [node, 'call-9']), {
      offered: [
        { kind: undefined, node, count },
        { kind: undefined, node: 'call-9', count: 0 },
      ],
      refused: [],
    });
  });
});

function callIdOf(message: string): string {
  return /Call-ID: (.*)/.exec(message)?.[1] ?? '';
}

/** Call-IDs of those that were answered with 503, once all are answered, or all that are `awaited`. */
async function refused(from: string, texts: readonly string[], awaited?: ReadonlySet<string>): Promise<Set<string>> {
  const answers = new Map<string, string>();
  const socket = createSocket('udp4').on('message', data => {
    const text = data.toString();
    if (!text.startsWith('SIP/2.0 1')) answers.set(callIdOf(text), text);
  });
  await new Promise<void>(resolve => socket.bind(5060, from, resolve));
  for (const text of texts) socket.send(text, lab.publicVip.port, lab.publicVip.address);
  // Answers to calls of before come again, as nobody acknowledges them.
  const due = [...(awaited ?? texts.map(callIdOf))];
  const areThere = (): boolean => due.every(callId => answers.has(callId));
  await waitFor('them to be answered', areThere, { describe: () => `${answers.size} were` }).finally(() =>
    socket.close(),
  );
  const full = [...answers].filter(([, text]) => text.startsWith('SIP/2.0 503 Overloaded'));
  for (const [, text] of full) assert.match(text, /\r\nRetry-After: [2-5]\r\n/);
  return new Set(full.map(([callId]) => callId).sort());
}

/** Of a source on all instances; undefined: of all sources. */
async function sums(source: string | undefined): Promise<Record<'offered' | 'refused', number>> {
  const counted = await Promise.all(
    instances().map(name =>
      lab.edge.offeredCalls(
        name,
        lab.nodes('call').map(node => node.name),
      ),
    ),
  );
  const sum = (of: 'offered' | 'refused'): number =>
    counted.flatMap(one => one[of]).reduce((all, one) => all + (one.source === source ? one.count : 0), 0);
  return { offered: sum('offered'), refused: sum('refused') };
}
