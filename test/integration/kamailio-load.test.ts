// Calls at a rate through the balanced edge, while lists and tables change, and while one Kamailio dies.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { LadderRow } from '../harness/sip-ladder.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab } from './kamailio-lab.js';

/** An INVITE has its answer and its ACK long before. */
const transactionMs = 300;

let lab: EdgeLab;
const callees: Sipp[] = [];

before(async () => {
  lab = await EdgeLab.up();
});
after(() => lab.down());
afterEach(async () => {
  for (const callee of callees.splice(0)) await callee.stop();
  await lab.endSessions();
});

/** ms since midnight, as sipp's log of messages has them. */
function timeOfDayMs(): number {
  const now = new Date();
  return now.getTime() - new Date(now).setHours(0, 0, 0, 0);
}

async function call(options: { calls: number; rate: number; messages?: boolean }): Promise<Sipp> {
  for (const host of [31, 32])
    callees.push(await Sipp.uas({ address: lab.address(host), payloadTypes: [0], ringMs: 50 }));
  // An ACK may be late, or lost with a Kamailio until the 200 comes again: a BYE before it would find the callee waiting.
  return Sipp.uac({ ...options, address: lab.address(200), target: lab.publicVip, service: '70001', holdMs: 2_000 });
}

describe('Many calls', () => {
  it('all succeed while tables and lists are written ten times a second, and leave no media', async () => {
    const caller = await call({ calls: 250, rate: 50 });
    const finished = caller.finished();
    const progress = { done: false };
    void finished.then(() => (progress.done = true));
    for (let i = 0; !progress.done; i++) {
      await lab.apply({ policies: [...lab.state.policies.slice(0, 2), { id: `x${i % 9}`, codecs: ['PCMA'] }] });
      await delay(100);
    }
    const result = await finished;
    assert.deepEqual([result.successful, result.failed], [250, 0], result.errors);
    await waitFor('no media session to be left', async () => (await lab.sessions()) === 0);
  });

  it('lose no more than what is under way when one Kamailio is killed', async t => {
    const caller = await call({ calls: 200, rate: 50, messages: true });
    t.after(() => rm(caller.folder, { recursive: true, force: true }));
    await waitFor('a third of the calls', async () => (await caller.progress()).total >= 70, { everyMs: 100 });
    const [dead, ...rest] = lab.nodes('kamailio');
    const killMs = timeOfDayMs();
    await lab.host.kill(dead!.name);
    await lab.balancer.apply(rest);
    const goneMs = timeOfDayMs();
    const result = await caller.finished();
    assert.equal(result.failures.length, result.failed, result.errors);
    const ladder = await caller.ladder(lab.publicVip);
    for (const { callId, reason } of result.failures) {
      const rows = ladder.rows(callId);
      const isUnderWay = ({ atMs }: LadderRow): boolean => atMs > killMs - transactionMs && atMs <= goneMs;
      assert.ok(rows.some(isUnderWay), `${reason}\n${ladder.print(callId)}`);
    }
    await lab.start(dead!);
    await waitFor('it to be equal again', async () => {
      await lab.apply({});
      return lab.edge.ready(dead!.name);
    });
    await lab.balancer.apply(lab.nodes('kamailio'));
  });
});
