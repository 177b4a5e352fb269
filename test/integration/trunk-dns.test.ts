// Gateways by name against a real name server: SRV priorities, addresses, a name without records, and a name server that is gone.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { test } from 'node:test';
import { silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { TrunkConfig } from '../../core/config/holdfast-config.js';
import { gatewaysOf, orderFor } from '../../core/trunks/gateway-list.js';
import { TrunkNames } from '../../core/trunks/trunk-names.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { waitFor } from '../harness/wait-for.js';

const port = 5353;
const records = [
  '_sip._udp.carrier.test,backup.carrier.test,5070,20,0',
  '_sip._udp.carrier.test,one.carrier.test,5060,10,5',
  '_sip._udp.carrier.test,two.carrier.test,5080,10,0',
];

test('SRV records are those of the name server, and stay when it has gone', { timeout: 30_000 }, async () => {
  const address = (await freeSubnet()).host(53);
  const server = spawn('dnsmasq', [
    ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file', '--user=root'],
    ...['--bind-interfaces', `--listen-address=${address}`, `--port=${port}`, '--local=/test/'],
    ...records.map(one => `--srv-host=${one}`),
    '--host-record=host.test,192.0.2.7',
  ]);
  const failed = new Promise<never>((_, reject) => server.once('error', reject));
  try {
    const resolver = new Resolver({ timeout: 3_000, tries: 2 });
    resolver.setServers([`${address}:${port}`]);
    await Promise.race([
      failed,
      waitFor('the name server', () =>
        resolver.resolve4('host.test').then(
          () => true,
          () => false,
        ),
      ),
    ]);
    const gateway = (name: string, priority: number) => ({
      ...{ address: `${name}:5060`, priority, weight: 1 },
      srv: `_sip._udp.${name}`,
    });
    const names = [gateway('carrier.test', 1), gateway('host.test', 2), gateway('nobody.test', 3)];
    const known = new TrunkNames({
      trunks: () => [{ gateways: names } as unknown as TrunkConfig],
      changed: () => undefined,
      dns: {
        srv: name => resolver.resolveSrv(name),
        addresses: name => resolver.resolve4(name, { ttl: true }),
      },
      ...{ store: openMemoryStore(), log: silentLogger },
    });
    const order = (): readonly string[] =>
      orderFor(gatewaysOf(names, known.srv), () => 0).map(({ address }) => address);
    const expected = ['one.carrier.test:5060', 'two.carrier.test:5080', 'backup.carrier.test:5070'];
    await known.look(0);
    assert.deepEqual(order(), [...expected, 'host.test:5060', 'nobody.test:5060']);
    const found = (): string | null | undefined => known.host('host.test:5060')?.address;
    assert.equal(found(), '192.0.2.7');
    assert.equal(known.host('nobody.test:5060')?.address, null);
    server.kill();
    await once(server, 'exit');
    await known.look(120_000);
    assert.deepEqual(order().slice(0, 3), expected);
    assert.equal(found(), '192.0.2.7');
    assert.match(known.host('host.test:5060')?.trouble ?? '', /ECONNREFUSED/);
  } finally {
    server.kill('SIGKILL');
  }
});
