// Broken packets by the thousand: nothing throws, every one is counted, and memory stays where it was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeHep } from '../../core/trace/hep-packet.js';
import { RawRing } from '../../core/trace/raw-ring.js';
import { ladder } from '../../core/trace/ladder.js';
import { LegCallIds } from '../../core/trace/leg-call-ids.js';
import { scanSip, type SipMessage } from '../../core/trace/sip-scanner.js';
import { TraceIntake } from '../../core/trace/trace-intake.js';
import { TraceLog } from '../../core/trace/trace-log.js';
import { seeded } from '../harness/seeded-random.js';

const rounds = 20_000;
const kamailio = '127.9.7.21';

const head = [
  'Via: SIP/2.0/UDP 127.9.7.100:5060;branch=z9hG4bKcydzigwkX, SIP/2.0/UDP 127.9.7.200:5062;branch=z9hG4bK77ef',
  'Record-Route: <sip:127.9.7.101;r2=on;lr=on;hf=a.b>, <sip:127.9.7.100;r2=on;lr=on>',
  'From: "Alice, \\"A\\"" <sip:1001@holdfast.test>;tag=1928301774',
  'To: <sip:1002@holdfast.test>',
  'Call-ID: a84b4c76e66710',
  'CSeq: 314159 INVITE',
  'm: <sip:1001@127.9.7.200:5062>;expires=60',
  'X-Holdfast-Leg: 01J0000-2',
];
const body = 'v=0\r\no=- 1 1 IN IP4 127.9.7.200\r\ns=-\r\nc=IN IP4 127.9.7.200\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';
const messages = [
  ['INVITE sip:1002@127.9.7.100 SIP/2.0', ...head, `Content-Length: ${body.length}`, '', body],
  ['SIP/2.0 180 Ringing', ...head, 'l: 0', '', ''],
  ['BYE sip:1002@127.9.7.100 SIP/2.0', ...head, 'Subject: folded', '  twice', '', ''],
].map(lines => Buffer.from(lines.join('\r\n')));
const packets = messages.map(payload =>
  encodeHep({
    source: { address: '127.9.7.31', port: 5060 },
    destination: { address: kamailio, port: 5060 },
    atMs: 1_767_225_600_000,
    captureId: 1,
    authKey: 'key',
    payload,
  }),
);
const envelope = {
  source: { address: '127.9.7.31', port: 5060 },
  destination: { address: kamailio, port: 5060 },
  atMs: 1,
};
const separators = Buffer.from('\r\n\t ",;<>\\:=/@\0');

function mutate(packet: Buffer, random: (below: number) => number): Buffer {
  let bytes: Buffer = Buffer.from(packet);
  for (let times = 1 + random(6); times > 0 && bytes.length > 0; times--) {
    const at = random(bytes.length);
    const until = at + random(bytes.length - at + 1);
    const kind = random(6);
    if (kind === 0) bytes[at] = random(256);
    else if (kind === 1) bytes[at] = separators[random(separators.length)] ?? 0;
    else if (kind === 2) bytes = bytes.subarray(0, at);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(until)]);
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, until), bytes.subarray(at)]);
    else bytes.writeUInt8(random(256), Math.min(at, 5 + random(60)) % bytes.length);
  }
  return bytes.subarray(0, 65_535);
}

/** Lets the packet through the outer door, so that what was broken is the SIP in it. */
function lengthMended(packet: Buffer): Buffer {
  if (packet.length >= 6) packet.writeUInt16BE(packet.length, 4);
  return packet;
}

/** Asks for everything that is taken apart only when it is asked for. */
function takeApart(message: SipMessage | undefined): unknown {
  if (!message) return undefined;
  const { from, to, vias, routes, recordRoutes, contacts, expiresSeconds, sdpOrigin } = message;
  return [from, to, vias, routes, recordRoutes, contacts, expiresSeconds, sdpOrigin];
}

test(`${rounds} broken packets throw nothing, are all counted, and leave memory bounded`, () => {
  const random = seeded(3261);
  const limits = { bytes: 1_000_000, calls: 500 };
  const log = new TraceLog(limits);
  const farm = { instances: [{ name: 'kamailio-1', addresses: [kamailio] }], asterisks: { '127.9.7.31': 'call-1' } };
  const intake = new TraceIntake(log, new LegCallIds(100), { farm, raw: new RawRing(100_000), onLeg: () => undefined });
  for (let i = 0; i < rounds; i++) {
    const broken = mutate(packets[i % packets.length] ?? Buffer.alloc(0), random);
    intake.take(i % 2 === 0 ? lengthMended(broken) : broken, kamailio, i);
    const payload = mutate(messages[i % messages.length] ?? Buffer.alloc(0), random);
    takeApart(scanSip(payload));
    // Most mutations break the envelope; these reach the scanner and the log for certain.
    if (payload.length < 60_000) intake.take(encodeHep({ ...envelope, payload }), kamailio, i);
    assert.ok(log.bytes <= limits.bytes && log.calls <= limits.calls);
  }
  const { received, decoded, refused } = intake.counters;
  assert.equal(received, decoded + Object.values(refused).reduce((sum, count) => sum + count, 0));
  for (const reason of ['notHep', 'truncated', 'overlong', 'badChunk', 'missingChunk', 'notSip'] as const) {
    assert.ok(refused[reason] > 0, `some were ${reason}`);
  }
  assert.ok(decoded > rounds / 4, `${decoded} were still readable`);
  assert.ok(ladder(log.messages('a84b4c76e66710', rounds)).length > 0);
});

test('a message that is all separators takes no longer than any other', () => {
  const prefix = 'INVITE sip:a@h SIP/2.0\r\nCall-ID: x\r\n';
  const startedMs = performance.now();
  for (const piece of [' ', ',', ';', '"', '\\', '<', '>', '\r\n ', '\n\t', 'a:', ',"', ' SIP/2.0', 'SIP / ', '"\\']) {
    for (const before of ['', `${prefix}Via: `, `${prefix}From: `, `${prefix}Contact: `, 'INVITE ', 'SIP/2.0 200 ']) {
      takeApart(scanSip(Buffer.from(before + piece.repeat(60_000 / piece.length))));
    }
  }
  // Each takes about a millisecond; anything quadratic in 60,000 takes minutes.
  assert.ok(performance.now() - startedMs < 10_000);
});
