// The names of gateways: what DNS has said of them stays when it says nothing more, over a restart too, and ends when it says that there is nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TrunkConfig } from '../../core/config/holdfast-config.js';
import { silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { SrvRecord } from '../../core/trunks/gateway-list.js';
import { TrunkNames } from '../../core/trunks/trunk-names.js';

const srv = (name: string, port: number, priority: number): SrvRecord => ({ name, port, priority, weight: 0 });

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

/** A daemon and its name server; a name without an entry does not exist. */
function daemon(addresses: readonly string[], store = openMemoryStore()) {
  const zone = new Map<string, readonly string[]>();
  const services = new Map<string, readonly SrvRecord[]>();
  const parts = { isMute: false, ttl: 60, asked: [] as string[], changes: 0, addresses };
  const answer = async <T>(name: string, records: ReadonlyMap<string, readonly T[]>): Promise<readonly T[]> => {
    parts.asked.push(name);
    if (parts.isMute) throw failure('ETIMEOUT');
    const found = records.get(name);
    if (found === undefined) throw failure('ENOTFOUND');
    return found;
  };
  const gateway = (address: string) => {
    const isDomain = !/:\d/.test(address);
    const port = isDomain ? `${address}:5060` : address;
    return { address: port, priority: 1, weight: 1, ...(isDomain ? { srv: `_sip._udp.${address}` } : {}) };
  };
  const names = new TrunkNames({
    trunks: () => [{ gateways: parts.addresses.map(gateway) } as unknown as TrunkConfig],
    changed: () => parts.changes++,
    dns: {
      srv: name => answer(name, services),
      addresses: async name => (await answer(name, zone)).map(address => ({ address, ttl: parts.ttl })),
    },
    ...{ store, log: silentLogger },
  });
  return { names, zone, services, parts, store };
}

describe('the host of a gateway', () => {
  test('is asked for again when its time is over, and the Kamailios are told what has changed', async () => {
    const { names, zone, parts } = daemon(['host.test:5070']);
    zone.set('host.test', ['192.0.2.1']);
    parts.ttl = 100;
    await names.start();
    try {
      const now = Date.now();
      assert.deepEqual(names.rows(), [{ name: 'host.test', address: '192.0.2.1' }]);
      zone.set('host.test', ['192.0.2.2']);
      await names.look(now + 90_000);
      assert.deepEqual([parts.asked.length, parts.changes], [1, 0]);
      await names.look(now + 110_000);
      assert.deepEqual(names.rows(), [{ name: 'host.test', address: '192.0.2.2' }]);
      assert.equal(parts.changes, 1);
    } finally {
      names.close();
    }
  });

  test('is where it was while DNS says nothing, and so for the next daemon; that it says nothing is shown', async () => {
    const { names, zone, services, parts, store } = daemon(['carrier.test']);
    services.set('_sip._udp.carrier.test', [srv('b.test', 5080, 20), srv('a.test', 5070, 10)]);
    zone.set('a.test', ['192.0.2.1']).set('b.test', ['192.0.2.2']);
    const rows = [
      { name: 'a.test', address: '192.0.2.1' },
      { name: 'b.test', address: '192.0.2.2' },
      { name: 'carrier.test', address: '192.0.2.1', port: 5070 },
    ];
    await names.look(0);
    assert.deepEqual(names.rows(), rows);
    parts.isMute = true;
    await names.look(1_000_000);
    assert.deepEqual(names.rows(), rows);
    assert.deepEqual(names.host('a.test:5070'), { name: 'a.test', address: '192.0.2.1', trouble: 'ETIMEOUT' });
    const next = daemon(['carrier.test'], store);
    next.parts.isMute = true;
    await next.names.start();
    next.names.close();
    assert.deepEqual(next.names.rows(), rows);
  });

  test('is known to be nowhere where nobody has ever said where, and no more where DNS says that there is none', async () => {
    const { names, zone } = daemon(['host.test:5070', '192.0.2.9:5060']);
    assert.deepEqual(names.rows(), [{ name: 'host.test', address: undefined }]);
    zone.set('host.test', ['192.0.2.1']);
    await names.look(0);
    assert.equal(names.host('HOST.test:5070')?.address, '192.0.2.1');
    zone.clear();
    await names.look(1_000_000);
    assert.deepEqual(names.rows(), [{ name: 'host.test', address: undefined }]);
    assert.equal(names.host('192.0.2.9:5060'), undefined);
  });

  test('stays at one of several addresses, until nobody answers there', async () => {
    const { names, zone } = daemon(['host.test:5070']);
    zone.set('host.test', ['192.0.2.3', '192.0.2.1', '192.0.2.2']);
    await names.look(0);
    const address = (): string | null | undefined => names.host('host.test:5070')?.address;
    const first = address();
    for (const turned of [
      ['192.0.2.1', '192.0.2.2', '192.0.2.3'],
      ['192.0.2.2', '192.0.2.3', '192.0.2.1'],
    ]) {
      zone.set('host.test', turned);
      await names.look(1_000_000);
      assert.equal(address(), first);
    }
    const seen = new Set([first]);
    for (let i = 0; i < 2; i++) {
      names.avoid('host.test:5070');
      seen.add(address());
    }
    assert.equal(seen.size, 3);
  });

  test('is used, and asked for again, while the store takes nothing: only the next daemon does not know it', async () => {
    const store = openMemoryStore();
    let isFull = true;
    const full: typeof store = Object.create(store, {
      table: {
        value: (name: string, schema: Parameters<typeof store.table>[1]) =>
          new Proxy(store.table(name, schema), {
            get: (table, key) => {
              const value: unknown = Reflect.get(table, key);
              if (typeof value !== 'function') return value;
              const refuses = key === 'put' || key === 'delete';
              return (...args: unknown[]) =>
                refuses && isFull
                  ? Promise.reject(new Error('no space left'))
                  : (Reflect.apply(value, table, args) as unknown);
            },
          }),
      },
    }) as typeof store;
    const { names, zone } = daemon(['host.test:5070'], full);
    zone.set('host.test', ['192.0.2.1']);
    await names.look(0);
    assert.equal(names.host('host.test:5070')?.address, '192.0.2.1');
    zone.delete('host.test');
    await names.look(20_000);
    assert.equal(names.host('host.test:5070')?.address, null);
    isFull = false;
    zone.set('host.test', ['192.0.2.2']);
    await names.look(40_000);
    assert.equal(names.host('host.test:5070')?.address, '192.0.2.2');
  });

  test('is forgotten with its trunk', async () => {
    const { names, zone, parts, store } = daemon(['host.test:5070']);
    zone.set('host.test', ['192.0.2.1']);
    await names.look(0);
    parts.addresses = [];
    await names.look(1);
    assert.deepEqual(names.rows(), []);
    const next = daemon(['host.test:5070'], store);
    next.parts.isMute = true;
    await next.names.start();
    next.names.close();
    assert.equal(next.names.host('host.test:5070')?.address, null);
  });
});
