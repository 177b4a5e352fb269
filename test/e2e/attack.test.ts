// Forged requests and garbage at every door of a farm that has a call up: refused, counted, named, and nothing else happens.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFile, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { statePaths } from '../../core/host/state-folder.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

describe('a farm under attack', () => {
  let farm: Farm;
  let alice: SipEndpoint;
  let call: OutgoingCall;
  let pids: Map<string, number>;

  before(async () => {
    farm = await Farm.up();
    // A copy of an INVITE goes where its slot points to: to the node of the call, if no slot moves meanwhile.
    await farm.whole();
    alice = await SipEndpoint.open({ address: farm.host(200), codecs: ['PCMA'] });
    call = await alice.invite(farm.uri('9001'));
    await call.answered();
    call.audio.sendTone(440);
    pids = await allPids();
  });
  after(async () => {
    await closeAll(alice);
    await farm.down();
  });

  const allPids = async (): Promise<Map<string, number>> => {
    const { daemon } = await farm.status();
    return new Map([['daemon', daemon.pid], ...(await farm.pids())]);
  };
  const counter = async (name: string): Promise<number> =>
    (await farm.status()).nodes.reduce((sum, node) => sum + (node.counters?.[name] ?? 0), 0);
  const residentKb = async (): Promise<number> => {
    const status = await readFile(`/proc/${pids.get('daemon') ?? 0}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  };
  /** Sends datagrams from an address to an address and port, and waits until the socket has taken them all. */
  const flood = async (
    from: string,
    to: string,
    port: number,
    datagrams: readonly (Buffer | string)[],
  ): Promise<void> => {
    const socket = createSocket('udp4');
    await new Promise<void>(resolve => socket.bind(0, from, resolve));
    for (const datagram of datagrams) {
      await new Promise<void>(resolve => socket.send(datagram, port, to, () => resolve()));
    }
    socket.close();
  };
  const honestCall = async (): Promise<void> => {
    const honest = await alice.invite(farm.uri('9001'));
    await honest.answered();
    honest.audio.sendTone(500);
    await honest.audio.hears(500);
    await honest.hangup();
  };
  const unharmed = async (): Promise<void> => {
    assert.deepEqual(await allPids(), pids, 'no process was restarted');
    // One that was slow to answer is suspect for a moment.
    await farm.whole();
    const { packets } = call.audio.report();
    await waitFor('the call that was up to be heard still', () => call.audio.report().packets > packets + 10);
    await honestCall();
  };

  test('forged in-dialog requests are refused and counted by name', { timeout: 60_000 }, async () => {
    const { dialog } = call;
    const vip = { address: farm.host(100), port: 5060 };
    const routes = dialog.routeSet.map(route => ['Route', route] as const);
    const forge = async (
      target: string,
      headers: readonly (readonly [string, string])[],
      callId = call.callId,
    ): Promise<number> => {
      const to = ['To', `<sip:9001@${farm.host(100)}>;tag=${dialog.remoteTag}`] as const;
      const reply = await alice.request('BYE', target, { proxy: vip, headers: [to, ['Call-ID', callId], ...headers] });
      return reply.status;
    };
    const target = dialog.remoteTarget;
    const altered = routes.map(([name, value]) => [name, value.replace(/hf=[^.]*/, 'hf=call-9')] as const);
    const sentAgain = alice.retransmissions;
    // What is sent again, as its answer is slow, is refused again.
    const isCounted = (name: string, of: number): Promise<unknown> =>
      waitFor(`${name} to move`, async () => (await counter(name)) === of + alice.retransmissions - sentAgain);
    const signatures = await counter('refused.signature');
    assert.equal(await forge(target, []), 403, 'without a Route');
    assert.equal(await forge(target, altered), 403, 'with an altered parameter');
    assert.equal(await forge(target, routes, 'another-call-id'), 403, 'with a Route of another Call-ID');
    await isCounted('refused.signature', signatures + 3);
    const hops = (await counter('refused.nexthop')) - (alice.retransmissions - sentAgain);
    assert.equal(await forge(`sip:victim@${farm.host(220)}:5060`, routes), 403, 'to a foreign Request-URI');
    const foreign = ['Route', `<sip:${farm.host(220)}:5060;lr>`] as const;
    assert.equal(await forge(target, [...routes, foreign]), 403, 'over a foreign Route');
    await isCounted('refused.nexthop', hops + 2);
    await unharmed();
  });

  test(
    'an unknown source is challenged, and the private VIP takes nothing from outside',
    { timeout: 30_000 },
    async () => {
      const stranger = await SipEndpoint.open({ address: farm.host(230), codecs: ['PCMA'] });
      try {
        const refused = await stranger.invite(farm.uri('9001'));
        assert.equal(await refused.rejected(), 407);
        const sources = await counter('refused.source');
        const invite = stranger.ladder.rows(refused.callId)[0]?.message.toString() ?? '';
        await stranger.sendRaw(invite.replace('branch=z9hG4bK', 'branch=z9hG4bKx'), {
          address: farm.host(101),
          port: 5060,
        });
        await waitFor('it to be counted', async () => (await counter('refused.source')) > sources);
      } finally {
        await stranger.close();
      }
    },
  );

  test(
    'garbage at each door moves a counter and nothing else; memory stays as it is',
    { timeout: 120_000 },
    async t => {
      const honest = alice.ladder.rows(call.callId)[0]?.message.toString() ?? '';
      assert.match(honest, /^INVITE /);
      const sizes: number[] = [];
      for (let round = 0; round < 3; round++) {
        await garbageEverywhere(honest);
        await unharmed();
        sizes.push(await residentKb());
      }
      t.diagnostic(`daemon after each round: ${sizes.map(size => `${Math.round(size / 1024)} MB`).join(', ')}`);
      assert.ok((sizes[2] ?? 0) < 1.25 * (sizes[0] ?? 0), 'memory is flat');
    },
  );

  const garbageEverywhere = async (honest: string): Promise<void> => {
    const noise = Array.from({ length: 200 }, (_, i) => randomBytes(1 + ((i * 37) % 1400)));
    const cut = Array.from({ length: 100 }, (_, i) => honest.slice(0, Math.floor((honest.length * i) / 100)));
    const twisted = [
      honest.replace(/^INVITE [^ ]+/, `INVITE sip:${'a'.repeat(5000)}@x`),
      honest.replace(/\r\nVia: /g, '\r\nVia: SIP/2.0/UDP 1.2.3.4;branch=z9hG4bKsr-!!!\r\nVia: '),
      honest.replace(/Content-Length: \d+/i, 'Content-Length: -5'),
      honest.replace(/\r\nContact: .*/, ''),
      honest.replace(/\r\nCSeq: .*/, '\r\nCSeq: 99999999999999 INVITE'),
      `${honest}\r\n${'X-Flood: y\r\n'.repeat(3000)}`,
      honest.replace(/\r\nContact: .*/, `\r\nContact: <sip:x@y;line=sr-${'%00'.repeat(50)}>`),
    ];
    const vip = farm.host(100);
    await flood(farm.host(200), vip, 5060, [...noise, ...cut, ...twisted, Buffer.alloc(60_000, 0x41)]);
    // The daemon's HEP door: a stranger's, and a Kamailio's own address with another key.
    const hep = Buffer.concat([Buffer.from('HEP3'), Buffer.from([0, 6])]);
    for (const from of [farm.host(240), farm.host(21)]) await flood(from, farm.host(2), 9060, [hep, ...noise]);
    await flood(farm.host(240), farm.host(91), 2223, noise);
    await flood(farm.host(240), farm.host(21), 8060, [...noise, '{"jsonrpc":"2.0","method":"core.kill', '[]', '{}']);
    await new Promise<void>(resolve => {
      const socket = createConnection(statePaths(farm.state).controlSocket);
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.end(Buffer.concat([...noise, Buffer.from('\n{"id":1,"op":"nosuch"}\n'), Buffer.alloc(100_000, 0x7b)]));
    });
  };

  // Nine commands, each a Node.js that starts: on a quarter of a core that is half a minute.
  test('garbage in a config or on the command line is a clear error', { timeout: 120_000 }, async () => {
    const file = join(farm.state, 'broken.yaml');
    const good = await readFile(farm.configFile, 'utf8');
    const broken: readonly (readonly [what: string, text: string | Buffer, said: RegExp])[] = [
      [
        'an unknown key',
        good.replace('  kamailio: 3', '  kamailoi: 3'),
        /broken\.yaml:\d+:\d+: .*did you mean "kamailio"/,
      ],
      ['a wrong type', good.replace('  kamailio: 3', '  kamailio: many'), /broken\.yaml:\d+:\d+: farm\.kamailio/],
      ['no YAML', 'a: [b\nc: }', /broken\.yaml:\d+:\d+/],
      ['octets', randomBytes(2000), /broken\.yaml/],
    ];
    for (const [what, text, said] of broken) {
      await writeFile(file, text);
      const { code, stderr } = await farm.cli(['check', file]);
      assert.equal(code, 1, what);
      assert.match(stderr, said, what);
      // A running farm refuses it too, and goes on with what it has.
    }
    await writeFile(farm.configFile, broken[0]?.[1] ?? '');
    const reload = await farm.cli(['reload']);
    assert.equal(reload.code, 1);
    assert.match(reload.stderr, /test\.yaml:\d+:\d+/);
    await writeFile(farm.configFile, good);
    for (const args of [['nosuch'], ['drain'], ['status', '--nosuch'], ['dispatcher', 'explode']]) {
      assert.equal((await farm.cli(args)).code, 2, args.join(' '));
    }
    await unharmed();
    await call.hangup();
    await farm.idle();
  });

  test(
    'who sends more calls than the nodes take is refused, an honest trunk is not, and it ends by itself',
    { timeout: 120_000 },
    async () => {
      const usual = await readFile(farm.configFile, 'utf8');
      await farm.reload(`${usual}\noverload: { callsPerSecond: 3 }\n`);
      const refused = async (): Promise<number> => counter('refused.overload');
      const uas = await Sipp.uas({ address: farm.host(208) });
      const calls = (host: number, rate: number, seconds: number, lenient: boolean): Promise<Sipp> =>
        Sipp.uac({
          ...{ address: farm.host(host), target: { address: farm.host(100), port: 5060 }, service: '70001' },
          ...{ rate, calls: rate * seconds, holdMs: 500, lenient },
        });
      const honest = await calls(201, 1, 20, true);
      // Before that it has no more of a node than any other, and one a second may be more than half of three.
      await waitFor('the honest calls to be usual', async () => (await honest.progress()).total >= 6, { everyMs: 200 });
      const flood = await calls(202, 20, 10, false);
      const limited = async (): Promise<boolean> =>
        (await farm.status()).overload.some(one => one.callsPerSecond === 3);
      await waitFor('it to be shown', limited, { deadlineMs: 30_000 });
      const loud = await flood.finished();
      assert.ok(loud.successful > 0 && loud.successful < 180, `${loud.successful} of ${loud.total} passed`);
      assert.match(loud.errors, /SIP\/2\.0 503 Overloaded[^]*?\r?\nRetry-After: [2-5]\r?\n/);
      assert.ok((await refused()) >= 20, `${await refused()} refused`);
      const { total, successful, errors } = await honest.finished();
      assert.equal(successful, total, errors.slice(0, 2_000));
      await waitFor('it to end', async () => (await farm.status()).overload.length === 0, { deadlineMs: 30_000 });
      // The daemon writes its log a moment after it has answered.
      const logged = async (what: string): Promise<readonly string[]> =>
        (await readFile(join(farm.state, 'log/daemon.log'), 'utf8')).split('\n').filter(line => line.includes(what));
      const begun = await logged('others are refused, of');
      const ends = async (): Promise<readonly string[]> => logged('takes all new calls again');
      await waitFor('each end to be logged', async () => (await ends()).length === begun.length);
      const lines = await ends();
      assert.ok(
        lines.every(line => !line.includes(`of trunk:lab@${farm.host(201)}`)),
        lines.join(),
      );
      assert.ok(
        lines.some(line => line.includes(`of trunk:lab@${farm.host(202)}`)),
        lines.join(),
      );
      await uas.stop();
      await farm.idle();
      assert.deepEqual(await allPids(), pids, 'no process was restarted');
    },
  );
});
