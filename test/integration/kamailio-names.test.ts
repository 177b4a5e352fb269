// Hosts that only have a name while DNS says nothing. Those of trunks the daemon has told. For any other (a Contact's) a Kamailio asks in the process that has the request, and all others wait behind it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ports, type FarmNode } from '../../core/farm/farm-plan.js';
import type { NodeRenderer } from '../../core/ports/node-host.js';
import { closeAll } from '../harness/close-all.js';
import { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab } from './kamailio-lab.js';

/** As many as there are processes that take requests inside. */
const names = Array.from({ length: 8 }, (_, i) => `gateway${i}.example:${ports.sip}`);

describe('a name server that says nothing', () => {
  let lab: EdgeLab;
  let folder: string;
  let kamailio: FarmNode;
  let daemon: Socket | undefined;
  let nameServer: Socket | undefined;
  let queries = 0;
  const answered = new Map<string, SipMessage>();

  before(async () => {
    lab = await EdgeLab.up();
    folder = await mkdtemp(join(tmpdir(), 'holdfast-names-'));
    nameServer = await bound(53, lab.address(53));
    nameServer.on('message', () => queries++);
    daemon = await bound(0, lab.plan.daemonAddress);
    daemon.on('message', data => {
      const message = SipMessage.parse(data);
      if (message) answered.set(message.callId, message);
    });
    [kamailio] = lab.nodes('kamailio') as [FarmNode];
    const resolver = join(folder, 'resolv.conf');
    await writeFile(resolver, `nameserver ${lab.address(53)}\nsearch a.test b.test\n`);
    await lab.host.stop(kamailio.name);
    await lab.start(kamailio, withResolver(lab.renderer, resolver));
    await isAnswered('a start');
  });
  after(async () => {
    await closeAll(daemon, nameServer);
    await lab.down();
    await rm(folder, { recursive: true });
  });

  function send(uri: string, id: string, route: readonly string[]): void {
    assert.ok(daemon);
    const { port, address } = daemon.address();
    const lines = [
      `OPTIONS ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${address}:${port};branch=z9hG4bK${id};rport`,
      ...['Max-Forwards: 5', `From: <sip:${address}>;tag=${id}`, `To: <${uri}>`, `Call-ID: ${id}`, 'CSeq: 1 OPTIONS'],
      ...[...route, 'Content-Length: 0', '', ''],
    ];
    daemon.send(lines.join('\r\n'), ports.sip, kamailio.address);
  }

  async function isAnswered(what: string, deadlineMs = 15_000): Promise<void> {
    const id = what.replace(' ', '-');
    await waitFor(
      `an answer after ${what}`,
      () => {
        if (!answered.has(id)) send(`sip:${kamailio.address}:${ports.sip}`, id, []);
        return answered.has(id);
      },
      { everyMs: 100, deadlineMs, describe: () => lab.logs() },
    );
  }

  /** How many wait for an answer of the name server: each by a socket that is connected to it, as ss(8) tells it. */
  function waiting(): number {
    const shown = execFileSync('ss', ['-Hun', 'dst', lab.address(53), 'dport', '= :53'], { encoding: 'utf8' });
    return shown.split('\n').filter(line => line !== '').length;
  }

  const through = (): readonly string[] => [`Route: <sip:${lab.plan.privateVip}:${ports.sip};lr>`];

  function callAll(round: string): void {
    names.forEach((name, i) => send(`sip:${name}`, `${round}${i}`, through()));
  }

  for (const [uri, row] of [
    ['sip:Sip.Carrier.example:5070', {}],
    ['sip:carrier.example', { name: 'carrier.example', port: 5070 }],
  ] as const) {
    test(`is not asked where the daemon knows the host: ${uri}`, async () => {
      const gateway = await bound(5070, lab.address(208));
      const heard: SipMessage[] = [];
      gateway.on('message', data => heard.push(SipMessage.parse(data) as SipMessage));
      try {
        const hosts = [{ name: 'sip.carrier.example', address: lab.address(208), ...row }];
        await lab.edge.apply({ ...lab.state, hosts });
        send(uri, 'known', through());
        await waitFor('the gateway to hear it', () => heard.length > 0, { describe: () => lab.logs() });
      } finally {
        gateway.close();
      }
      assert.match(heard[0]?.startLine ?? '', new RegExp(`^OPTIONS ${uri} `));
      assert.equal(queries, 0);
    });
  }

  test('is not asked where the daemon has asked in vain: the caller may try the next gateway', async () => {
    await lab.edge.apply({ ...lab.state, hosts: [{ name: 'sip.carrier.example', address: undefined }] });
    send('sip:sip.carrier.example:5070', 'unknown', through());
    await waitFor('the answer', () => answered.has('unknown'), { describe: () => lab.logs() });
    assert.equal(answered.get('unknown')?.status, 503);
    assert.equal(queries, 0);
  });

  test('is asked once for each name, and not again while that is remembered; then the Kamailio goes on', async t => {
    const sinceMs = performance.now();
    callAll('first');
    await waitFor('it to be asked', () => queries > 0, { describe: () => lab.logs() });
    // By Kamailio's defaults, which ask four times, and by the search list too: after forty seconds.
    await isAnswered('silence');
    t.diagnostic(`everything else waited ${Math.round(performance.now() - sinceMs)} ms`);
    // The others may be about to ask, and remember nothing while they wait.
    const isOver = (): boolean => queries >= names.length && waiting() === 0;
    await waitFor('all names to be given up', isOver, { describe: () => `${queries} queries, ${waiting()} wait` });
    assert.equal(queries, names.length);
    callAll('second');
    await isAnswered('another try');
    assert.equal(queries, names.length);
  });
});

function bound(port: number, address: string): Promise<Socket> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject).bind(port, address, () => resolve(socket));
  });
}

/** The Kamailio sees another /etc/resolv.conf, by a mount namespace of its own. */
function withResolver(renderer: NodeRenderer, resolver: string): NodeRenderer {
  return {
    voices: node => renderer.voices(node),
    setup: (node, folder) => {
      const setup = renderer.setup(node, folder);
      const { command, args } = setup.process;
      const mounted = `mount --bind ${resolver} /etc/resolv.conf && exec "$0" "$@"`;
      return {
        ...setup,
        process: { ...setup.process, command: 'unshare', args: ['-m', 'sh', '-c', mounted, command, ...args] },
      };
    },
  };
}
