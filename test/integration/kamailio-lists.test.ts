// Lists and tables of real Kamailios: equal everywhere, read back, repaired, never emptied; pins and slots under change.
import { after, afterEach, before, describe, it } from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../core/errors.js';
import { sessionOf, signal } from '../../core/host/process-table.js';
import type { EdgeNode, EdgeState } from '../../core/ports/edge.js';
import { JsonrpcClient } from '../../kamailio/jsonrpc-client.js';
import { IncomingCall } from '../harness/incoming-call.js';
import type { SipCall } from '../harness/sip-call.js';
import type { SipEndpoint } from '../harness/sip-endpoint.js';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { EdgeLab } from './kamailio-lab.js';

let lab: EdgeLab;
let first: EdgeState;
const meddlers: JsonrpcClient[] = [];

before(async () => {
  lab = await EdgeLab.up();
  first = lab.state;
});
after(() => lab.down());
afterEach(async () => {
  for (const client of meddlers.splice(0)) client.close();
  await lab.closeEndpoints();
  await lab.apply(first);
  await lab.endSessions();
});

/** A client of one instance, past the farm's own, as somebody who meddles would use. */
function meddler(index: number): JsonrpcClient {
  const client = new JsonrpcClient({ address: lab.nodes('kamailio')[index]!.address, port: 8060 });
  meddlers.push(client);
  return client;
}

const target = (): string => `sip:70001@${lab.plan.publicVip}`;

describe('Dispatcher lists', () => {
  it('have the same rows in the same order at every instance', async () => {
    const reports = await lab.edge.dispatcher();
    assert.equal(reports.length, 3);
    for (const report of reports) {
      assert.deepEqual(report.drift, []);
      assert.equal(report.rows.length, 256);
      assert.deepEqual(report.rows, reports[0]!.rows);
    }
  });

  it('refuse a state that would leave a set empty, and keep the last good one', async () => {
    const nodes = lab.state.nodes.filter(node => node.farm !== 'call');
    await assert.rejects(lab.edge.apply({ ...lab.state, nodes }), (error: unknown) =>
      HoldfastError.is(error, 'DISPATCHER_REFUSED'),
    );
    for (const report of await lab.edge.dispatcher()) assert.deepEqual([report.rows.length, report.drift], [256, []]);
  });

  it('that lost their rows at one instance are reported and repaired', async () => {
    const client = meddler(1);
    const kamailio = lab.nodes('kamailio')[1]!;
    await lab.host.writeFiles(
      kamailio.name,
      [{ path: 'dispatcher.list', content: '# nothing\n', mode: 0o600 }],
      process.env['USER'] ?? 'root',
    );
    await client.request('dispatcher.reload');
    const report = (await lab.edge.dispatcher()).find(one => one.instance === kamailio.name)!;
    assert.ok(report.drift.length > 0);
    assert.equal(await lab.edge.ready(kamailio.name), false);
    await lab.apply({});
    assert.equal(await lab.edge.ready(kamailio.name), true);
  });

  it('move the calls of a dead or draining node only, and spread them', async () => {
    const call = (index: number): EdgeNode => ({
      name: `call-${index}`,
      farm: 'call',
      address: lab.address(30 + index),
      state: 'up',
    });
    const others = first.nodes.filter(node => node.farm !== 'call');
    await lab.apply({ nodes: [...others, call(1), call(2), call(3), call(4)] });
    const nodes: SipEndpoint[] = [];
    for (const host of [31, 32, 33, 34]) nodes.push(await lab.open({ host, codecs: ['PCMU'] }));
    for (const node of nodes) node.onInvite(one => one.reject(486));
    const phone = await lab.open({ host: 200 });
    const ids = Array.from({ length: 60 }, (_, i) => `slot-${i}`);
    const where = async (round: string): Promise<Map<string, number>> => {
      const calls = await Promise.all(
        ids.map(id => phone.invite(target(), { callId: id, headers: [['Subject', round]] })),
      );
      for (const one of calls) assert.equal(await one.rejected(), 486);
      const at = (id: string): number =>
        nodes.findIndex(node => node.ladder.rows(id).some(({ message }) => message.get('Subject') === round));
      return new Map(ids.map(id => [id, at(id)]));
    };
    const home = await where('home');
    assert.deepEqual(new Set(home.values()), new Set([0, 1, 2, 3]));
    for (const [state, round] of [
      ['dead', 'one'],
      ['draining', 'two'],
    ] as const) {
      await lab.setNodeState('call-2', state);
      const now = await where(round);
      const moved = ids.filter(id => now.get(id) !== home.get(id));
      assert.deepEqual(
        moved,
        ids.filter(id => home.get(id) === 1),
        'only its own calls move',
      );
      assert.ok(new Set(moved.map(id => now.get(id))).size > 1, 'to more than one node');
    }
    await lab.setNodeState('call-2', 'up');
    assert.deepEqual(await where('back'), home);
  });

  it('give a new node no more than its share', async () => {
    const order = async (): Promise<readonly string[]> =>
      (await lab.edge.dispatcher())[0]!.rows.filter(row => row.setid === 1).map(row => row.destination);
    const two = await order();
    await lab.apply({
      nodes: [...first.nodes, { name: 'call-3', farm: 'call', address: lab.address(33), state: 'up' }],
    });
    const three = await order();
    const changed = three.filter((destination, i) => destination !== two[i]);
    assert.ok(changed.every(destination => destination.includes(lab.address(33))));
    assert.ok(changed.length > 25 && changed.length < 65, `${changed.length} of 128`);
  });
});

