// The HEP door with a real Kamailio that sends its copies, and by itself: bind failures, strangers, a changed farm.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import { planFarm, ports } from '../../core/farm/farm-plan.js';
import { silentLogger } from '../../core/log.js';
import { encodeHep } from '../../core/trace/hep-packet.js';
import { hopsOf } from '../../core/trace/hops.js';
import { ladder } from '../../core/trace/ladder.js';
import { traceFarmOf } from '../../core/trace/trace-farm.js';
import type { TraceMessage } from '../../core/trace/trace-message.js';
import { Trace } from '../../core/trace/trace.js';
import { closeAll } from '../harness/close-all.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { waitFor } from '../harness/wait-for.js';

const subnet = await freeSubnet();
const plan = planFarm(subnet.cidr, { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 1 });
const farm = traceFarmOf(plan);
const [external, internal, call1] = [subnet.host(11), subnet.host(21), subnet.host(31)];
const key = 'a-key-of-this-test';

/** A UDP socket that sends texts and keeps what it receives. */
class Party {
  readonly heard: { readonly text: string; readonly from: RemoteInfo }[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (message, from) => this.heard.push({ text: message.toString(), from }));
  }

  static async at(address: string, port = 5060): Promise<Party> {
    const socket = createSocket('udp4').bind(port, address);
    await once(socket, 'listening');
    return new Party(socket);
  }

  send(message: string | Buffer, address: string, port = 5060): void {
    this.#socket.send(message, port, address);
  }

  async hear(start: string): Promise<string> {
    return waitFor(`${start} to arrive`, () => this.heard.find(({ text }) => text.startsWith(start))?.text);
  }

  close(): void {
    this.#socket.close();
  }
}

/** A stateless edge in few lines: outside to call-1, inside to the callee, with the topology hidden outside. */
const cfg = `#!KAMAILIO
children=2
listen=udp:${external}:5060 advertise ${plan.publicVip}:5060 name "ext"
listen=udp:${internal}:5060 advertise ${plan.privateVip}:5060 name "int"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "rr.so"
loadmodule "siptrace.so"
loadmodule "topoh.so"
modparam("siptrace", "duplicate_uri", "sip:${plan.daemonAddress}:${ports.hep}")
modparam("siptrace", "hep_mode_on", 1)
modparam("siptrace", "hep_version", 3)
modparam("siptrace", "hep_capture_id", 1)
modparam("siptrace", "auth_key", "${key}")
modparam("siptrace", "send_sock_name", "int")
modparam("siptrace", "trace_to_database", 0)
modparam("siptrace", "trace_on", 1)
modparam("siptrace", "trace_mode", 1)
modparam("rr", "enable_double_rr", 1)
modparam("topoh", "mask_key", "k")
modparam("topoh", "mask_ip", "${plan.publicVip}")
request_route {
  if ($rm == "OPTIONS") { sl_send_reply("404", "Nobody here"); exit; }
  record_route();
  if ($Ri == "${external}") { $du = "sip:${call1}:5060"; $fsn = "int"; }
  else { $du = "sip:${subnet.host(208)}:5060"; $fsn = "ext"; }
  forward();
}
onreply_route {
  if ($Ri == "${external}") { $fsn = "int"; } else { $fsn = "ext"; }
}
event_route[topoh:msg-outgoing] {
  if ($sndto(ip) == "${call1}") drop;
}
`;

let log = '';
async function startKamailio(folder: string): Promise<ChildProcess> {
  const file = join(folder, 'kamailio.cfg');
  await writeFile(file, cfg);
  const child = spawn('/usr/sbin/kamailio', ['-f', file, '-DD', '-E', '-Y', folder, '-m', '32', '-M', '8']);
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  return child;
}

