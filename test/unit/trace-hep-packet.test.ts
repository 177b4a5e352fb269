// HEPv3 datagrams, read and written.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeHep, encodeHep, formatChunk, type HepFields, type HepPacket } from '../../core/trace/hep-packet.js';

const fields: HepFields = {
  source: { address: '127.40.0.200', port: 5062 },
  destination: { address: '127.40.0.11', port: 5060 },
  atMs: 1_767_225_600_123.456,
  payload: Buffer.from('OPTIONS sip:a SIP/2.0\r\n\r\n'),
  captureId: 3,
};

function read(datagram: Buffer): HepPacket {
  const decoded = decodeHep(datagram);
  assert.ok(decoded.ok, decoded.ok ? '' : decoded.refusal);
  return decoded.packet;
}

function refusal(datagram: Buffer): string {
  const decoded = decodeHep(datagram);
  return decoded.ok ? 'none' : decoded.refusal;
}

/** The chunks of a packet without its header, and a packet of chunks. */
const chunksOf = (datagram: Buffer): Buffer => datagram.subarray(6);
function packetOf(...chunks: Buffer[]): Buffer {
  const packet = Buffer.concat([Buffer.from('HEP3\0\0'), ...chunks]);
  packet.writeUInt16BE(packet.length, 4);
  return packet;
}

describe('a HEP packet', () => {
  test('comes back as it was written, to the microsecond', () => {
    const packet = read(encodeHep({ ...fields, authKey: 'k', correlationId: 'c', protocol: 6 }));
    assert.deepEqual(
      { ...packet, authKey: packet.authKey?.toString(), payload: packet.payload.toString() },
      {
        captureId: 3,
        protocol: 6,
        source: fields.source,
        destination: fields.destination,
        atMs: 1_767_225_600_123.456,
        payloadKind: 1,
        authKey: 'k',
        correlationId: 'c',
        payload: fields.payload.toString(),
      },
    );
  });

  test('is read from bytes that were written by hand', () => {
    const hex =
      '48455033' +
      '0066' + // "HEP3", 102 bytes
      '00000001000702' +
      '00000002000711' + // IPv4, UDP
      '00000003000a7f2800c8' +
      '00000004000a7f28000b' + // 127.40.0.200 → 127.40.0.11
      '00000007000813c6' +
      '00000008000813c4' + // 5062 → 5060
      '00000009000a00000001' +
      '0000000a000a000003e8' + // 1 s, 1000 µs
      '0000000b000701' +
      '0000000c000a00000007' + // SIP, capture id 7
      '0000000f0009616263'; // "abc"
    const packet = read(Buffer.from(hex, 'hex'));
    assert.equal(packet.atMs, 1001);
    assert.equal(packet.captureId, 7);
    assert.deepEqual(packet.source, fields.source);
    assert.deepEqual(packet.destination, fields.destination);
    assert.equal(packet.payload.toString(), 'abc');
  });

  for (const address of [
    '::1',
    '::',
    '2001:db8::1',
    'fe80::1:0:0:a',
    '2001:db8:0:1:1:1:1:1',
    '1:2:3:4:5:6:7:0',
    '1::',
  ]) {
    test(`writes the IPv6 address ${address} as RFC 5952 does`, () => {
      const end = { address, port: 5060 };
      assert.equal(read(encodeHep({ ...fields, source: end, destination: end })).source.address, address);
    });
  }

  test('may have chunks of other vendors and of unknown types', () => {
    const strange = [formatChunk(3, Buffer.from('not an address'), 42), formatChunk(999, Buffer.from('x'))];
    const packet = read(packetOf(...strange, chunksOf(encodeHep(fields)), ...strange));
    assert.deepEqual(packet.source, fields.source);
  });
});

describe('what is no HEP packet is refused with the reason', () => {
  const good = encodeHep(fields);
  const without = (type: number): Buffer => {
    const kept: Buffer[] = [];
    for (let at = 6; at < good.length; at += good.readUInt16BE(at + 4)) {
      if (good.readUInt16BE(at + 2) !== type) kept.push(good.subarray(at, at + good.readUInt16BE(at + 4)));
    }
    return packetOf(...kept);
  };
  const cases: [string, Buffer, string][] = [
    ['an empty datagram', Buffer.alloc(0), 'notHep'],
    ['SIP', fields.payload, 'notHep'],
    ['HEPv2', Buffer.from([2, 16, 2, 17, 0, 0, 0, 0]), 'notHep'],
    ['a packet cut short', good.subarray(0, -1), 'truncated'],
    ['bytes behind the packet', Buffer.concat([good, Buffer.from('x')]), 'overlong'],
    ['a chunk longer than the packet', packetOf(chunksOf(good), Buffer.from('00000063ffff', 'hex')), 'badChunk'],
    ['a chunk shorter than its header', packetOf(chunksOf(good), Buffer.from('000000630005', 'hex')), 'badChunk'],
    ['half a chunk header', packetOf(chunksOf(good), Buffer.from('0000', 'hex')), 'badChunk'],
    ['an address of five bytes', packetOf(without(3).subarray(6), formatChunk(3, Buffer.alloc(5))), 'badChunk'],
    ['two payloads', packetOf(chunksOf(good), formatChunk(15, Buffer.from('x'))), 'badChunk'],
    [
      'a second of 2 million µs',
      packetOf(without(10).subarray(6), formatChunk(10, Buffer.from('001e8480', 'hex'))),
      'badChunk',
    ],
    ['no payload', without(15), 'missingChunk'],
    ['no source', without(3), 'missingChunk'],
    ['no time', without(9), 'missingChunk'],
    ['no chunk at all', packetOf(), 'missingChunk'],
  ];
  for (const [what, datagram, reason] of cases) {
    test(`${what}: ${reason}`, () => assert.equal(refusal(datagram), reason));
  }
});
