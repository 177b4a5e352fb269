// What the ng client and the engine pool rely on, asserted alike against our fake and the real rtpengine.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, describe, it } from 'node:test';
import { HoldfastError } from '../../core/errors.js';
import type { FarmNode } from '../../core/farm/farm-plan.js';
import { NgClient } from '../../rtpengine/ng-client.js';
import { EnginePool } from '../../rtpengine/node-pool.js';
import { FakeRtpengine } from '../fakes/fake-rtpengine.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { makeSession } from '../harness/make-session.js';
import { startRtpengine, type RtpengineServer } from '../harness/rtpengine-server.js';

async function startFake(node: FarmNode): Promise<RtpengineServer> {
  const fake = await FakeRtpengine.start(node.address);
  return { stop: async () => fake.stop() };
}

for (const [kind, start] of [['fake', startFake] as const, ['real', startRtpengine] as const]) {
  describe(`ng, ${kind} rtpengine`, () => {
    let node: FarmNode;
    let engine: RtpengineServer;
    let client: NgClient;
    let garbage = 0;

    before(async () => {
      const subnet = await freeSubnet();
      node = { name: 'rtpengine-1', farm: 'rtpengine', index: 1, address: subnet.host(91), external: subnet.host(81) };
      engine = await start(node);
      client = new NgClient({
        host: node.address,
        port: 2223,
        localAddress: subnet.host(2),
        onGarbage: () => garbage++,
      });
    });
    after(async () => {
      client.close();
      await engine.stop();
    });

    it('answers ping', async () => client.ping());

    it('counts sessions, and the statistics asked for', async () => {
      const first = await client.statistics();
      await makeSession(node.address, 'counted');
      const second = await client.statistics();
      assert.equal(second.sessions, first.sessions + 1);
      // A request whose answer is late is asked again.
      assert.ok(second.statisticsRequests > first.statisticsRequests);
      assert.ok(second.uptimeSeconds < 60);
      await client.delete('counted');
    });

    it('lists, queries and deletes a session by its Call-ID', async () => {
      await makeSession(node.address, 'a@b;c');
      assert.deepEqual(await client.list(10), ['a@b;c']);
      const found = await client.query('a@b;c');
      assert.ok(found && 'alice' in (found['tags'] as object));
      assert.equal(await client.delete('a@b;c'), true);
      assert.deepEqual(await client.list(10), []);
    });

    it('knows nothing of a Call-ID it never had', async () => {
      assert.equal(await client.query('never'), undefined);
      assert.equal(await client.delete('never'), false);
    });

    it('survives garbage at its ng port', async t => {
      const stranger = createSocket('udp4');
      t.after(() => void stranger.close());
      for (const junk of ['', 'x', 'cookie d7:command4:pin', '\0\xff\0', 'c d7:command999999999:e']) {
        stranger.send(Buffer.from(junk, 'latin1'), 2223, node.address);
      }
      await client.ping();
    });

    it('is seen to restart on the same address, and only then', async t => {
      const restarted: string[] = [];
      const pool = new EnginePool([node]);
      t.after(() => pool.close());
      pool.onRestart(name => restarted.push(name));
      for (let i = 0; i < 3; i++) await pool.statistics(node.name);
      assert.deepEqual(restarted, []);
      await engine.stop();
      await assert.rejects(pool.statistics(node.name), error => HoldfastError.is(error, 'NG_TIMEOUT'));
      assert.equal(pool.health()[0]?.missed, 1);
      engine = await start(node);
      await pool.statistics(node.name);
      assert.deepEqual(restarted, [node.name]);
      await pool.statistics(node.name);
      assert.deepEqual(restarted, [node.name]);
      assert.equal(pool.health()[0]?.restarts, 1);
    });
  });
}

describe('ng client', () => {
  it('repeats a request whose datagram was lost', async t => {
    const subnet = await freeSubnet();
    const fake = await FakeRtpengine.start(subnet.host(91));
    t.after(() => fake.stop());
    const client = new NgClient({ host: subnet.host(91), port: 2223 });
    t.after(() => client.close());
    fake.loseNext = 2;
    await client.ping({ deadlineMs: 5_000 });
  });

  it('counts and drops what is no answer of its engine', async t => {
    const subnet = await freeSubnet();
    const fake = await FakeRtpengine.start(subnet.host(91));
    let garbage = 0;
    const client = new NgClient({ host: subnet.host(91), port: 2223, onGarbage: () => garbage++ });
    t.after(() => client.close());
    t.after(() => fake.stop());
    fake.garbage = Buffer.from('no cookie, no dictionary');
    await client.ping();
    assert.equal(garbage, 1);
  });

  it('gives up at the abort of its signal', async () => {
    const client = new NgClient({ host: '127.0.0.1', port: 9 });
    const reason = new Error('enough');
    await assert.rejects(client.ping({ signal: AbortSignal.abort(reason) }), reason);
    const controller = new AbortController();
    const ping = client.ping({ signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(ping, reason);
    client.close();
    await assert.rejects(client.ping(), error => HoldfastError.is(error, 'NG_TIMEOUT'));
  });
});
