// The sentinel against real Kamailios and RTPEngines that die, freeze as a whole or in part, are flooded or cut off.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ports, type FarmNode } from '../../core/farm/farm-plan.js';
import { signal } from '../../core/host/process-table.js';
import { waitFor } from '../harness/wait-for.js';
import { JsonrpcClient } from '../../kamailio/jsonrpc-client.js';
import { EdgeLab } from './kamailio-lab.js';
import { cut } from '../harness/packet-cut.js';
import { Verdicts } from './verdicts.js';

describe('Kamailios and RTPEngines under the sentinel', () => {
  let lab: EdgeLab;
  let verdicts: Verdicts;
  let kamailio: FarmNode;
  let engine: FarmNode;
  let since = 0;
  let mend: (() => void) | undefined;

  before(async () => {
    lab = await EdgeLab.up();
    verdicts = await Verdicts.open(lab.plan.daemonAddress);
    [kamailio, engine] = [lab.nodes('kamailio')[0]!, lab.nodes('rtpengine')[0]!];
    for (const node of all()) verdicts.sentinel.watch(lab.watched(node));
    for (const { name } of all()) await verdicts.is(name, 'up');
  });
  after(async () => {
    try {
      await verdicts.sentinel.close();
    } finally {
      await lab.down();
    }
  });
  beforeEach(() => {
    since = verdicts.all.length;
  });
  afterEach(async () => {
    mend?.();
    for (const node of [kamailio, engine]) lab.signal(node, 'SIGCONT');
    for (const { name } of all()) await verdicts.is(name, 'up');
  });

  const all = (): FarmNode[] => [...lab.nodes('kamailio'), ...lab.nodes('rtpengine')];
  const heard = (): readonly string[] => verdicts.all.slice(since).map(({ name, health }) => `${name} ${health}`);
  const of = ({ name }: FarmNode): readonly string[] =>
    verdicts.all.slice(since).flatMap(verdict => (verdict.name === name ? [verdict.health] : []));
  const drop = (match: string): void => void (mend = cut(lab.plan, match));
  /** The processes of a Kamailio that read one of its sockets. */
  async function readersOf(node: FarmNode, address: string): Promise<number[]> {
    const client = new JsonrpcClient({ address: node.address, port: ports.rpc });
    const answer = await client.request('core.psx').finally(() => client.close());
    const shown = z.array(z.looseObject({ PID: z.number(), DSC: z.string() })).parse(answer);
    return shown.filter(({ DSC }) => DSC.includes(`sock=${address}:`)).map(({ PID }) => PID);
  }

  for (const which of ['a Kamailio', 'an RTPEngine'] as const) {
    const node = (): FarmNode => (which === 'a Kamailio' ? kamailio : engine);

    test(`${which} that freezes is dead after a second of silence`, async t => {
      const frozenMs = Date.now();
      lab.signal(node(), 'SIGSTOP');
      const { declaredMs, firstSignMs, reason } = await verdicts.is(node().name, 'dead');
      t.diagnostic(`dead ${declaredMs - frozenMs} ms after SIGSTOP: ${reason}`);
      assert.match(reason, /^silent on .* for 1\d{3} ms$/);
      assert.ok(declaredMs - frozenMs > 800 && declaredMs - frozenMs < 1_500);
      assert.ok(firstSignMs <= frozenMs + 20 && firstSignMs > frozenMs - 300);
      // One that may have traffic has to be out of it sooner.
      assert.deepEqual(of(node()), ['suspect', 'dead']);
    });

    test(`${which} that stutters, 300 ms at a time, is not dead`, async () => {
      for (let i = 0; i < 5; i++) {
        lab.signal(node(), 'SIGSTOP');
        await sleep(300);
        lab.signal(node(), 'SIGCONT');
        await sleep(100);
      }
      assert.ok(!heard().includes(`${node().name} dead`), heard().join());
    });

    test(`${which} that is cut off altogether is dead`, async () => {
      drop(`ip daddr { ${[node().address, node().external].join(', ')} }`);
      const { reason } = await verdicts.is(node().name, 'dead');
      assert.match(reason, /^silent on /);
    });

    test(`${which} that is killed is dead at once, and that is said once`, async t => {
      const killedMs = Date.now();
      signal(lab.host.process(node().name)!.pid, 'SIGKILL');
      const { declaredMs, reason } = await verdicts.is(node().name, 'dead');
      t.diagnostic(`dead ${declaredMs - killedMs} ms after SIGKILL: ${reason}`);
      assert.equal(reason, 'its process is gone');
      assert.ok(declaredMs - killedMs < 100);
      await lab.host.stop(node().name);
      assert.deepEqual(of(node()), ['dead']);
      await lab.start(node());
      verdicts.sentinel.watch(lab.watched(node()));
    });

    test(`${which} whose process cannot be seen is dead as soon as nobody serves its ports`, async t => {
      // Watched by the process of somebody else who lives on, as on another machine.
      const other = lab.watched(lab.nodes(node().farm)[1]!);
      verdicts.sentinel.watch({ ...lab.watched(node()), pid: other.pid, startTicks: other.startTicks });
      await waitFor('a verdict on the stranger', () => verdicts.last(node().name)?.pid === other.pid);
      const killedMs = Date.now();
      await lab.host.kill(node().name);
      const { declaredMs, reason } = await verdicts.is(node().name, 'dead');
      t.diagnostic(`dead ${declaredMs - killedMs} ms after SIGKILL: ${reason}`);
      assert.match(reason, /^nobody serves /);
      await lab.start(node());
      verdicts.sentinel.watch(lab.watched(node()));
    });
  }

  for (const side of ['outside', 'inside'] as const) {
    test(`a Kamailio whose processes at the ${side} are stuck is suspect, not dead`, async () => {
      const address = side === 'outside' ? kamailio.external! : kamailio.address;
      const readers = await readersOf(kamailio, address);
      assert.ok(readers.length > 1, `readers of ${address}: ${readers.join()}`);
      for (const pid of readers) signal(pid, 'SIGSTOP');
      const { reason } = await verdicts.is(kamailio.name, 'suspect');
      assert.equal(reason, `SIP ${side} is silent`);
      await sleep(2_000);
      assert.deepEqual(of(kamailio), ['suspect']);
    });
  }

  test('a Kamailio whose RPC alone is cut goes on', async () => {
    drop(`ip daddr ${kamailio.address} udp dport ${ports.rpc}`);
    await sleep(2_000);
    assert.deepEqual(of(kamailio), []);
  });

  test('an RTPEngine that the Kamailios cannot reach, and that lives, is suspect', async () => {
    drop(`ip daddr ${engine.address} udp dport ${ports.ng}`);
    const { reason } = await verdicts.is(engine.name, 'suspect');
    assert.equal(reason, 'ng is silent');
    await sleep(2_000);
    assert.deepEqual(of(engine), ['suspect']);
  });

  test('neither is dead that gets more than it can read', { timeout: 30_000 }, async t => {
    const socket = createSocket('udp4').on('message', () => undefined);
    t.after(() => void socket.close());
    socket.bind(0, lab.address(210));
    await once(socket, 'listening');
    const options = ['OPTIONS sip:x SIP/2.0', `Via: SIP/2.0/UDP ${lab.address(210)};branch=z9hG4bKx;rport`];
    options.push(
      'From: <sip:x@x>;tag=x',
      'To: <sip:x@x>',
      'Call-ID: x',
      'CSeq: 1 OPTIONS',
      'Content-Length: 0',
      '',
      '',
    );
    const packets = [
      ...[kamailio.external!, kamailio.address].map(address => ({
        address,
        port: ports.sip,
        text: options.join('\r\n'),
      })),
      { address: engine.address, port: ports.ng, text: 'x d7:command4:liste' },
    ];
    const endMs = performance.now() + 3_000;
    let sent = 0;
    while (performance.now() < endMs) {
      for (let i = 0; i < 50; i++)
        for (const { address, port, text } of packets) socket.send(text, port, address, () => undefined);
      sent += 50;
      await sleep(1);
    }
    t.diagnostic(
      `${sent} datagrams to each of ${packets.length} sockets in 3 s; verdicts: ${heard().join() || 'none'}`,
    );
    assert.ok(!heard().some(verdict => verdict.endsWith('dead')), heard().join());
  });
});
