// The event stream and the client against an ARI server that misbehaves.
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { ariClient, requestOf } from '../../asterisk/ari-client.js';
import { readEvent } from '../../asterisk/ari-event.js';
import { AriRequester } from '../../asterisk/ari-requester.js';
import { AriFarm } from '../../asterisk/asterisk-farm.js';
import { HoldfastError, type ErrorCode } from '../../core/errors.js';
import { silentLogger } from '../../core/log.js';
import type { AriEvent, AriSnapshot, AsteriskNode } from '../../core/ports/asterisk.js';
import { FakeAri } from '../fakes/fake-ari.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { waitFor } from '../harness/wait-for.js';

const password = 'secret';
let address: string;
let server: FakeAri;

before(async () => {
  address = (await freeSubnet()).host(31);
});
beforeEach(async () => {
  server = await FakeAri.start(address, password);
});
afterEach(async () => server.stop());

const bridge = { technology: 'simple_bridge', bridge_type: 'mixing', name: '', channels: [] };
const destroyed = (id: string): unknown => ({
  type: 'BridgeDestroyed',
  timestamp: '2026-01-01T00:00:00.000+0000',
  bridge: { id, ...bridge },
});

describe('An event stream', () => {
  let node: AsteriskNode;
  /** Snapshots, events and cuts in the order in which they were told. */
  let told: string[];
  let reasons: string[];
  let fail = false;

  beforeEach(() => {
    told = [];
    reasons = [];
    fail = false;
    const passwordOf = (): string => password;
    node = new AriFarm({ addressOf: () => address, passwordOf, log: silentLogger }).node('call-1');
  });
  afterEach(async () => node.close());

  function open(): void {
    node.open({
      connected: (snapshot: AriSnapshot) => void told.push(`snapshot of ${snapshot.bridges.length}`),
      disconnected: reason => {
        told.push('cut');
        reasons.push(reason);
      },
      event: (event: AriEvent) => {
        if (fail) throw new Error('a listener of no use');
        told.push('bridge' in event ? event.bridge.id : event.type);
      },
    });
  }

  const tells = (...expected: string[]): Promise<unknown> =>
    waitFor(expected.join(), () => told.join() === expected.join(), { deadlineMs: 8000, describe: () => told.join() });

  it('opens all connections for requests, before there are any', async () => {
    open();
    await waitFor('eight connections', async () => (await server.connections()) === 8);
  });

  it('asks Asterisk for the events that core reads and no others', async () => {
    open();
    await tells('snapshot of 0');
    const types = (server.allowed as { type: string }[]).map(({ type }) => type);
    assert.ok(types.includes('StasisStart') && types.includes('ChannelDestroyed') && types.includes('Dial'));
    assert.ok(!types.includes('ChannelVarset'));
  });

  it('tells the snapshot first, then the events that came meanwhile, then the others', async () => {
    server.onSnapshot = () => {
      server.send(destroyed('first'));
      server.send(destroyed('second'));
    };
    open();
    await tells('snapshot of 0', 'first', 'second');
    server.send(destroyed('third'));
    await tells('snapshot of 0', 'first', 'second', 'third');
  });

  it('takes a new snapshot after each cut', async () => {
    open();
    await tells('snapshot of 0');
    server.cut();
    await tells('snapshot of 0', 'cut', 'snapshot of 0');
    server.send(destroyed('later'));
    await tells('snapshot of 0', 'cut', 'snapshot of 0', 'later');
  });

  it('notices within seconds that nobody answers on it any more', async () => {
    open();
    await tells('snapshot of 0');
    const frozenMs = performance.now();
    server.freeze();
    await tells('snapshot of 0', 'cut', 'snapshot of 0');
    assert.ok(performance.now() - frozenMs < 7_000);
    assert.match(reasons[0] ?? '', /silent/);
  });

  it('goes on after garbage, unknown events and a listener that throws', async () => {
    open();
    await tells('snapshot of 0');
    fail = true;
    server.send(destroyed('badly handled'));
    server.send('{');
    server.send({ type: 'StasisStart' });
    server.send({ type: 'constructor' });
    server.send({ type: 'ChannelVarset', variable: 'x' });
    const ping = destroyed('well handled');
    await waitFor('the bad one to pass', async () => (await node.ari.asterisk.ping(), true));
    fail = false;
    server.send(ping);
    await waitFor('the good one', () => told.includes('well handled'));
    assert.equal(node.connected, true);
  });

  it('is opened again after a message larger than any event', async () => {
    open();
    await tells('snapshot of 0');
    server.send('x'.repeat((1 << 20) + 1));
    await tells('snapshot of 0', 'cut', 'snapshot of 0');
  });

  it('is tried again when there is no snapshot to be had', async () => {
    server.garbage = '<html>';
    open();
    await tells('snapshot of 0');
    assert.equal(node.connected, true);
  });

  it('of an Asterisk that was declared dead is cut at once, and opened again with its next process', async () => {
    open();
    await tells('snapshot of 0');
    const abandoned = node.abandon();
    assert.deepEqual([told.at(-1), node.connected], ['cut', false]);
    server.send(destroyed('late'));
    await abandoned;
    await waitFor('the connection to end', () => server.listeners === 0);
    await assert.rejects(node.ari.bridges.list(), { code: 'ARI_UNREACHABLE' });
    open();
    await tells('snapshot of 0', 'cut', 'snapshot of 0');
    assert.deepEqual([reasons, server.listeners], [['call-1 was declared dead'], 1]);
  });

  it('is not opened again once it was closed', async () => {
    open();
    await tells('snapshot of 0');
    await node.close();
    await waitFor('nobody to listen', () => server.listeners === 0);
    assert.equal(node.connected, false);
  });
});

