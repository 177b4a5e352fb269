// How gateways have their calls back: challenges to our re-INVITE are answered with the trunk's credentials, and emergency calls are first.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { recordOf } from '../harness/call-records.js';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { Capture } from '../harness/pcap.js';
import { PhonePair } from '../harness/phone-pair.js';
import { SharedDeath } from '../harness/shared-death.js';
import { challenging, type ReinviteBehaviour } from '../harness/sip-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

const realm = 'carrier.example';
const ours = { username: 'us', password: 'ours' };

/** Re-INVITEs a second: slow enough that an order can be seen, and the trunk slower than its share of the node's. */
const paces = { node: 5, other: 2 };

async function config(): Promise<string> {
  const text = await localConfig();
  const trunks = [
    `carrier: { sources: [.207], gateways: [.207:5060], credentials: { username: us, secret: ours } }`,
    `other: { sources: [.206], gateways: [.206:5060] }`,
  ];
  return text
    .replace('.200-.207', '.200-.205')
    .replace('trunks:\n', `trunks:\n${trunks.map(trunk => `  ${trunk}\n`).join('')}`)
    .replace(
      '    routes:\n',
      '    routes:\n      - { dial: 75xxx, to: [{ trunk: carrier }] }\n      - { dial: [76xxx, "112"], to: [{ trunk: other }] }\n',
    )
    .replace(
      '  session-recovery:',
      `  session-recovery: { recoveryPerSecond: ${paces.node}, trunks: { other: { recoveryPerSecond: ${paces.other} } } }`,
    );
}

let farm: Farm;
let phone: SipEndpoint;
let lab: SipEndpoint;
let carrier: SipEndpoint;
let other: SipEndpoint;

before(async () => {
  farm = await Farm.up({ config: await config() });
  const open = async (host: number): Promise<SipEndpoint> =>
    SipEndpoint.open({ address: farm.host(host), user: '100', codecs: ['PCMA'] });
  phone = await open(200);
  lab = await open(208);
  carrier = await open(207);
  other = await open(206);
});
after(async () => {
  try {
    await farm.whole();
    await nothingLeft(farm);
  } finally {
    await closeAll(phone, lab, carrier, other);
    await farm.down();
  }
});

const kill = async (node: string): Promise<void> => void process.kill(await farm.pid(node), 'SIGKILL');
/** All calls are on the first one; what outlives its death is on the second one. */
const shared = new SharedDeath(async count => {
  if (count === 0) await farm.json('undrain', 'call-2');
  else await farm.whole();
  await kill(count === 0 ? 'call-1' : 'call-2');
});

