// A name server for daemons of a test: `carrier.test` has two gateways on TLS by its SRV records, of which one is not there.
import { spawn, type ChildProcess } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeSubnet } from './free-subnet.js';
import { waitFor } from './wait-for.js';

const port = 5353;

export class CarrierNames {
  /** Preferred, and nobody is there. */
  readonly dead = 'dead.carrier.test';
  readonly backup = 'backup.carrier.test';
  readonly backupAddress: string;
  readonly #server: ChildProcess;
  readonly #options: string | undefined;

  private constructor(server: ChildProcess, backupAddress: string) {
    this.#server = server;
    this.#options = process.env['NODE_OPTIONS'];
    this.backupAddress = backupAddress;
  }

  /** Whatever node is started by this process until `close` asks it. */
  static async serve(): Promise<CarrierNames> {
    const subnet = await freeSubnet();
    const [address, dead, backup] = [53, 1, 2].map(host => subnet.host(host)) as [string, string, string];
    const server = spawn('dnsmasq', [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file', '--user=root'],
      ...['--bind-interfaces', `--listen-address=${address}`, `--port=${port}`, '--local=/test/'],
      ...[
        '--srv-host=_sips._tcp.carrier.test,backup.carrier.test,5071,20,0',
        '--srv-host=_sips._tcp.carrier.test,dead.carrier.test,5071,10,0',
      ],
      ...[`--host-record=dead.carrier.test,${dead}`, `--host-record=backup.carrier.test,${backup}`],
    ]);
    const names = new CarrierNames(server, backup);
    const resolver = new Resolver({ timeout: 500, tries: 2 });
    resolver.setServers([`${address}:${port}`]);
    const answers = (): Promise<boolean> =>
      resolver.resolveSrv('_sips._tcp.carrier.test').then(
        ({ length }) => length === 2,
        () => false,
      );
    await waitFor('the name server', answers);
    const preload = join(await mkdtemp(join(tmpdir(), 'holdfast-names-')), 'names.mjs');
    const servers = JSON.stringify([`${address}:${port}`]);
    await writeFile(
      preload,
      `import { Resolver } from 'node:dns/promises';
for (const name of ['resolveSrv', 'resolve4']) {
  const asked = Resolver.prototype[name];
  Resolver.prototype[name] = function (...question) {
    this.setServers(${servers});
    return asked.apply(this, question);
  };
}
`,
    );
    process.env['NODE_OPTIONS'] = `--import=${preload}`;
    return names;
  }

  async close(): Promise<void> {
    if (this.#options === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = this.#options;
    if (this.#server.exitCode !== null) return;
    this.#server.kill();
    await once(this.#server, 'exit');
  }
}