describe('An ARI client', () => {
  let requester: AriRequester;

  beforeEach(() => {
    requester = new AriRequester({
      node: 'call-1',
      origin: `http://${address}:8088`,
      user: 'holdfast',
      password,
      timeoutMs: 1_000,
    });
  });
  afterEach(async () => requester.close());

  const fails = (code: ErrorCode, message: RegExp): Promise<void> =>
    assert.rejects(ariClient(requester).bridges.list(), error => {
      assert.ok(HoldfastError.is(error, code), String(error));
      assert.match(error.message, message);
      assert.equal(error.details['node'], 'call-1');
      return true;
    });

  it('waits no longer than its deadline', async () => {
    server.ignoreNext = 1;
    await fails('ARI_TIMEOUT', /call-1 did not answer bridges\.list in 1000 ms/);
    await ariClient(requester).bridges.list();
  });

  it('takes no reply that is not JSON, or not what was promised', async () => {
    server.garbage = '<html>';
    await fails('ARI_INVALID_REPLY', /bridges\.list/);
    server.garbage = '[{"id": 7}]';
    await fails('ARI_INVALID_REPLY', /\[0\]\.id/);
  });

  it('makes a bridge whose id another one has that is just ending', async () => {
    server.endingBridges.set('again', 2);
    const made = await ariClient(requester).bridges.createWithId({ bridgeId: 'again', type: 'mixing' });
    assert.equal(made.id, 'again');
    server.endingBridges.set('never', 100);
    await assert.rejects(ariClient(requester).bridges.createWithId({ bridgeId: 'never', type: 'mixing' }), /404/);
  });

  it('says that an Asterisk is not there', async () => {
    await server.stop();
    await fails('ARI_UNREACHABLE', /bridges\.list/);
    server = await FakeAri.start(address, password);
  });

  it('asks as the API description says', () => {
    assert.deepEqual(requestOf('channels.hangup', { channelId: 'a/b c', reason_code: '16' }), {
      operation: 'channels.hangup',
      method: 'DELETE',
      path: '/channels/a%2Fb%20c?reason_code=16',
    });
    const created = requestOf('channels.create', { endpoint: 'PJSIP/edge/sip:x', app: 'a', variables: { V: '1' } });
    assert.equal(created.path, '/channels/create?endpoint=PJSIP%2Fedge%2Fsip%3Ax&app=a');
    assert.deepEqual(created.body, { variables: { V: '1' } });
    const filter = { allowed: [{ type: 'Dial' }] };
    assert.deepEqual(requestOf('applications.filter', { applicationName: 'a', filter }).body, filter);
    assert.equal(requestOf('channels.list', {}).body, undefined);
  });
});

describe('Reading an event', () => {
  it('counts garbage and unknown types apart', () => {
    const counters = { garbage: 0, skipped: 0 };
    assert.equal(readEvent('nonsense', counters), undefined);
    assert.equal(readEvent(JSON.stringify({ type: 'ChannelDestroyed', cause: 'x' }), counters), undefined);
    assert.equal(readEvent(JSON.stringify({ type: 'toString' }), counters), undefined);
    assert.deepEqual(counters, { garbage: 2, skipped: 1 });
    assert.equal(readEvent(JSON.stringify(destroyed('b')), counters)?.type, 'BridgeDestroyed');
  });
});
