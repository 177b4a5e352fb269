// Kamailios hear of registered phones: of one that came back by another connection at once, and all of it when they are back.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { movedPhones, trustedPhones } from '../../core/farm/phone-rows.js';
import type { ToldRows } from '../../core/farm/told-rows.js';
import { silentLogger } from '../../core/log.js';
import { Bindings, type Binding } from '../../core/registrations/bindings.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { waitFor } from '../harness/wait-for.js';

const binding = (port: number, number: number): Omit<Binding, 'before'> => ({
  ...{ subscriber: '1001', contact: `sip:1001@192.0.2.7:${port};transport=tls`, path: [], pathHeader: '', q: 1 },
  ...{ flow: `192.0.2.7:${port}`, connection: `tls~1~s1~${number}`, callId: 'phone', userAgent: '' },
  ...{ expiresMs: Date.now() + 600_000, node: 'registrar-1' },
});

describe('Moved phones', () => {
  let bindings: Bindings;
  let moved: ToldRows;
  let told: string[];
  /** How often it was looked who has moved. */
  let looks: number;
  /** What is told waits while there is one. */
  let held: Promise<void> | undefined;
  let silent: string | undefined;

  beforeEach(async () => {
    [told, held, silent] = [[], undefined, undefined];
    bindings = new Bindings({ store: openMemoryStore(), log: silentLogger });
    const move = async (instance: string, from: string, to: string): Promise<void> => {
      await held;
      if (instance === silent) throw new Error('no answer');
      told.push(`${instance} ${from} ${to}`);
    };
    looks = 0;
    moved = movedPhones({ move }, () => {
      looks++;
      return bindings.moves();
    });
    bindings.onMove(() => moved.tellSoon());
    await Promise.all(['one', 'two'].map(instance => moved.tell(instance)));
  });

  const both = (from: string, to: string): string[] => ['one', 'two'].map(instance => `${instance} ${from} ${to}`);
  const [first, second, third] = [1, 2, 3].map(n => `192.0.2.7~${5060 + n}~tls~1~s1~${n}`) as [string, string, string];

  it('are told to each instance as they register, and not again with each refresh', async () => {
    await bindings.put(binding(5061, 1));
    await bindings.put(binding(5062, 2));
    await moved.tellAll();
    await bindings.put(binding(5062, 2));
    await moved.tellAll();
    assert.deepEqual(told, both(first, second));
  });

  it('are told by themselves, and looked for once where many move at a time', async () => {
    const ports = Array.from({ length: 100 }, (_, i) => 5_061 + i);
    for (const [i, port] of ports.entries()) await bindings.put(binding(port, i + 1));
    const last = both(first, `192.0.2.7~${ports.at(-1)}~tls~1~s1~100`).length;
    await waitFor('the last one', () => told.filter(one => one.endsWith('~tls~1~s1~100')).length >= last);
    assert.ok(looks < 20, `${looks} looks`);
    moved.close();
  });

  it('are told though another one is being told of just then', async () => {
    let release = (): void => undefined;
    held = new Promise(resolve => (release = resolve));
    await bindings.put(binding(5061, 1));
    await bindings.put(binding(5062, 2));
    await bindings.put(binding(5063, 3));
    release();
    await moved.tellAll();
    assert.deepEqual(told.slice(-4).sort(), [...both(first, third), ...both(second, third)].sort());
  });

  it('are told to one that did not answer when it does', async () => {
    silent = 'two';
    await bindings.put(binding(5061, 1));
    await bindings.put(binding(5062, 2));
    await moved.tellAll();
    assert.deepEqual(told, [`one ${first} ${second}`]);
    silent = undefined;
    await moved.tellAll();
    assert.deepEqual(told, both(first, second));
  });

  it('are all told to one that is new, and a silent one keeps nobody waiting', async () => {
    await bindings.put(binding(5061, 1));
    await bindings.put(binding(5062, 2));
    await moved.tellAll();
    moved.forget('two');
    assert.deepEqual([moved.knows('one'), moved.knows('two')], [true, false]);
    silent = 'two';
    await assert.rejects(moved.tell('two'), /no answer/);
    assert.equal(moved.knows('two'), false);
    silent = undefined;
    told = [];
    await moved.tell('two');
    assert.deepEqual([told, moved.knows('two')], [[`two ${first} ${second}`], true]);
    await bindings.put(binding(5063, 3));
    await moved.tellAll();
    assert.equal(told.length, 5, 'both former flows at both');
  });
});

describe('Registered phones', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date'], now: 1_000_000_000 }));
  afterEach(() => mock.timers.reset());

  it('are told by the address that they send from, now and then again', async () => {
    const told: string[] = [];
    const bound = (contact: string, flow: string | null): Binding => ({ contact, flow }) as Binding;
    const phones = [
      bound('sip:1@10.0.0.5:5060', '192.0.2.5:1024'),
      bound('sip:2@192.0.2.6', null),
      bound('sip:3@a.test', null),
    ];
    const trusted = trustedPhones(
      { trust: async (instance, address) => void told.push(`${instance} ${address}`) },
      { list: () => phones },
    );
    const after = async (seconds: number): Promise<number> => {
      mock.timers.setTime(Date.now() + seconds * 1000);
      await trusted.tellAll();
      return told.length;
    };
    await trusted.tell('k1');
    await after(5);
    assert.deepEqual(told, ['k1 192.0.2.5', 'k1 192.0.2.6']);
    assert.equal(await after(1_790), 2);
    assert.equal(await after(10), 4, 'again before they are trusted no more');
    trusted.forget('k1');
    assert.equal(await after(5), 4, 'it is away');
    await trusted.tell('k1');
    assert.equal(told.length, 6);
  });
});