describe('a call node dies, and a gateway challenges our re-INVITE', { concurrency: true }, () => {
  before(async () => {
    await farm.json('drain', 'call-2');
  });

  for (const status of [401, 407] as const) {
    test(
      `${status} to a leg that we called: its credentials are on every call node`,
      { timeout: 180_000 },
      shared.scene(async death => {
        const pair = await shared.inTurn(() => PhonePair.call(farm, phone, carrier, '75001'));
        for (const _ of ['call-1', 'call-2']) {
          pair.callee.onReinvite = challenging(status, realm, ours);
          const { reinvites } = pair;
          await death();
          await pair.reinvited([reinvites[0] ?? 0, (reinvites[1] ?? 0) + 1]);
          await pair.soundsAgain();
        }
        pair.callee.onReinvite = 'answer';
        await pair.holdAndResume();
        await pair.hangup('callee');
        assert.equal((await recordOf(farm, pair.caller.callId)).recoveries, 2);
      }),
    );
  }

  test(
    '407 to a leg that the trunk called',
    { timeout: 180_000 },
    shared.scene(async death => {
      const pair = await shared.inTurn(() => PhonePair.call(farm, carrier, lab, '70001'));
      pair.caller.onReinvite = challenging(407, realm, ours);
      const { reinvites } = pair;
      await death();
      await pair.reinvited([(reinvites[0] ?? 0) + 1, reinvites[1] ?? 0]);
      await pair.soundsAgain();
      pair.caller.onReinvite = 'answer';
      await pair.holdAndResume();
      await pair.hangup('caller');
    }),
  );

  const refusals: readonly (readonly [string, () => Promise<PhonePair>, ReinviteBehaviour])[] = [
    ['a trunk without credentials', () => PhonePair.call(farm, phone, other, '76001'), challenging(407, realm, ours)],
    [
      'a trunk whose credentials it does not take',
      () => PhonePair.call(farm, phone, carrier, '75001'),
      challenging(407, realm, { ...ours, password: 'changed' }),
    ],
  ];
  for (const [what, call, behaviour] of refusals) {
    test(
      `${what}: the call ends on both sides`,
      { timeout: 180_000 },
      shared.scene(async death => {
        const pair = await shared.inTurn(call);
        pair.callee.onReinvite = behaviour;
        const failed = async (): Promise<number> => (await farm.status()).recoveries.sessions.failed;
        const failedBefore = await failed();
        await death();
        assert.equal((await pair.caller.ended(10_000)).by, 'them', pair.caller.ladder());
        assert.equal((await pair.callee.ended(10_000)).by, 'them', pair.callee.ladder());
        const record = await recordOf(farm, pair.caller.callId);
        assert.deepEqual([record.outcome, record.endedBy], ['answered', 'holdfast']);
        assert.match(record.reason, /the callee's session was lost: not recovered, the far end answered 407/);
        await waitFor('the status to count it', async () => (await failed()) > failedBefore);
      }),
    );
  }
});

/** None of these, which are in order, came before its turn; a pace lets a tenth of a second's worth pass at once. */
function assertPaced(whose: string, perSecond: number, sinceDeathMs: readonly number[]): void {
  // The clock of the capture is another one, and timers are rounded.
  const earlyMs = 100 + 10;
  const isNoneEarly = sinceDeathMs.every((ms, i) => ms >= ((i + 1) * 1000) / perSecond - earlyMs);
  assert.ok(
    isNoneEarly,
    `${perSecond} a second ${whose}: ${sinceDeathMs.map(Math.round).join(' ')} ms after the death`,
  );
}

test('an emergency call is recovered first, and none before its turn', { timeout: 90_000 }, async t => {
  const ordinary: PhonePair[] = [];
  const nodeOf = async (pair: PhonePair): Promise<string> => pair.node(farm);
  // Whichever node the emergency call is on, two others are there.
  const fewest = async (): Promise<number> => {
    const nodes = await Promise.all(ordinary.map(nodeOf));
    return Math.min(...['call-1', 'call-2'].map(node => nodes.filter(one => one === node).length));
  };
  while ((await fewest()) < 2) ordinary.push(await PhonePair.call(farm, phone, other, '76001'));
  const emergency = await PhonePair.call(farm, phone, other, '112');
  const node = await emergency.node(farm);
  const there = await Promise.all(ordinary.map(async pair => ((await nodeOf(pair)) === node ? [pair] : [])));
  const pairs = [...there.flat(), emergency];
  const capture = await Capture.start(farm.subnet.cidr, 'udp port 5060');
  t.after(() => capture.close());
  const callNodes = (await farm.status()).nodes.filter(one => one.farm === 'call').map(({ address }) => address);
  const killedMs = Date.now();
  await kill(node);
  const areBack = (): boolean => pairs.every(pair => pair.reinvites.every(count => count > 0));
  await waitFor('all to be back', areBack, { deadlineMs: 30_000 });
  // As the other node sent them: on their way one Kamailio may be later than the next.
  const sent = new Map<string, number>();
  for (const { source, payload, atMs } of await capture.stop()) {
    const message = callNodes.includes(source) ? SipMessage.parse(payload) : undefined;
    // The first of each: what is not answered at once is sent again.
    if (message?.isRequest === true && message.method === 'INVITE' && !sent.has(message.callId))
      sent.set(message.callId, atMs - killedMs);
  }
  const sentTo = (...sides: ('caller' | 'callee')[]): [callId: string, sinceDeathMs: number][] =>
    [...sent].filter(([callId]) => pairs.some(pair => sides.some(side => pair[side].callId === callId)));
  for (const side of ['caller', 'callee'] as const) {
    const order = sentTo(side).map(([callId]) => callId);
    assert.equal(order[0], emergency[side].callId, `the emergency call is back first: ${order.join(' ')}`);
  }
  const times = (all: [string, number][]): number[] => all.map(([, sinceDeathMs]) => sinceDeathMs);
  assertPaced('to the node', paces.node, times(sentTo('caller', 'callee')));
  assertPaced('to the trunk', paces.other, times(sentTo('callee')));
  await Promise.all([...ordinary, emergency].map(pair => pair.hangup('caller')));
});
