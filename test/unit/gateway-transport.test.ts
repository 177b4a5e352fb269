// Gateways on TCP and TLS: how a config writes them, what the edge is told, and which certificates are theirs.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readGatewayAddress } from '../../core/config/gateway-address.js';
import { ownCertificate } from '../../core/farm/edge-certificate.js';
import { gatewaysOf } from '../../core/trunks/gateway-list.js';
import { certificatePattern } from '../../kamailio/certificate-pattern.js';

describe('a gateway in a config', () => {
  const read = (text: string, usual: 'udp' | 'tcp' | 'tls' = 'udp'): string => {
    const reading = readGatewayAddress(text, '127.40.0.0/24', usual);
    return 'wrong' in reading
      ? `wrong: ${reading.wrong}`
      : `${reading.value.address}${reading.value.isDomain ? ' SRV' : ''}`;
  };

  test('has the transport of its URI, else of its trunk, and the port of that', () => {
    assert.equal(read('sip.example.net'), 'sip.example.net:5060 SRV');
    assert.equal(read('sip.example.net', 'tls'), 'sip.example.net:5061;transport=tls SRV');
    assert.equal(read('sip:.208;transport=TCP', 'tls'), '127.40.0.208:5060;transport=tcp');
    assert.equal(read('sips:sip.example.net:5070'), 'sip.example.net:5070;transport=tls');
    assert.equal(read('192.0.2.1;transport=udp', 'tls'), '192.0.2.1:5060');
  });

  test('is refused where nobody could know what is meant', () => {
    assert.match(read('sips:a.example;transport=udp'), /sips is TLS over TCP/);
    assert.match(read('a.example;transport=ws'), /its transport is udp, tcp or tls/);
    assert.match(read('a.example;lr'), /only transport is known/);
    assert.match(read('sip:us@a.example'), /is not a gateway/);
  });

  test('keeps transport and id where SRV records say that it is several', () => {
    const config = {
      address: 'a.example:5061;transport=tls',
      id: 'g',
      priority: 1,
      weight: 1,
      srv: '_sips._tcp.a.example',
    };
    const records = [{ name: 'one.a.example', port: 5071, priority: 5, weight: 0 }];
    const [found] = gatewaysOf([config], name => (name === '_sips._tcp.a.example' ? records : []));
    assert.deepEqual([found?.address, found?.id], ['one.a.example:5071;transport=tls', 'g']);
  });
});

describe('the name in a certificate', () => {
  test('is the gateway’s, in capitals too, or a wildcard for its first label', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-names-'));
    try {
      const has = async (domain: string): Promise<(name: string) => boolean> => {
        const made = await ownCertificate(join(folder, domain.replace('*', 'any')), {
          domain,
          publicVip: '192.0.2.10',
        });
        const hex = new X509Certificate(made.certificate).raw.toString('hex');
        return name => new RegExp(certificatePattern(name)).test(hex);
      };
      const plain = await has('Sip.Provider.example');
      for (const name of ['sip.provider.example', 'SIP.provider.example', '192.0.2.10']) assert.ok(plain(name), name);
      for (const name of [
        'provider.example',
        'xsip.provider.example',
        'sip.provider.exampl',
        '192.0.2.1',
        '192.0.2.101',
      ])
        assert.ok(!plain(name), name);
      const wild = await has('*.pstn.example');
      assert.ok(wild('frankfurt.pstn.example'));
      for (const name of ['pstn.example', 'a.b.pstn.example', 'a.other.example']) assert.ok(!wild(name), name);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
