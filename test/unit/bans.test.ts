// The bans of all Kamailios kept equal, and what is told them of registered phones.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bans } from '../../core/farm/bans.js';
import { PhoneTrust } from '../../core/farm/phone-trust.js';
import { silentLogger } from '../../core/log.js';
import type { EdgeBan } from '../../core/ports/edge.js';
import type { Binding } from '../../core/registrations/bindings.js';
import { openMemoryStore } from '../../core/store/memory-store.js';

const later = Math.floor(Date.now() / 1000) + 600;
const ban = (source: string, untilSeconds = later): EdgeBan => ({ source, reason: 'wrong passwords', untilSeconds });

/** Two Kamailios with what each bans. */
function farm() {
  const held = new Map<string, Map<string, EdgeBan>>(['k1', 'k2'].map(name => [name, new Map<string, EdgeBan>()]));
  const away = new Set<string>();
  const of = (instance: string): Map<string, EdgeBan> => {
    const bans = held.get(instance);
    if (!bans || away.has(instance)) throw new Error(`${instance} does not answer`);
    return bans;
  };
  const edge = {
    bans: async (instance: string) => [...of(instance).values()],
    ban: async (instance: string, one: EdgeBan) => void of(instance).set(one.source, one),
    unban: async (instance: string, source: string) => void of(instance).delete(source),
  };
  const sources = (instance: string): string[] => [...(held.get(instance)?.keys() ?? [])].sort();
  return { held, away, edge, sources };
}

describe('bans', () => {
  const make = (edge: ReturnType<typeof farm>['edge'], store = openMemoryStore()): Bans =>
    new Bans({ edge, instances: () => ['k1', 'k2'], store, log: silentLogger });

  test('that one Kamailio finds are told the others, and outlive all of them', async () => {
    const { edge, held, sources } = farm();
    const store = openMemoryStore();
    held.get('k1')?.set('192.0.2.1', ban('192.0.2.1'));
    await make(edge, store).tend();
    assert.deepEqual(sources('k2'), ['192.0.2.1']);
    for (const bans of held.values()) bans.clear();
    const next = make(edge, store);
    await next.start();
    next.close();
    await next.tend();
    assert.deepEqual([sources('k1'), sources('k2')], [['192.0.2.1'], ['192.0.2.1']]);
  });

  test('that are lifted are lifted at a Kamailio that was away, too', async () => {
    const { edge, held, away, sources } = farm();
    for (const bans of held.values()) bans.set('192.0.2.1', ban('192.0.2.1'));
    const bans = make(edge);
    await bans.tend();
    away.add('k2');
    assert.equal(await bans.lift('192.0.2.1'), true);
    assert.equal(await bans.lift('192.0.2.1'), false);
    away.clear();
    await bans.tend();
    assert.deepEqual([bans.list(), sources('k1'), sources('k2')], [[], [], []]);
    held.get('k1')?.set('192.0.2.1', ban('192.0.2.1', later + 60));
    await bans.tend();
    assert.deepEqual(sources('k2'), ['192.0.2.1'], 'a new one is one');
  });

  test('that an operator adds are everywhere at once, and end by themselves', async () => {
    const { edge, sources } = farm();
    const bans = make(edge);
    await bans.add('192.0.2.9', 'fraud', 60);
    assert.deepEqual([sources('k1'), sources('k2')], [['192.0.2.9'], ['192.0.2.9']]);
    await bans.add('192.0.2.9', 'over', -1);
    assert.deepEqual(bans.list(), []);
  });
});

test('registered phones are told to every Kamailio by the address that they send from, now and then again', async () => {
  const told: string[] = [];
  const binding = (contact: string, flow: string | null): Binding => ({ contact, flow }) as Binding;
  const trust = new PhoneTrust({
    edge: { trust: async (instance, address) => void told.push(`${instance} ${address}`) },
    instances: () => ['k1'],
    bindings: () => [
      binding('sip:1@10.0.0.5:5060', '192.0.2.5:1024'),
      binding('sip:2@192.0.2.6', null),
      binding('sip:3@a.test', null),
    ],
  });
  await trust.tend(1_000_000_000);
  await trust.tend(1_000_005_000);
  assert.deepEqual(told, ['k1 192.0.2.5', 'k1 192.0.2.6']);
  trust.forget('k1');
  await trust.tend(1_000_010_000);
  await trust.tend(1_002_000_000);
  assert.equal(told.length, 6);
  await trust.tend(1_900_000_000);
  assert.equal(told.length, 8, 'told anew after it was trusted no more');
});