describe('Tables', () => {
  it('that somebody changed at one instance are reported and repaired', async () => {
    const client = meddler(0);
    await client.request('htable.sets', ['nodes', lab.address(240), 'call-9']);
    await client.request('htable.delete', ['sources', lab.address(200)]);
    assert.equal(await lab.edge.ready('kamailio-1'), false);
    await lab.apply({});
    assert.equal(await lab.edge.ready('kamailio-1'), true);
  });

  it('are set where they change, and all is compared when all is applied', async () => {
    const client = meddler(1);
    await lab.setNodeState('call-2', 'dead', 'changes');
    for (const { name } of lab.nodes('kamailio')) assert.equal(await lab.edge.ready(name), true);
    const file = join(lab.host.folder('kamailio-2'), 'tables', 'nodes');
    const isDeadInFile = async (): Promise<boolean> => (await readFile(file, 'utf8')).includes('dead-');
    // Only a start reads it.
    assert.equal(await isDeadInFile(), false);
    await lab.apply({});
    assert.equal(await isDeadInFile(), true);
    await client.request('htable.delete', ['sources', lab.address(200)]);
    await lab.setNodeState('call-2', 'up', 'changes');
    const drifts = (await lab.edge.dispatcher()).map(({ drift }) => drift);
    assert.deepEqual(drifts, [[], [`table sources: ${lab.address(200)} differs`], []]);
    await lab.apply({});
    assert.equal(await lab.edge.ready('kamailio-2'), true);
  });

  it('of thousands of subscribers are taken and checked', async () => {
    const subscribers = Array.from({ length: 3000 }, (_, i) => ({ ...first.subscribers[0]!, user: `u${i}` }));
    await lab.apply({ subscribers });
    assert.equal(await lab.edge.ready('kamailio-3'), true);
    await lab.apply({ subscribers: subscribers.slice(1) });
    assert.equal(await lab.edge.ready('kamailio-2'), true);
  });
});

describe('An instance', () => {
  it('that is down is reported and not waited for, and holds everything when it is back', async () => {
    const [node] = lab.nodes('kamailio');
    await lab.host.kill(node!.name);
    const startedMs = performance.now();
    const apply = async (): Promise<boolean> => {
      const reports = await lab.edge.apply({ ...lab.state, fenced: ['call-2'] });
      return reports.map(report => report.equal).join() === 'false,true,true';
    };
    await waitFor('the others to hold it', apply, { deadlineMs: 5_000 });
    assert.ok(performance.now() - startedMs < 5_000, 'not what all questions may take');
    lab.state = { ...lab.state, fenced: ['call-2'] };
    await lab.edge.pin('a-ringing-call', 'call-2', 60);
    await lab.start(node!);
    await waitFor('it to hold what the others hold', async () => {
      await lab.apply({});
      return lab.edge.ready(node!.name);
    });
    const client = meddler(0);
    const pin = JSON.stringify(await client.request('htable.get', ['pins', 'a-ringing-call']));
    assert.match(pin, new RegExp(lab.address(32)));
  });
});

describe('An instance that is suspect', () => {
  it('keeps nobody waiting where it does not answer, and holds everything when it does', async () => {
    const node = lab.nodes('kamailio')[2]!;
    const { pid, startTicks } = lab.host.process(node.name)!;
    const processes = sessionOf({ pid, startTicks });
    const nodes = lab.state.nodes.map(one => (one.name === node.name ? { ...one, state: 'suspect' as const } : one));
    for (const one of processes) signal(one.pid, 'SIGSTOP');
    try {
      for (let i = 0; i < 3; i++) {
        const reports = await lab.edge.apply({ ...lab.state, nodes });
        assert.deepEqual(
          reports.map(({ equal, error = '' }) => `${equal} ${error}`),
          ['true ', 'true ', `false ${node.name} has not answered to a change yet`],
        );
      }
    } finally {
      for (const one of processes) signal(one.pid, 'SIGCONT');
    }
    await waitFor('it to hold what the others hold', async () => {
      await lab.edge.apply({ ...lab.state, nodes });
      return lab.edge.ready(node.name);
    });
  });
});

