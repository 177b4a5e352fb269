// The bans of all Kamailios kept equal, and what is told them of registered phones.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bans } from '../../core/farm/bans.js';
import { silentLogger } from '../../core/log.js';
import type { EdgeBan } from '../../core/ports/edge.js';
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
