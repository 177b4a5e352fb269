// Whole messages: kept in a memory that does not grow, and written as a pcap that others read.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { writePcap } from '../../core/trace/pcap.js';
import { RawRing } from '../../core/trace/raw-ring.js';
import { readPcap } from '../harness/pcap.js';

describe('the ring of whole messages', () => {
  test('gives back what it keeps, and nothing in place of what is gone', () => {
    const ring = new RawRing(1_000);
    const kept = Array.from({ length: 200 }, (_, i) => {
      const message = Buffer.from(`${i} `.padEnd(1 + ((i * 37) % 90), 'x'));
      return { message, place: ring.add(message) ?? assert.fail() };
    });
    const found = kept.map(({ message, place }) => ring.get(place, message.length)?.equals(message));
    const first = found.indexOf(true);
    assert.ok(first > 170 && first < 195, `the first one that is left is ${first}`);
    assert.ok(found.slice(0, first).every(one => one === undefined));
    assert.ok(found.slice(first).every(one => one === true));
  });

  test('of no size keeps nothing, and a message that does not fit is not kept', () => {
    assert.equal(new RawRing(0).add(Buffer.from('x')), null);
    const ring = new RawRing(10);
    assert.equal(ring.add(Buffer.alloc(11)), null);
    const place = ring.add(Buffer.alloc(10, 'a')) ?? assert.fail();
    assert.equal(ring.get(place, 10)?.toString(), 'aaaaaaaaaa');
  });

  test('gives copies, which the next messages do not change', () => {
    const ring = new RawRing(10);
    const first = ring.get(ring.add(Buffer.from('first')) ?? assert.fail(), 5);
    ring.add(Buffer.from('overwrites'));
    assert.equal(first?.toString(), 'first');
  });
});

describe('a pcap of traced messages', () => {
  const invite = Buffer.from('INVITE sip:70001@h SIP/2.0\r\nCall-ID: c1\r\n\r\n');
  const packets = [
    { atMs: 1_700_000_000_123.456, source: '127.0.0.1:5060', destination: '10.0.0.1:5061', payload: invite },
    { atMs: 1_700_000_000_001, source: '192.0.2.1:5060', destination: '127.0.0.1:5060', payload: Buffer.from('odd') },
    { atMs: 1_700_000_000_200, source: '[2001:db8::1]:5060', destination: '[::1]:5070', payload: invite },
  ];

  test('has every packet with its time and ends, in order of time', () => {
    const read = readPcap(writePcap(packets));
    assert.deepEqual(
      read.map(({ source, sourcePort, destination, destinationPort, payload }) => [
        `${source}:${sourcePort}`,
        `${destination}:${destinationPort}`,
        payload.toString(),
      ]),
      [
        ['192.0.2.1:5060', '127.0.0.1:5060', 'odd'],
        ['127.0.0.1:5060', '10.0.0.1:5061', invite.toString()],
      ],
    );
    assert.ok(Math.abs((read[1]?.atMs ?? 0) - 1_700_000_000_123.456) < 0.001);
  });

  test('is read by tcpdump, with checksums that hold, IPv6 too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-pcap-'));
    try {
      const file = join(folder, 'call.pcap');
      writeFileSync(file, writePcap(packets));
      const text = execFileSync('tcpdump', ['-r', file, '-n', '-vvv', '-t'], { encoding: 'utf8', stdio: 'pipe' });
      assert.match(text, /IP6 .*2001:db8::1\.5060 > ::1\.5070/);
      assert.match(text, /127\.0\.0\.1\.5060 > 10\.0\.0\.1\.5061: \[udp sum ok\] SIP/);
      assert.doesNotMatch(text, /bad/);
      assert.equal(text.match(/udp sum ok/g)?.length, 3);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