describe('A pinned call', () => {
  it('is cancelled and repeated at its node whatever the slots say', async () => {
    const nodes = await lab.openNodes(call => call.ring());
    const phone = await lab.open({ host: 200 });
    // So many that, by any Call-IDs, some are at the node that is to leave.
    const calls = await Promise.all(Array.from({ length: 24 }, () => phone.invite(target())));
    for (const call of calls) await call.ringing();
    const at = (index: number): readonly SipCall[] => nodes[index]!.calls;
    assert.ok(at(0).length > 0);
    for (const call of at(0)) await lab.edge.pin(call.callId, 'call-1', 60);
    await lab.setNodeState('call-1', 'draining');
    const before = nodes.map(node => node.calls.length);
    for (const call of calls) await phone.sendRaw(call.invite.toString(), lab.publicVip);
    for (const call of calls) assert.equal(await call.cancel(), 487);
    assert.deepEqual(
      nodes.map(node => node.calls.length),
      before,
      'no second call',
    );
    for (const call of at(0)) assert.ok(call instanceof IncomingCall && call.isCancelled);
    for (const call of calls) await lab.edge.unpin(call.callId);
  });
});

describe('An engine', () => {
  async function back(...numbers: readonly string[]): Promise<void> {
    for (const node of lab.nodes('rtpengine')) if (numbers.includes(String(node.index))) await lab.start(node);
    await waitFor('every Kamailio to have it', () => lab.apply({}).then(() => true));
  }

  it('that died is replaced by its successor in calls that are up, at the next re-INVITE', async () => {
    const nodes = await lab.openNodes(async call => void call.answer().catch(() => undefined));
    const phone = await lab.open({ host: 200 });
    const call = await phone.invite(target(), { codecs: ['PCMA'] });
    await call.answered();
    const inside = nodes.flatMap(node => node.calls)[0] as IncomingCall;
    await inside.confirmed();
    const dead = /hf=[^.]*\.(e(\d)-1)\./.exec(call.dialog.routeSet[0]!)!;
    const other = dead[2] === '1' ? 'e2-1' : 'e1-1';
    await lab.host.kill(`rtpengine-${dead[2]}`);
    await lab.apply({
      engines: first.engines.map(engine =>
        engine.id === dead[1] ? { ...engine, state: 'dead', successor: other } : engine,
      ),
    });
    await inside.reinvite();
    call.audio.sendTone(440);
    inside.audio.sendTone(660);
    await inside.audio.hears(440);
    await call.audio.hears(660);
    assert.equal(await call.hangup(), 200);
    await back(dead[2]!);
  });

  it('that has died and is not known dead yet costs new calls some time, not their life', async () => {
    await lab.openNodes(async call => void call.answer().catch(() => undefined));
    const phone = await lab.open({ host: 200 });
    await lab.host.kill('rtpengine-1');
    const calls = await Promise.all(Array.from({ length: 8 }, () => phone.invite(target(), { codecs: ['PCMA'] })));
    for (const call of calls) {
      await call.answered();
      assert.match(call.dialog.routeSet[0]!, /\.e2-1\./);
      assert.equal(await call.hangup(), 200);
    }
    await back('1');
  });

  it('that is back has calls at once, though it was left out while it did not answer', async () => {
    await lab.openNodes(async call => void call.answer().catch(() => undefined));
    const phone = await lab.open({ host: 200 });
    for (const { name } of lab.nodes('rtpengine')) await lab.host.kill(name);
    for (let i = 0; i < 6; i++) {
      const refused = await phone.invite(target(), { codecs: ['PCMA'] });
      assert.equal(await refused.rejected(), 503);
    }
    // A process that is late with a copy would leave the engine out once more.
    const count = (test: (message: SipMessage) => boolean): number =>
      phone.ladder.rows().filter(({ message }) => test(message)).length;
    const areRefused = (): boolean =>
      count(({ status }) => status === 503) >= count(({ isRequest, method }) => isRequest && method === 'INVITE');
    await waitFor('each copy to be refused', areRefused);
    await back('1', '2');
    const calls = await Promise.all(Array.from({ length: 6 }, () => phone.invite(target(), { codecs: ['PCMA'] })));
    for (const call of calls) await call.answered();
    for (const call of calls) assert.equal(await call.hangup(), 200);
  });
});
