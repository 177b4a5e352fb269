// A network namespace behind an Ethernet of 1,500 octets: what is longer arrives in fragments, which the loopback never makes.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { FarNetwork } from './sipp-party.js';

/** One pair of addresses of the range for such tests (RFC 2544, 198.18.0.0/15) for each process. */
export class Ethernet implements FarNetwork {
  readonly namespace: string;
  readonly publicVip: string;
  readonly address: string;
  readonly #link: string;

  constructor() {
    const number = process.pid % 16_384;
    const base = `198.18.${number >> 6}.`;
    const first = (number & 63) * 4;
    this.namespace = `holdfast-${process.pid}`;
    this.#link = `hf${process.pid}`;
    this.publicVip = `${base}${first + 1}`;
    this.address = `${base}${first + 2}`;
  }

  open(): void {
    const [link, far, ns] = [this.#link, `${this.#link}f`, this.namespace];
    ip('netns', 'add', ns);
    ip('link', 'add', link, 'mtu', '1500', 'type', 'veth', 'peer', 'name', far, 'mtu', '1500', 'netns', ns);
    ip('addr', 'add', `${this.publicVip}/30`, 'dev', link);
    ip('link', 'set', link, 'up');
    ip('-n', ns, 'addr', 'add', `${this.address}/30`, 'dev', far);
    for (const device of ['lo', far]) ip('-n', ns, 'link', 'set', device, 'up');
  }

  /** How many datagrams were put together from fragments so far: here, and at the far end (ReasmOKs of /proc/net/snmp). */
  reassembled(): readonly [here: number, far: number] {
    const far = execFileSync('ip', ['netns', 'exec', this.namespace, 'cat', '/proc/net/snmp'], { encoding: 'utf8' });
    return [reassembledOf(readFileSync('/proc/net/snmp', 'utf8')), reassembledOf(far)];
  }

  /** The pair of devices goes with its namespace. */
  close(): void {
    ip('netns', 'delete', this.namespace);
  }
}

function reassembledOf(snmp: string): number {
  const [names = [], values = []] = snmp
    .split('\n')
    .filter(line => line.startsWith('Ip:'))
    .map(line => line.split(' '));
  return Number(values[names.indexOf('ReasmOKs')]);
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
