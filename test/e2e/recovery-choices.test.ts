// Where the calls of a dead node go when there is a choice: as a plugin wants it, to a third node where the second dies too, and nowhere where none comes up.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { callDaemon } from '../../core/control/control-client.js';
import { statePaths } from '../../core/host/state-folder.js';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { withAri } from '../harness/leftovers.js';
import { localConfig } from '../harness/local-config.js';
import { PhonePair } from '../harness/phone-pair.js';
import { projectRoot } from '../harness/project-root.js';
import { SharedDeath } from '../harness/shared-death.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';

const callNodes = ['call-1', 'call-2', 'call-3'] as const;
const vetoed = '70002';
const wishing = '70003';

async function config(): Promise<string> {
  const plugin = join(projectRoot, 'dist/test/harness/recovery-by-number.js');
  const choices = `skip: { '${vetoed}': a call for a test }, node: { '${wishing}': call-3 }`;
  return (await localConfig())
    .replace('  kamailio: 3\n  call: 2\n  conference: 2\n', '  kamailio: 2\n  call: 3\n  conference: 1\n')
    .replace('  registrar: 2\n  rtpengine: 2\n', '  registrar: 1\n  rtpengine: 1\n')
    .replace('plugins:\n', `plugins:\n  recovery-by-number: { from: ${plugin}, ${choices} }\n`);
}

let farm: Farm;
let alice: SipEndpoint;
let bob: SipEndpoint;

before(async () => {
  farm = await Farm.up({ config: await config() });
  alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
  bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
});
after(async () => {
  try {
    await farm.whole();
    await nothingLeft(farm);
  } finally {
    await closeAll(alice, bob);
    await farm.down();
  }
});

const kill = async (node: string): Promise<void> => void process.kill(await farm.pid(node), 'SIGKILL');
const drain = (node: string): Promise<unknown> =>
  callDaemon(statePaths(farm.state).controlSocket, 'drain', { node, wait: false });
const undrain = (node: string): Promise<unknown> =>
  callDaemon(statePaths(farm.state).controlSocket, 'undrain', { node });

interface Line {
  readonly time: string;
  readonly msg: string;
}

async function logged(message: RegExp): Promise<readonly Line[]> {
  const lines = (await readFile(statePaths(farm.state).daemonLog, 'utf8')).split('\n').filter(line => line !== '');
  return lines.map(line => JSON.parse(line) as Line).filter(({ msg }) => message.test(msg));
}

/** Which dialogs of this call a node's Asterisk itself has channels for, by Call-ID. */
async function dialogsOn(node: string, pair: PhonePair): Promise<readonly string[]> {
  const address = (await farm.status()).nodes.find(({ name }) => name === node)?.address ?? '';
  return withAri(farm, node, address, async ({ channels }) => {
    const variable = 'CHANNEL(pjsip,call-id)';
    const found = await Promise.all(
      // One of another call may end meanwhile.
      (await channels.list()).map(({ id }) =>
        channels.getChannelVar({ channelId: id, variable }).catch(() => ({ value: '' })),
      ),
    );
    return callIdsOf(pair).filter(callId => found.some(({ value }) => value === callId));
  });
}

const callIdsOf = (pair: PhonePair): readonly string[] => pair.calls.map(({ callId }) => callId);

async function endsOnBothSides(pair: PhonePair, deadlineMs: number): Promise<void> {
  for (const call of pair.calls) assert.equal((await call.ended(deadlineMs)).by, 'them', call.ladder());
}

const shared = new SharedDeath(async () => {
  await undrain('call-2');
  await undrain('call-3');
  await kill('call-1');
});