function request(method: string, callId: string, from: string, ...more: string[]): string {
  return [
    `${method} sip:70001@${plan.publicVip} SIP/2.0`,
    `Via: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK-${callId}`,
    'Max-Forwards: 70',
    `From: "Alice" <sip:alice@${from}>;tag=tag-${callId}`,
    `To: <sip:70001@${plan.publicVip}>`,
    `Call-ID: ${callId}`,
    `CSeq: 7 ${method}`,
    `Contact: <sip:alice@${from}:5060>`,
    ...more,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

function answer(to: string, status: string): string {
  const kept = to.split('\r\n').filter(line => /^(via|from|to|call-id|cseq|record-route):/i.test(line));
  const lines = kept.map(line => (/^to:/i.test(line) ? `${line};tag=answerer` : line));
  return [`SIP/2.0 ${status}`, ...lines, 'Content-Length: 0', '', ''].join('\r\n');
}

function openTrace(port: number, authKey?: string): Promise<Trace> {
  return Trace.open({ address: plan.daemonAddress, port, farm, authKey, log: silentLogger });
}

describe('the trace of a real Kamailio', () => {
  let folder: string;
  let kamailio: ChildProcess | undefined;
  let trace: Trace;
  const parties = {} as Record<'phone' | 'node' | 'callee', Party>;

  before(async () => {
    trace = await openTrace(ports.hep, key);
    folder = await mkdtemp(join(tmpdir(), 'holdfast-trace-'));
    kamailio = await startKamailio(folder);
    parties.phone = await Party.at(subnet.host(200));
    parties.node = await Party.at(call1);
    parties.callee = await Party.at(subnet.host(208));
    await waitFor(
      'Kamailio to answer',
      () => {
        parties.phone.send(request('OPTIONS', `ping-${Date.now()}`, subnet.host(200)), external);
        return parties.phone.heard.length > 0;
      },
      { deadlineMs: 10_000, everyMs: 100, describe: () => log },
    );
  });

  after(async () => {
    if (kamailio?.exitCode === null && kamailio.signalCode === null) {
      kamailio.kill();
      await once(kamailio, 'exit');
    }
    await closeAll(trace, ...Object.values(parties));
    await rm(folder, { recursive: true, force: true });
  });

  const messagesOf = (callId: string, count: number): Promise<readonly TraceMessage[]> =>
    waitFor(`${count} copies`, async () => {
      const messages = await trace.messages(callId);
      return messages.length >= count && messages;
    });

  test('shows each message twice, with its ends, ids and time', async () => {
    const { phone, node } = parties;
    const startedMs = Date.now();
    phone.send(request('INVITE', 'outside-in', subnet.host(200)), external);
    const invite = await node.hear('INVITE');
    node.send(answer(invite, '180 Ringing'), internal);
    await phone.hear('SIP/2.0 180');
    const all = await messagesOf('outside-in', 4);
    // The process that passed the INVITE on may show so only after another one has the answer.
    const [received, sent] = ['in', 'out'].map(way => all.find(one => one.status === null && one.direction === way));
    const rest = all.filter(one => one !== received && one !== sent);
    assert.ok(received && sent);
    assert.ok(received.atMs >= startedMs - 5 && received.atMs <= sent.atMs && sent.atMs <= Date.now() + 5);
    assert.deepEqual(
      { ...received, atMs: 0, sizeBytes: 0 },
      {
        atMs: 0,
        sizeBytes: 0,
        instance: 'kamailio-1',
        direction: 'in',
        source: `${subnet.host(200)}:5060`,
        destination: `${external}:5060`,
        callId: 'outside-in',
        startLine: `INVITE sip:70001@${plan.publicVip} SIP/2.0`,
        method: 'INVITE',
        status: null,
        reason: '',
        cseq: 7,
        fromTag: 'tag-outside-in',
        toTag: null,
        viaBranch: 'z9hG4bK-outside-in',
        nextViaBranch: null,
        contentType: null,
        rawAt: null,
      },
    );
    assert.deepEqual([sent.direction, sent.source, sent.destination], ['out', `${internal}:5060`, `${call1}:5060`]);
    assert.equal(sent.nextViaBranch, 'z9hG4bK-outside-in');
    assert.equal(sent.sizeBytes, Buffer.byteLength(invite));
    assert.deepEqual(
      rest.map(({ status, toTag }) => [status, toTag]),
      [
        [180, 'answerer'],
        [180, 'answerer'],
      ],
    );
    const lines = ladder(rest.concat(sent, received), end => (end.startsWith(call1) ? 'call-1' : undefined));
    assert.match(lines[0] ?? '', new RegExp(`^\\+ ?0.0 ms {2}INVITE {7}${subnet.host(200)} → kamailio-1 → call-1$`));
    assert.match(lines[1] ?? '', / 180 Ringing +call-1 → kamailio-1 → 127/);
    assert.equal(lines.length, 2);
  });

  test('tells the Call-ID of a leg that a node of ours originated, and nobody else’s', async () => {
    const { phone, node, callee } = parties;
    const told: [string, string][] = [];
    const off = trace.onLegCallId((leg, callId) => told.push([leg, callId]));
    phone.send(request('INVITE', 'forged', subnet.host(200), 'X-Holdfast-Leg: 01J-9'), external);
    node.send(request('INVITE', 'inside-out', call1, 'X-Holdfast-Leg: 01J-2'), internal);
    node.send(request('INVITE', 'inside-out', call1, 'X-Holdfast-Leg: 01J-2'), internal);
    const invites = (): string[] => callee.heard.map(({ text }) => text).filter(text => text.startsWith('INVITE'));
    await waitFor('both copies to arrive', () => invites().length === 2);
    callee.send(answer(invites()[0] ?? '', '200 OK'), external);
    await node.hear('SIP/2.0 200');
    await waitFor('the leg', () => trace.callIdOfLeg('01J-2'));
    const hops = await waitFor('the hops', async () => {
      const found = hopsOf(await trace.messages('inside-out'));
      return found.length >= 3 && found.every(({ from, to }) => from !== null && to !== null) && found;
    });
    assert.deepEqual(told, [['01J-2', 'inside-out']]);
    assert.equal(trace.callIdOfLeg('01J-9'), undefined);
    off();
    const [node1, callee1] = [`${call1}:5060`, `${subnet.host(208)}:5060`];
    assert.deepEqual(
      hops.map(({ summary, from, to, retransmission }) => [summary, from, to, retransmission]),
      [
        ['INVITE', node1, callee1, false],
        ['INVITE', node1, callee1, true],
        ['200 OK', callee1, node1, false],
      ],
    );
  });

  test('shows what Kamailio answered by itself, and refuses nothing of a Kamailio’s', async () => {
    const { phone } = parties;
    phone.send(request('OPTIONS', 'to-the-edge', subnet.host(200)), external);
    const hops = hopsOf(await messagesOf('to-the-edge', 2));
    assert.deepEqual(
      hops.map(({ summary, from, to }) => [summary, from === null, to === null]),
      [
        ['OPTIONS', false, true],
        ['404 Nobody here (OPTIONS)', true, false],
      ],
    );
    const counters = await trace.counters();
    assert.equal(counters.received, counters.decoded);
    assert.ok(Object.values(counters.refused).every(count => count === 0));
    assert.equal(counters.lost, 0);
    assert.ok(counters.receiveBufferBytes > 212_992, 'more than the kernel gives by default');
  });
});

describe('the HEP door', () => {
  const packet = (callId: string): Buffer =>
    encodeHep({
      source: { address: call1, port: 5060 },
      destination: { address: internal, port: 5060 },
      atMs: Date.now(),
      payload: Buffer.from(request('INVITE', callId, call1, `X-Holdfast-Leg: ${callId}-2`)),
    });

  test('says who has its port, and what to do', async t => {
    const other = await Party.at(plan.daemonAddress, 9061);
    t.after(() => other.close());
    await assert.rejects(openTrace(9061), error => {
      assert.ok(HoldfastError.is(error, 'ADDRESS_TAKEN'));
      assert.match(error.message, /cannot hear HEP at .*:9061\/udp/);
      assert.match(error.remedy ?? '', /ss -ulnp/);
      return true;
    });
  });

  test('says that an address is not of this machine', async () => {
    const elsewhere = Trace.open({ address: '192.0.2.1', port: 0, farm, log: silentLogger });
    await assert.rejects(elsewhere, error => {
      assert.ok(HoldfastError.is(error, 'ADDRESS_TAKEN'));
      assert.match(error.remedy ?? '', /not one of this machine/);
      return true;
    });
  });

  test('drops what strangers send, and follows the farm', async t => {
    const trace = await openTrace(0);
    t.after(() => trace.close());
    const [kamailio1, stranger] = [await Party.at(internal, 0), await Party.at(subnet.host(22), 0)];
    t.after(() => [kamailio1, stranger].forEach(party => party.close()));
    stranger.send(packet('early'), plan.daemonAddress, trace.port);
    await waitFor('the refusal', async () => (await trace.counters()).refused.unknownSender === 1);
    const instances = [...farm.instances, { name: 'kamailio-2', addresses: [subnet.host(22)] }];
    trace.setSources({ ...farm, instances });
    stranger.send(packet('later'), plan.daemonAddress, trace.port);
    kamailio1.send(packet('later'), plan.daemonAddress, trace.port);
    const messages = await waitFor('both copies', async () => {
      const found = await trace.messages('later');
      return found.length === 2 && found;
    });
    assert.deepEqual(messages.map(({ instance }) => instance).sort(), ['kamailio-1', 'kamailio-2']);
    assert.equal(trace.callIdOfLeg('later-2'), 'later');
    assert.deepEqual(await trace.messages('early'), []);
  });

  test('takes its time to close once, and gives no answers afterwards', async () => {
    const trace = await openTrace(0);
    const open = trace.counters();
    const refused = assert.rejects(open, { code: 'TRACE_UNAVAILABLE' });
    await Promise.all([trace.close(), trace.close(), refused]);
    await assert.rejects(trace.messages('any'), { code: 'TRACE_UNAVAILABLE' });
    trace.setSources(farm);
  });
});
