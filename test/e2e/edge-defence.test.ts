// An edge that is scanned, guessed at and flooded, in its own and in others' names, while honest calls go on.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BanStatus } from '../../core/control/operations.js';
import { Farm } from '../harness/farm.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { Sipp } from '../harness/sipp.js';
import { waitFor } from '../harness/wait-for.js';

const domain = 'holdfast.test';
const phoneHost = 225;

async function config(): Promise<string> {
  const usual = await readFile(join(projectRoot, 'examples/local.yaml'), 'utf8');
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
    await Promise.allSettled([phone.close(), guesser.close()]);
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

  function request(method: string, from: string, n: number, headers: readonly string[] = []): string {
    const id = `${method}-${n}-${Math.random()}`;
    const uri = method === 'REGISTER' ? `sip:${domain}` : farm.uri('9001');
    return [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${from}:5060;branch=z9hG4bK-${id};rport`,
      `From: <sip:1001@${domain}>;tag=${n}`,
      `To: <${uri}>`,
      `Call-ID: ${id}`,
      `CSeq: 1 ${method}`,
      'Max-Forwards: 70',
      `Contact: <sip:1001@${from}:5060>`,
      ...headers,
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
  }
  /** `perSecond` datagrams from each address, on ports of their own, until it is over; how many were answered. */
  async function flood(
    hosts: readonly number[],
    perSecond: number,
    isOver: () => boolean,
    text: (from: string, n: number) => string,
  ): Promise<number> {
    let answers = 0;
    const sockets = await Promise.all(
      hosts.map(async host => {
        const socket = createSocket('udp4').on('message', () => answers++);
        await new Promise<void>(resolve => socket.bind(0, farm.host(host), resolve));
        return { socket, from: farm.host(host) };
      }),
    );
    for (let n = 0; !isOver(); n++) {
      for (const { socket, from } of sockets)
        for (let i = 0; i < perSecond / 20; i++) socket.send(text(from, n * 1_000 + i), 5060, farm.host(100));
      await sleep(50);
    }
    for (const { socket } of sockets) socket.close();
    return answers;
  }

  test('honest calls go on, whoever guesses passwords is banned and nobody else', { timeout: 120_000 }, async () => {
    await registers();
    await calls();
    const pids = await farm.pids();
    const uas = await Sipp.uas({ address: farm.host(208) });
    const target = { address: farm.host(100), port: 5060 };
    const honest = await Sipp.uac({
      ...{ address: farm.host(200), target, service: '70001', calls: 60, rate: 5, holdMs: 1_000, deadlineMs: 90_000 },
    });
    let over = false;
    const isOver = (): boolean => over;
    const forged =
      'Proxy-Authorization: Digest username="1001", realm="holdfast.test", nonce="x", uri="sip:x", response="0"';
    const spoofed = [...Array.from({ length: 12 }, (_, i) => 240 + i), phoneHost];
    const attacks = Promise.all([
      flood([230], 100, isOver, (from, n) => request('OPTIONS', from, n, ['User-Agent: friendly-scanner'])),
      flood([232], 400, isOver, (from, n) => request('INVITE', from, n)),
      flood(spoofed, 40, isOver, (from, n) => request(n % 2 === 0 ? 'INVITE' : 'REGISTER', from, n, [forged])),
      flood([233], 40, isOver, (_, n) => `INVITE sip:x SIP/2.0\r\nVia: ${n}\r\nCSeq: x\r\n\r\n`),
    ]);
    while ((await bans()).length === 0) {
      const wrong = { username: '1002', password: 'guessed' };
      await guesser
        .invite(farm.uri('9001'), { credentials: wrong })
        .then(call => call.rejected(500))
        .catch(() => undefined);
    }
    const result = await honest.finished();
    await calls();
    over = true;
    const [scanned] = await attacks;
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
      return flood(
        [host],
        20,
        () => sent >= 4,
        (from, n) => {
          sent++;
          return request('OPTIONS', from, n);
        },
      );
    };
    await waitFor('no Kamailio to hear it', async () => (await heard(231)) === 0);
    assert.equal((await farm.cli(['bans', 'lift', farm.host(231)])).code, 0);
    assert.deepEqual(await bans(), []);
    await waitFor('every Kamailio to hear it', async () => (await heard(231)) === 4);
    assert.equal((await farm.cli(['bans', 'add', farm.host(234), '--seconds', '60'])).code, 0);
    assert.equal(await heard(234), 0);
    const refused = await farm.cli(['bans', 'add', farm.host(200)]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /a trunk's, or in edge.allow/);
    assert.equal((await farm.cli(['bans', 'lift', farm.host(200)])).code, 1);
  });
});
