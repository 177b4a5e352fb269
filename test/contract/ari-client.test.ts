// What core relies on in ARI's client and event stream, asserted alike against our fake and a real Asterisk.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AriFarm } from '../../asterisk/asterisk-farm.js';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import type { AriClient, AsteriskNode } from '../../core/ports/asterisk.js';
import { FakeAri } from '../fakes/fake-ari.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab, EventRecorder, refusal } from '../integration/asterisk-node-lab.js';

type Server = (lab: AsteriskLab) => Promise<() => Promise<void>>;

const fake: Server = async lab => {
  const server = await FakeAri.start(lab.node('call-1').address, 'secret-of-call-1');
  return async () => server.stop();
};
const real: Server = async lab => {
  await lab.start('call-1');
  return async () => lab.kill('call-1');
};

for (const [kind, start] of [['fake', fake] as const, ['real', real] as const]) {
  describe(`ARI, ${kind} Asterisk`, () => {
    let lab: AsteriskLab;
    let stop: () => Promise<void>;
    let node: AsteriskNode;
    let ari: AriClient;
    const events = new EventRecorder();

    before(async () => {
      lab = await AsteriskLab.open();
      stop = await start(lab);
      node = lab.farm.node('call-1');
      ari = node.ari;
    });
    after(async () => {
      await lab.close();
      await stop();
    });

    it('answers ping and tells when it started', async () => {
      await ari.asterisk.ping();
      const { status, system } = await ari.asterisk.getInfo();
      assert.match(status.startup_time, /^\d{4}-\d\d-\d\dT/);
      assert.match(system.entity_id, /^02(:[0-9a-f]{2}){5}$/);
    });

    it('gives a snapshot when its event stream opens', async () => {
      await ari.bridges.createWithId({ bridgeId: 'before', type: 'mixing' });
      assert.equal(node.connected, false);
      node.open(events);
      await events.connections(1);
      assert.equal(node.connected, true);
      const [snapshot] = events.snapshots;
      assert.deepEqual(snapshot?.channels, []);
      assert.deepEqual(
        snapshot.bridges.map(bridge => bridge.id),
        ['before'],
      );
      assert.equal(snapshot.startupTime, (await ari.asterisk.getInfo()).status.startup_time);
    });

    it('makes a bridge by its id, twice as well', async () => {
      for (let i = 0; i < 2; i++)
        await ari.bridges.createWithId({ bridgeId: 'a bridge/1', type: 'mixing', name: 'one' });
      const made = (await ari.bridges.list()).filter(bridge => bridge.id === 'a bridge/1');
      assert.deepEqual(
        made.map(({ name, channels }) => [name, channels]),
        [['one', []]],
      );
    });

    it('tells of a bridge that ends', async () => {
      await ari.bridges.destroy({ bridgeId: 'a bridge/1' });
      await events.of('BridgeDestroyed', ({ bridge }) => bridge.id === 'a bridge/1');
      const ids = (await ari.bridges.list()).map(bridge => bridge.id);
      assert.deepEqual(ids, ['before']);
    });

    it('refuses what it does not have with 404', async () => {
      assert.equal(await refusal(ari.channels.get({ channelId: 'nobody' })), 404);
      assert.equal(await refusal(ari.channels.hangup({ channelId: 'nobody' })), 404);
      assert.equal(await refusal(ari.bridges.destroy({ bridgeId: 'nothing' })), 404);
    });

    it('refuses a wrong password with 401, and another node’s client goes on', async () => {
      const passwordOf = (): string => 'wrong';
      const stranger = new AriFarm({ addressOf: name => lab.node(name).address, passwordOf, log: silentLogger });
      const strange = stranger.node('call-1');
      assert.equal(await refusal(strange.ari.asterisk.ping()), 401);
      const heard = new EventRecorder();
      strange.open(heard);
      await ari.asterisk.ping();
      assert.equal(strange.connected, false);
      await strange.close();
      assert.deepEqual(heard.snapshots, []);
    });

    it('is reconnected to after it was gone, and its new start is seen', async () => {
      await stop();
      await waitFor('the cut to be noticed', () => events.reasons.length === 1 && !node.connected);
      await assert.rejects(ari.asterisk.ping(), error => HoldfastError.is(error, 'ARI_UNREACHABLE'));
      stop = await start(lab);
      await events.connections(2);
      const [first, second] = events.snapshots;
      assert.notEqual(first?.startupTime, second?.startupTime);
      assert.deepEqual(second?.bridges, []);
    });
  });
}
