// Gateways of a trunk: which there are, which live, in which order a call tries them, and after which failure the next one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConnectTarget } from '../../core/calls/call-facts.js';
import { advance, type CallEvent, type Transition } from '../../core/calls/call-machine.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import type { TrunkConfig } from '../../core/config/holdfast-config.js';
import { silentLogger } from '../../core/log.js';
import { incomingCall } from '../../core/testing/facts.js';
import { afterCallFailed, afterProbe, newHealth } from '../../core/trunks/gateway-health.js';
import { gatewaysOf, orderFor, type SrvRecord } from '../../core/trunks/gateway-list.js';
import { TrunkGateways } from '../../core/trunks/trunk-gateways.js';

const gateway = (address: string, priority: number, weight = 1) => ({
  address,
  priority: [priority, 0] as const,
  weight,
});

describe('the order of gateways', () => {
  test('is by priority, and among equals by chance and weight', () => {
    const list = [gateway('c', 2), gateway('a', 1, 3), gateway('b', 1, 1)];
    const order = (chance: number): string =>
      orderFor(list, () => chance)
        .map(({ address }) => address)
        .join('');
    assert.equal(order(0), 'abc');
    assert.equal(order(0.74), 'abc');
    assert.equal(order(0.76), 'bac');
    assert.equal(orderFor([gateway('a', 1, 0), gateway('b', 1, 0)], () => 0.9)[0]?.address, 'b');
  });

  test('is that of the SRV records where a name has some, else the name is a host', () => {
    const config = [
      { address: 'sip.example.net:5060', priority: 1, weight: 1, srv: 'sip.example.net' },
      { address: '192.0.2.1:5060', priority: 2, weight: 1 },
    ];
    const records: SrvRecord[] = [
      { name: 'b.example.net', port: 5070, priority: 20, weight: 0 },
      { name: 'a.example.net', port: 5060, priority: 10, weight: 5 },
    ];
    const addresses = (found: readonly SrvRecord[]): string[] =>
      orderFor(
        gatewaysOf(config, () => found),
        () => 0,
      ).map(({ address }) => address);
    assert.deepEqual(addresses(records), ['a.example.net:5060', 'b.example.net:5070', '192.0.2.1:5060']);
    assert.deepEqual(addresses([]), ['sip.example.net:5060', '192.0.2.1:5060']);
  });
});

describe('the health of a gateway', () => {
  const rules = { everySeconds: 30 };
  test('is down after three questions in a row without an answer that it takes calls, and up with the first one', () => {
    let health = newHealth(0);
    for (const [answer, state, nextMs] of [
      [null, 'unknown', 1_000],
      [503, 'unknown', 1_000],
      [null, 'down', 1_000],
      [null, 'down', 1_000],
      [404, 'up', 30_000],
      [null, 'up', 1_000],
      [200, 'up', 30_000],
    ] as const) {
      health = afterProbe(health, answer, 0, rules);
      assert.deepEqual([health.state, health.nextMs], [state, nextMs]);
    }
    assert.equal(afterCallFailed(health, 5_000).nextMs, 5_000);
  });
});

describe('gateways', () => {
  const trunk = (part: Partial<TrunkConfig> = {}): TrunkConfig => ({
    ...{
      name: 't',
      sources: [],
      identities: [],
      trusted: true,
      numbers: { format: 'as-is' },
      probeSeconds: 30,
      silentMs: 4_000,
    },
    gateways: ['a', 'b'].map((address, i) => ({ address, priority: i + 1, weight: 1 })),
    ...part,
  });

  test('that are down are passed over, unless all are', async () => {
    const answers: Record<string, number | null> = { a: null, b: 200 };
    const trunks = [trunk()];
    const avoided: string[] = [];
    const gateways = new TrunkGateways({
      trunks: () => trunks,
      ask: async one => answers[one] ?? null,
      names: { srv: () => [], host: () => undefined, avoid: one => void avoided.push(one) },
      routeTo: id => id,
      trouble: async () => undefined,
      log: silentLogger,
    });
    assert.deepEqual(gateways.gateways('t'), ['a', 'b']);
    let now = Date.now();
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 4; i++) {
        gateways.tick((now += 60_000));
        await new Promise(setImmediate);
      }
    };
    await settle();
    assert.deepEqual(gateways.gateways('t'), ['b']);
    assert.deepEqual(avoided, ['a']);
    answers['b'] = 503;
    await settle();
    assert.deepEqual(gateways.gateways('t'), ['a', 'b']);
    answers['a'] = 200;
    await settle();
    assert.deepEqual(gateways.gateways('t'), ['a']);
    assert.deepEqual(
      gateways.list('t').map(({ health }) => health.state),
      ['up', 'down'],
    );
  });
});

describe('after a failure', () => {
  const target = (host: string, number = '7', trunk = 't'): ConnectTarget => ({ uri: `sip:${number}@${host}`, trunk });
  const play = (targets: readonly ConnectTarget[], ...events: readonly CallEvent[]): Transition => {
    const call = newCallRecord(incomingCall({ id: 'c' }), 'call-1', 'caller', 0, noLimits);
    const flow = [{ action: 'connect', strategy: 'in-order', targets }] as const;
    const routed: CallEvent = { type: 'routed', answer: { flow, routeName: 'r' } };
    return [routed, ...events].reduce<Transition>(({ call }, event) => advance(call, event, 1), { call, actions: [] });
  };
  const ended = (sipStatus: number): CallEvent => ({ type: 'legEnded', leg: 'c-1', sipStatus });
  const dials = ({ call }: Transition): readonly (string | undefined)[] => call.legs.slice(1).map(leg => leg.peer);

  test('of the gateway the next one is tried; an answer about the number counts for all of them', () => {
    const two = [target('a'), target('b')];
    for (const status of [503, 408, 500, 502, 504])
      assert.equal(dials(play(two, ended(status))).length, 2, `${status}`);
    for (const status of [486, 404, 480, 403, 484]) {
      const ring: CallEvent = { type: 'legRinging', leg: 'c-1' };
      const { call } = play(two, ring, ended(status));
      assert.deepEqual([call.legs.length, call.ending?.sipStatus], [2, status]);
    }
  });

  test('about the number, other trunks and other numbers are still tried', () => {
    const targets = [target('a'), target('b'), target('b', '8'), target('c', '7', 'u')];
    assert.deepEqual(dials(play(targets, ended(486))), ['sip:7@a', 'sip:8@b']);
    const more = play(targets, ended(486), { type: 'legEnded', leg: 'c-2', sipStatus: 404 });
    assert.deepEqual(dials(more), ['sip:7@a', 'sip:8@b', 'sip:7@c']);
  });

  test('a silent gateway is given up where there is another, and not where there is none', () => {
    const silent: CallEvent = { type: 'legSilent', leg: 'c-1' };
    const { call, actions } = play([target('a'), target('b')], silent);
    assert.deepEqual(actions, [{ do: 'hangup', leg: 'c-1', cause: 19 }]);
    assert.deepEqual(dials(advance(call, ended(487), 2)), ['sip:7@a', 'sip:7@b']);
    assert.deepEqual(play([target('a')], silent).actions, []);
    assert.deepEqual(play([target('a'), target('b')], { type: 'legRinging', leg: 'c-1' }, silent).actions, []);
  });
});
