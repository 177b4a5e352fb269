// Registrations through the whole farm: digests, several phones of a subscriber, their times, Path, NAT, q-values; calls that ring them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { RegistrationStatus } from '../../core/control/operations.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { projectRoot } from '../harness/project-root.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import type { Header, SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

const secrets: Readonly<Record<string, string>> = { 1001: 'alice-secret', 1002: 'bob-secret', 1003: 'carol-secret' };
const domain = 'holdfast.test';

describe('registrations', () => {
  let farm: Farm;
  let registrar: string;
  const phones: SipEndpoint[] = [];

  before(async () => {
    const config = await readFile(join(projectRoot, 'examples/local.yaml'), 'utf8');
    farm = await Farm.up({ config: `${config}\nregistration: { keepAliveSeconds: 2 }\n` });
    registrar = `sip:${farm.host(100)}:5060`;
  });
  after(async () => farm.down());
  afterEach(async () => {
    for (const phone of phones.splice(0)) {
      await phone.register(registrar, 0, { headers: [['Contact', '*']] });
      await phone.close();
    }
    await nothingLeft(farm);
    await waitFor('no registration', async () => (await farm.registrations()).length === 0, {
      describe: async () => JSON.stringify(await farm.registrations()),
    });
  });

  const phone = async (host: number, user: string, options: Partial<EndpointOptions> = {}): Promise<SipEndpoint> => {
    const made = await SipEndpoint.open({
      ...{ address: farm.host(host), user, domain, codecs: ['PCMA'] },
      credentials: { username: user, password: secrets[user] ?? '' },
      ...options,
    });
    phones.push(made);
    return made;
  };
  /** Waits until this many phones of the user are registered. */
  const bound = async (user: string, count: number): Promise<readonly RegistrationStatus[]> => {
    const list = async (): Promise<readonly RegistrationStatus[]> =>
      (await farm.registrations()).filter(({ subscriber }) => subscriber === user);
    return waitFor(`${count} phones of ${user}`, async () => {
      const found = await list();
      return found.length === count && found;
    });
  };
  const register = async (who: SipEndpoint, seconds = 600, headers: readonly Header[] = []): Promise<SipMessage> => {
    const response = await who.register(registrar, seconds, { headers });
    assert.equal(response.status, 200, response.toString());
    return response;
  };
  const contactsIn = (response: SipMessage): number => response.all('Contact').length;

  test('MD5 and SHA-256 are offered, either is taken, with a wrong secret neither', async () => {
    for (const algorithm of ['MD5', 'SHA-256'] as const) {
      const credentials = { username: '1001', algorithm };
      const right = await phone(210, '1001', { credentials: { ...credentials, password: 'alice-secret' } });
      await register(right);
      const wrong = await phone(211, '1001', { credentials: { ...credentials, password: 'wrong' } });
      assert.equal((await wrong.register(registrar)).status, 401);
      const challenge = await right.received('a challenge', ({ status }) => status === 401);
      const offered = challenge.all('WWW-Authenticate').map(one => /algorithm="?([^",]*)/i.exec(one)?.[1]);
      assert.deepEqual(offered, ['SHA-256', 'MD5']);
      await register(right, 0);
      for (const one of phones.splice(0)) await one.close();
    }
  });

  test('times: as asked, refreshed, capped, refused when too short; one phone goes, or all', async () => {
    const [one, two] = [await phone(210, '1001'), await phone(211, '1001')];
    await register(one, 120);
    const seconds = async (): Promise<number> => (await bound('1001', 1))[0]?.expiresSeconds ?? 0;
    assert.ok((await seconds()) <= 120);
    await register(one, 1800);
    await waitFor('the refresh', async () => (await seconds()) > 1700);
    await register(one, 100_000);
    await waitFor('the longest time', async () => Math.abs((await seconds()) - 7200) < 20);

    const brief: readonly [Header[], number][] = [
      [[], 59],
      [[['Contact', `${one.contact};expires=10`]], 600],
      [[['Contact', `${one.contact};expires=3600, <sip:1001@${farm.host(219)}>;expires=1`]], 600],
    ];
    for (const [headers, expires] of brief) {
      const refused = await one.register(registrar, expires, { headers });
      assert.deepEqual([refused.status, refused.get('Min-Expires')], [423, '60']);
    }
    await register(one, 30, [['Contact', `${one.contact};expires=60`]]);

    assert.equal(contactsIn(await register(two)), 2);
    await bound('1001', 2);
    assert.equal(contactsIn(await register(one, 0)), 1);
    const [left] = await bound('1001', 1);
    assert.equal(left?.contact, two.contact.slice(1, -1));
    await register(one);
    await bound('1001', 2);
    await register(one, 0, [['Contact', '*']]);
    await bound('1001', 0);
  });

  test('a call rings all phones; the one that answers has it, the other hears that it was answered elsewhere', async () => {
    const [caller, one, two] = [await phone(210, '1001'), await phone(211, '1002'), await phone(212, '1002')];
    await Promise.all([register(one), register(two)]);
    await bound('1002', 2);
    const [atOne, atTwo] = [one.incoming(), two.incoming()];
    const call = await caller.invite(farm.uri('1002'));
    for (const incoming of await Promise.all([atOne, atTwo])) incoming.ring();
    await (await atTwo).answer();
    await call.answered();
    const cancel = await (await atOne).cancelled();
    assert.match(cancel.all('Reason').join(), /SIP\s*;\s*cause=200\s*;\s*text="Call completed elsewhere"/);
    await call.hangup();
    await (await atTwo).ended();
  });

  test('phones that are wanted less ring when nobody has answered', async () => {
    const [caller, best, other] = [await phone(210, '1001'), await phone(211, '1002'), await phone(212, '1002')];
    const both = `${best.contact};q=0.9, ${other.contact};expires=300;q=0.25`;
    await register(best, 600, [['Contact', both]]);
    assert.deepEqual((await bound('1002', 2)).map(({ q }) => q).sort(), [0.25, 0.9]);
    const [atBest, atOther] = [best.incoming(), other.incoming(20_000)];
    const call = await caller.invite(farm.uri('1002'));
    await (await atBest).reject(486);
    assert.equal(other.calls.length, 0);
    await (await atOther).answer();
    await call.answered();
    await call.hangup();
    await (await atOther).ended();
  });

  test('through a proxy of its own that put itself into Path', async () => {
    const [caller, proxied, proxy] = [await phone(210, '1001'), await phone(211, '1002'), await phone(220, '1003')];
    const path: Header[] = [
      ['Supported', 'outbound'],
      ['Path', `<sip:edge@${proxy.address}:5060;lr;of=bob>`],
    ];
    const response = await register(proxied, 600, path);
    assert.equal(response.get('Path'), '', 'nothing of the inside');
    await bound('1002', 1);
    const atProxy = proxy.incoming();
    const call = await caller.invite(farm.uri('1002'));
    const incoming = await atProxy;
    assert.equal(incoming.invite.requestUri, proxied.contact.slice(1, -1));
    assert.deepEqual(incoming.invite.all('Route'), [`<sip:edge@${proxy.address}:5060;lr;of=bob>`]);
    assert.equal(proxied.calls.length, 0);
    incoming.ring();
    await call.cancel();
    await incoming.cancelled();
  });

  test('a Path that names the inside is refused', async () => {
    const thief = await phone(211, '1002');
    for (const path of [`<sip:${farm.host(101)};lr>`, `<sip:${farm.host(210)};lr;hfn=${farm.host(210)}~5060>`]) {
      const response = await thief.register(registrar, 600, { headers: [['Path', path]] });
      assert.equal(response.status, 403, path);
    }
  });

  describe('behind NAT', () => {
    const inner = '127.9.9.9';
    /** A phone that believes to be at another address and port than what its packets come from. */
    const natted = (host: number, user: string, port: number): Promise<SipEndpoint> => {
      const outer = new RegExp(`\\b${farm.host(host).replaceAll('.', '\\.')}(:${port})?\\b(?!~)`, 'g');
      const writes = (text: string): string => text.replace(outer, (_, at) => (at ? `${inner}:5060` : inner));
      return phone(host, user, { port, writes });
    };

    test('a phone is rung, refuses, is cancelled, talks and is hung up on where it really is', async () => {
      const [caller, callee] = [await phone(210, '1001'), await natted(211, '1002', 40_001)];
      const response = await register(callee);
      assert.match(response.get('Contact'), new RegExp(`sip:1002@${inner}:5060`), 'it finds its own contact');
      const [binding] = await bound('1002', 1);
      assert.equal(binding?.behindNat, `${callee.address}:40001`);

      const first = callee.incoming();
      const refused = await caller.invite(farm.uri('1002'));
      await (await first).reject(486);
      assert.equal(await refused.rejected(), 486);

      const second = callee.incoming();
      const cancelled = await caller.invite(farm.uri('1002'));
      (await second).ring();
      await cancelled.cancel();
      await (await second).cancelled();

      const third = callee.incoming();
      const call = await caller.invite(farm.uri('1002'));
      await (await third).answer();
      await call.answered();
      call.audio.sendTone(440);
      await (await third).audio.hears(440);
      await call.hangup();
      await (await third).ended();
    });

    test('a phone calls, and is hung up on by the other side', async () => {
      const [caller, callee] = [await natted(211, '1001', 40_002), await phone(210, '1002')];
      await register(callee);
      await bound('1002', 1);
      const incoming = callee.incoming();
      const call = await caller.invite(farm.uri('1002'));
      await (await incoming).answer();
      await call.answered();
      await (await incoming).hangup();
      await call.ended();
    });

    test('the way through the NAT is kept open', async () => {
      const callee = await natted(211, '1002', 40_003);
      await register(callee);
      await callee.received('a keep-alive', ({ method, isRequest }) => isRequest && method === 'OPTIONS', 10_000);
    });
  });
});
