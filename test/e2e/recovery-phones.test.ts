// Phones that others make, in calls whose servers die: baresip hears its partner again, and can hold, resume and hang up.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test, type TestContext } from 'node:test';
import { Baresip } from '../harness/baresip.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll, openAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { waitFor } from '../harness/wait-for.js';

async function configFor(twoParty: string): Promise<string> {
  const config = await localConfig();
  return config
    .replace('subscribers:\n', `subscribers:\n  '1004': { name: dave, secret: dave-secret }\n`)
    .replace(`'100[1-3]'`, `'100[1-4]'`)
    .replace('twoParty: call-node', `twoParty: ${twoParty}`);
}

/** Two phones in a call. */
class Pair {
  readonly caller: Baresip;
  readonly callee: Baresip;

  private constructor(caller: Baresip, callee: Baresip) {
    this.caller = caller;
    this.callee = callee;
  }

  static async call(farm: Farm, caller: Baresip, callee: Baresip): Promise<Pair> {
    await caller.dial(farm.uri(callee.user));
    await callee.is('incoming');
    await callee.accept();
    await caller.is('established');
    const pair = new Pair(caller, callee);
    await pair.hear();
    return pair;
  }

  get phones(): readonly Baresip[] {
    return [this.caller, this.callee];
  }

  get offers(): number[] {
    return this.phones.map(phone => phone.offers);
  }

  async hear(deadlineMs = 5000): Promise<void> {
    const { caller, callee } = this;
    await Promise.all([caller.hears(callee.hz, deadlineMs), callee.hears(caller.hz, deadlineMs)]);
  }

  /** Each phone has had an offer of ours since it had had so many. */
  async reoffered(before: readonly number[]): Promise<void> {
    await waitFor('both phones to be re-INVITEd', () => this.offers.every((n, i) => n > (before[i] ?? 0)), {
      deadlineMs: 10_000,
      describe: () => this.phones.map(phone => phone.story()).join('\n'),
    });
  }

  /** Sound has come back: what was heard before the servers died does not count. */
  async hearAgain(): Promise<void> {
    const before = this.phones.map(phone => phone.audio.report().packets);
    const more = (): boolean => this.phones.every((phone, i) => phone.audio.report().packets > (before[i] ?? 0) + 15);
    await waitFor('sound at both phones', more, { deadlineMs: 10_000 });
    await this.hear();
  }

  async holdAndResume(): Promise<void> {
    for (const phone of this.phones) {
      await phone.hold();
      await phone.resume();
    }
    await this.hear();
  }

  async hangup(by: 'caller' | 'callee'): Promise<void> {
    const [first, second] = by === 'caller' ? [this.caller, this.callee] : [this.callee, this.caller];
    await first.hangup();
    await second.is('ended');
  }
}

describe('phones from Debian in calls whose servers die', () => {
  let farm: Farm;
  let phones: readonly Baresip[] = [];

  before(async () => {
    farm = await Farm.up({ config: await configFor('call-node') });
    const subscribers = ['alice', 'bob', 'carol', 'dave'].map((name, i) => ({
      ...{ farm, address: farm.host(211 + i), domain: 'holdfast.test' },
      ...{ user: `100${i + 1}`, secret: `${name}-secret`, hz: 440 + 220 * i },
    }));
    phones = await openAll(...subscribers.map(options => Baresip.start(options)));
    await waitFor('four bindings', async () => (await farm.json<unknown[]>('registrations')).length === 4);
  });
  after(async () => {
    await closeAll(...phones);
    await farm.down();
  });
  afterEach(async () => {
    await farm.whole();
    await nothingLeft(farm);
  });

  const call = async (from: number, to: number): Promise<Pair> => {
    const [caller, callee] = [phones[from], phones[to]];
    assert.ok(caller && callee);
    return Pair.call(farm, caller, callee);
  };
  /** Ends the process of a node, and measures the silence from here. */
  const kill = async (node: string, pairs: readonly Pair[]): Promise<void> => {
    const pid = await farm.pid(node);
    pairs.flatMap(pair => pair.phones).forEach(phone => phone.audio.reset());
    process.kill(pid, 'SIGKILL');
  };
  const nodeOf = async (pair: Pair): Promise<string> => {
    const row = (await farm.calls()).find(({ legs }) => legs.some(leg => leg.callId === pair.caller.callId));
    return row?.legs[0]?.node ?? '';
  };
  const tellSilence = (t: TestContext, pair: Pair): void => {
    const gaps = pair.phones.map(phone => `${phone.user} ${phone.audio.report().largestGapMs} ms`);
    t.diagnostic(`silence: ${gaps.join(', ')}`);
  };
  const isRecorded = async (pair: Pair, endedBy: string, recoveries: number): Promise<void> => {
    const record = await recordOf(farm, pair.caller.callId);
    assert.deepEqual([record.outcome, record.endedBy, record.recoveries], ['answered', endedBy, recoveries]);
  };

  test('a call node dies under two calls, one of them on hold', { timeout: 90_000 }, async t => {
    await farm.json('drain', 'call-2');
    const [talking, held] = [await call(0, 1), await call(2, 3)];
    await farm.json('undrain', 'call-2');
    await held.callee.hold();
    const before = [talking.offers, held.offers];
    await kill('call-1', [talking, held]);
    await talking.reoffered(before[0] ?? []);
    await talking.hearAgain();
    tellSilence(t, talking);
    await held.reoffered(before[1] ?? []);
    assert.equal(await nodeOf(talking), 'call-2');
    await talking.holdAndResume();
    await talking.hangup('caller');
    await isRecorded(talking, 'caller', 1);
    await held.callee.resume();
    await held.hear();
    await held.holdAndResume();
    await held.hangup('callee');
    await isRecorded(held, 'callee', 1);
  });

  test('an RTPEngine dies', { timeout: 90_000 }, async t => {
    const pair = await call(1, 0);
    const engineOf = (phone: Baresip): string => (phone.audio.report().sources.at(-1) ?? '').split(':')[0] ?? '';
    pair.phones.forEach(phone => phone.audio.reset());
    await pair.hear();
    const victim = engineOf(pair.caller) === farm.host(81) ? 1 : 2;
    await kill(`rtpengine-${victim}`, [pair]);
    const other = farm.host(83 - victim);
    await waitFor('everybody to hear the other engine', () => pair.phones.every(phone => engineOf(phone) === other), {
      deadlineMs: 10_000,
      describe: () => pair.phones.map(phone => phone.story()).join('\n'),
    });
    await pair.hear();
    tellSilence(t, pair);
    await pair.holdAndResume();
    await pair.hangup('callee');
    await isRecorded(pair, 'callee', 0);
  });

  for (const victim of ['call', 'conference'] as const) {
    test(`a ${victim} node dies under a call that is mixed on the conference farm`, { timeout: 90_000 }, async t => {
      await farm.reload(await configFor('conference-farm'));
      const pair = await call(0, 1);
      const [conference] = await farm.json<{ node: string }[]>('conferences');
      const { offers } = pair;
      await kill(victim === 'call' ? await nodeOf(pair) : (conference?.node ?? ''), [pair]);
      if (victim === 'call') await pair.reoffered(offers);
      await pair.hearAgain();
      tellSilence(t, pair);
      if (victim === 'conference') assert.deepEqual(pair.offers, offers, 'no phone is told');
      await pair.holdAndResume();
      await pair.hangup('caller');
      await isRecorded(pair, 'caller', victim === 'call' ? 1 : 0);
    });
  }
});
