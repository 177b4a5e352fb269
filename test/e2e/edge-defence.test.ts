// An edge that is scanned, guessed at and flooded, in its own and in others' names, while honest calls go on.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { BanStatus } from '../../core/control/views.js';
import { attackAll, strayRequest } from '../harness/attackers.js';
import { closeAll } from '../harness/close-all.js';
import { Farm } from '../harness/farm.js';
import { flood } from '../harness/flood.js';
import { localConfig } from '../harness/local-config.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import type { HostPort } from '../harness/sip-message.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

const domain = 'holdfast.test';
const phoneHost = 225;

async function config(): Promise<string> {
  const usual = await localConfig();
  return usual.replace(/(call|conference|registrar|rtpengine): 2/g, '$1: 1').replace('kamailio: 3', 'kamailio: 2');
}

describe('an edge under attack', () => {
  let farm: Farm;
  let phone: SipEndpoint;
  let guesser: SipEndpoint;

  before(async () => {
    farm = await Farm.up({ config: await config() });
    const credentials = { username: '1001', password: 'alice-secret' };
    phone = await SipEndpoint.open({
      address: farm.host(phoneHost),
      codecs: ['PCMA'],
      user: '1001',
      domain,
      credentials,
    });
    guesser = await SipEndpoint.open({ address: farm.host(231), codecs: ['PCMA'] });
  });
  after(async () => {
    await closeAll(phone, guesser);
    await farm.down();
  });

  const bans = (): Promise<readonly BanStatus[]> => farm.json<BanStatus[]>('bans', 'list');
  const counter = async (name: string): Promise<number> =>
    (await farm.status()).nodes.reduce((sum, node) => sum + (node.counters?.[name] ?? 0), 0);
  const registers = async (): Promise<void> => {
    const answer = await phone.register(`sip:${farm.host(100)}:5060`, 300);
    assert.equal(answer.status, 200);
  };
  const calls = async (): Promise<void> => {
    const call = await phone.invite(farm.uri('9001'), { from: `<sip:1001@${domain}>;tag=${Math.random()}` });
    await call.answered();
    await call.hangup();
  };

  const vip = (): HostPort => ({ address: farm.host(100), port: 5060 });

  test('honest calls go on, whoever guesses passwords is banned and nobody else', { timeout: 120_000 }, async t => {
    await registers();
    await calls();
    const pids = await farm.pids();
    const uas = await Sipp.uas({ address: farm.host(208) });
    const target = vip();
    const honest = await Sipp.uac({
      ...{ address: farm.host(200), target, service: '70001', calls: 60, rate: 5, holdMs: 1_000, deadlineMs: 90_000 },
    });
    let over = false;
    const isOver = (): boolean => over;
    t.after(() => void (over = true));
    const real = phone.ladder.rows().map(({ message }) => message.toString());
    const attacks = attackAll({ farm, domain, phoneHost, real, mutationsPerSecond: 400, isOver });
    while (!isOver() && (await bans()).length === 0) {
      const wrong = { username: '1002', password: 'guessed' };
      await guesser
        .invite(farm.uri('9001'), { credentials: wrong })
        .then(call => call.rejected(500))
        .catch(() => undefined);
    }
    const result = await honest.finished();
    await calls();
    over = true;
    // What it was not answered comes again for 32 s: it would be banned once more.
    await guesser.close();
    const { scanned } = await attacks;
    await uas.stop();
    assert.deepEqual([result.successful, result.failed], [60, 0], result.errors);
    assert.equal(scanned, 0, 'a scanner is not answered');
    assert.deepEqual(
      (await bans()).map(({ source, reason }) => `${source}: ${reason}`),
      [`${farm.host(231)}: wrong passwords`],
    );
    assert.deepEqual(await farm.pids(), pids, 'no process was restarted');
    await calls();
    await registers();
    for (const name of ['dropped.scanner', 'dropped.rate', 'refused.password'])
      assert.ok((await counter(name)) > 0, name);
  });

  test('bans hold on every Kamailio, and are lifted and added by the operator', { timeout: 60_000 }, async () => {
    const heard = async (host: number): Promise<number> => {
      let sent = 0;
      const { answers } = await flood({
        ...{ from: [farm.host(host)], to: vip(), perSecond: 20, isOver: () => sent >= 4 },
        message: (from, n) => {
          sent++;
          return strayRequest('OPTIONS', { from, n, domain, uri: farm.uri('9001') });
        },
      });
      return answers;
    };
    await waitFor('no Kamailio to hear it', async () => (await heard(231)) === 0);
    assert.equal((await farm.cli(['bans', 'lift', farm.host(231)])).code, 0);
    assert.deepEqual(await bans(), []);
    await waitFor('every Kamailio to hear it', async () => (await heard(231)) === 4);
    assert.equal((await farm.cli(['bans', 'add', farm.host(234), '--seconds', '60'])).code, 0);
    // One that did not answer in that moment is told at its next turn.
    await waitFor('no Kamailio to hear the other', async () => (await heard(234)) === 0);
    const refused = await farm.cli(['bans', 'add', farm.host(200)]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /a trunk's, or in edge.allow/);
    assert.equal((await farm.cli(['bans', 'lift', farm.host(200)])).code, 1);
  });
});