describe('a call node dies, and', { concurrency: true }, () => {
  before(async () => {
    await drain('call-2');
    await drain('call-3');
  });

  const call = (number: string): Promise<PhonePair> => shared.inTurn(() => PhonePair.call(farm, alice, bob, number));

  test(
    'a plugin vetoes the recovery of a call: it ends on both sides',
    { timeout: 90_000 },
    shared.scene(async death => {
      const pair = await call(vetoed);
      const { reinvites } = pair;
      await death();
      await endsOnBothSides(pair, 10_000);
      assert.deepEqual(pair.reinvites, reinvites);
      const { outcome, endedBy, recoveries, nodes, reason } = await recordOf(farm, pair.caller.callId);
      assert.deepEqual([outcome, endedBy, recoveries, nodes], ['answered', 'holdfast', 0, ['call-1']]);
      assert.equal(reason, "the caller's session was lost: not recovered, a plugin says: a call for a test");
      assert.equal((await logged(/^leg \S+ is not recovered: a plugin says: a call for a test$/)).length, 2);
    }),
  );

  // By their load one of them would go to call-2.
  for (const nth of ['first', 'second']) {
    test(
      `a plugin wants a call on a certain node, the ${nth} of two: it is there`,
      { timeout: 90_000 },
      shared.scene(async death => {
        const pair = await call(wishing);
        const { reinvites } = pair;
        await death();
        await pair.reinvited(reinvites);
        await pair.soundsAgain();
        assert.deepEqual(await dialogsOn('call-3', pair), callIdsOf(pair));
        await pair.hangup('caller');
        const { nodes, recoveries } = await recordOf(farm, pair.caller.callId);
        assert.deepEqual([nodes, recoveries], [['call-1', 'call-3'], 1]);
      }),
    );
  }

  test(
    'the node that a call is recovered on dies before the phone has answered: a third one has it back',
    { timeout: 90_000 },
    shared.scene(async death => {
      const pair = await call('70001');
      const [, before = 0] = pair.reinvites;
      const targets: string[] = [];
      pair.callee.onReinvite = async () => {
        pair.callee.onReinvite = 'answer';
        const target = await pair.node(farm);
        targets.push(target);
        await kill(target);
        return 'ignore' as const;
      };
      await death();
      await pair.reinvited([0, before + 1]);
      await pair.soundsAgain();
      const third = callNodes.find(name => name !== 'call-1' && !targets.includes(name)) ?? '';
      assert.deepEqual(await dialogsOn(third, pair), callIdsOf(pair));
      await pair.holdAndResume();
      await pair.hangup('callee');
      const { outcome, nodes, recoveries } = await recordOf(farm, pair.caller.callId);
      assert.deepEqual([outcome, nodes[0], nodes.at(-1)], ['answered', 'call-1', third]);
      // Two where the other phone was back before the second death.
      assert.ok(recoveries === 1 || recoveries === 2, `${recoveries} recoveries`);
    }),
  );
});

test('no call node comes up in time: the call ends on both sides', { timeout: 90_000 }, async () => {
  const patienceSeconds = 2;
  await farm.whole();
  const impatient = `  session-recovery: { patienceSeconds: ${patienceSeconds} }`;
  await farm.reload((await config()).replace('  session-recovery:', impatient));
  const pair = await PhonePair.call(farm, alice, bob);
  // They start again, and are not up.
  for (const node of callNodes) await drain(node);
  for (const node of callNodes) await kill(node);
  await endsOnBothSides(pair, 15_000);
  const [waiting, ...more] = await logged(/^no call node is up: 2 sessions wait 2 s for one; see holdfast nodes$/);
  assert.ok(waiting);
  assert.deepEqual(more, []);
  for (const [i, { callId }] of pair.calls.entries()) {
    const { ladder } = i === 0 ? alice : bob;
    const bye = ladder.rows(callId).find(({ message }) => message.isRequest && message.method === 'BYE');
    const waitedMs = performance.timeOrigin + (bye?.atMs ?? 0) - Date.parse(waiting.time);
    assert.ok(waitedMs >= patienceSeconds * 1_000 - 20, `a BYE after ${waitedMs} ms\n${ladder.print(callId)}`);
  }
  const { outcome, endedBy, reason, recoveries } = await recordOf(farm, pair.caller.callId);
  assert.deepEqual([outcome, endedBy, recoveries], ['answered', 'holdfast', 0]);
  assert.match(reason, /session was lost: not recovered, no call node came up in time$/);
  for (const node of callNodes) await undrain(node);
});
