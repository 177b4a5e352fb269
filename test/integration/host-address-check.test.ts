// The address check against real sockets.
import { describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { HoldfastError } from '../../core/errors.js';
import { planFarm } from '../../core/farm/farm-plan.js';
import { checkAddresses, nodeAddresses, planAddresses } from '../../core/host/address-check.js';

const plan = planFarm('127.66.1.0/24', { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 1 });
const needed = [...planAddresses(plan), ...nodeAddresses(plan.nodes)];

function taken(pattern: RegExp): (error: unknown) => boolean {
  return error => {
    assert.ok(HoldfastError.is(error, 'ADDRESS_TAKEN'));
    assert.match(error.message, pattern);
    assert.equal(error.details['pid'], process.pid);
    assert.match(error.remedy ?? '', new RegExp(`kill ${process.pid}.*--subnet`));
    return true;
  };
}

describe('the address check', () => {
  it('finds the addresses of a farm free', () => {
    checkAddresses(needed);
  });

  it('names the process that holds a UDP port', async t => {
    const socket = createSocket('udp4').bind(5060, '127.66.1.31');
    t.after(() => void socket.close());
    await once(socket, 'listening');
    assert.throws(
      () => checkAddresses(needed),
      taken(/^call-1 needs 127\.66\.1\.31:5060\/udp, but process \d+ \(.*node/),
    );
  });

  it('sees a TCP listener, and one that listens on every address', async t => {
    const ari = createServer().listen(8088, '127.66.1.51');
    t.after(() => void ari.close());
    await once(ari, 'listening');
    assert.throws(() => checkAddresses(needed), taken(/^conference-1 needs 127\.66\.1\.51:8088\/tcp/));
    const everywhere = createSocket('udp4').bind(0, '0.0.0.0');
    t.after(() => void everywhere.close());
    await once(everywhere, 'listening');
    const { port } = everywhere.address();
    const need = { protocol: 'udp', address: '127.66.1.31', port, owner: 'call-1' } as const;
    assert.throws(() => checkAddresses([need]), taken(/^call-1 needs .*every address/));
  });

  it('does not mind the same port on another address, nor a connection of the same port', async t => {
    const elsewhere = createSocket('udp4').bind(5060, '127.66.1.39');
    t.after(() => void elsewhere.close());
    await once(elsewhere, 'listening');
    checkAddresses(needed);
  });
});
