// Registrations through the whole farm: digests, several phones of a subscriber, their times, Path, NAT, q-values; calls that ring them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegistrationStatus } from '../../core/control/views.js';
import { digestsOf } from '../../core/farm/edge-settings.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import { registerAll } from '../harness/register-storm.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import type { Header, SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';

const secrets: Readonly<Record<string, string>> = { 1001: 'alice-secret', 1002: 'bob-secret', 1003: 'carol-secret' };
const domain = 'holdfast.test';
/** For what takes a loaded machine its time: a server that starts, hundreds of bindings. */
const deadlineMs = 60_000;
/** A nonce of the edge lives for 30 seconds, told in whole ones. */
const nonceMs = 32_000;

describe('registrations', () => {
  let farm: Farm;
  let registrar: string;
  /** What answered a challenge when the first call was placed. */
  let oldest: { readonly credentials: string; readonly sinceMs: number };
  const phones: SipEndpoint[] = [];

  before(async () => {
    farm = await Farm.up({ config: await config('') });
    registrar = `sip:${farm.host(100)}:5060`;
  });
  after(async () => farm.down());
  afterEach(async () => {
    const answers: string[] = [];
    for (const phone of phones.splice(0)) {
      const { status } = await asked(phone, 0, [['Contact', '*']]);
      answers.push(`${phone.address} ${status}`);
      await phone.close();
    }
    await nothingLeft(farm);
    await waitFor('no registration', async () => (await farm.registrations()).length === 0, {
      deadlineMs,
      describe: async () => `${answers.join()} ${JSON.stringify(await farm.registrations()).slice(0, 1000)}`,
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
    const all = async (): Promise<false | readonly RegistrationStatus[]> => {
      const found = await list();
      return found.length === count && found;
    };
    return waitFor(`${count} phones of ${user}`, all, {
      deadlineMs,
      describe: async () => JSON.stringify(await list()),
    });
  };
  /** Where the registrar of a user is another one since the challenge, as after a death, there is one more challenge. */
  const asked = async (who: SipEndpoint, seconds: number, headers: readonly Header[]): Promise<SipMessage> => {
    const response = await who.register(registrar, seconds, { headers });
    return response.status === 401 ? who.register(registrar, seconds, { headers }) : response;
  };
  const register = async (who: SipEndpoint, seconds = 600, headers: readonly Header[] = []): Promise<SipMessage> => {
    const response = await asked(who, seconds, headers);
    assert.equal(response.status, 200, response.toString());
    return response;
  };
  const config = async (subscribers: string): Promise<string> => {
    const text = await localConfig();
    return `${text.replace('subscribers:\n', `subscribers:\n${subscribers}`)}\nregistration: { keepAliveSeconds: 2, digests: [SHA-256, MD5] }\n`;
  };
  /** Gives what waits until it is up again. */
  const kill = async (name: string): Promise<() => Promise<void>> => {
    const pid = await farm.pid(name);
    process.kill(pid, 'SIGKILL');
    return () => farm.nodeAfter(name, pid, deadlineMs);
  };
  const contactsIn = (response: SipMessage): number => response.all('Contact').length;

  test('a call is let in by the digest of its subscriber', async () => {
    const caller = await phone(210, '1001');
    const call = await caller.invite(farm.uri('9001'));
    await call.answered();
    await call.hangup();
    const sent = caller.ladder.rows().map(({ message }) => message.get('Proxy-Authorization'));
    oldest = { credentials: sent.find(value => value !== '') ?? '', sinceMs: performance.now() };
    assert.notEqual(oldest.credentials, '');
  });

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
    await waitFor('the refresh', async () => (await seconds()) > 1700, { deadlineMs });
    await register(one, 100_000);
    await waitFor('the longest time', async () => Math.abs((await seconds()) - 7200) < 20, { deadlineMs });

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
    for (const incoming of await call.reaches(Promise.all([atOne, atTwo]))) incoming.ring();
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
    const first = await call.reaches(atBest);
    assert.equal(other.calls.length, 0);
    await first.reject(486);
    await (await call.reaches(atOther)).answer();
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
    const incoming = await call.reaches(atProxy);
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

  describe('outlive', () => {
    const rings = async (caller: SipEndpoint, callees: readonly SipEndpoint[]): Promise<void> => {
      const incoming = callees.map(callee => callee.incoming());
      const call = await caller.invite(farm.uri('1002'));
      for (const one of await call.reaches(Promise.all(incoming))) one.ring();
      await call.cancel();
      for (const one of await Promise.all(incoming)) await one.cancelled();
    };
    const both = async (): Promise<[SipEndpoint, SipEndpoint, SipEndpoint]> => {
      const made = await Promise.all([phone(210, '1001'), phone(211, '1002'), phone(212, '1002')]);
      await Promise.all([register(made[1]), register(made[2])]);
      await bound('1002', 2);
      return made;
    };

    test('a registrar: all phones ring, the other one knows them, and what is taken back there does not come up again', async () => {
      const [caller, one, two] = await both();
      const [{ node } = { node: '' }] = await bound('1002', 2);
      const isBack = await kill(node);
      await rings(caller, [one, two]);
      const left = await waitFor(
        'a registrar that answers',
        async () => {
          const response = await one.register(registrar, 0);
          return response.status === 200 && response;
        },
        { deadlineMs },
      );
      assert.equal(contactsIn(left), 1, 'the other registrar has had both');
      await bound('1002', 1);
      await isBack();
      // Until all Kamailios know of it, a challenge of one registrar may be answered to the other: that one says that it is stale.
      await farm.whole();
      await bound('1002', 1);
      await rings(caller, [two]);
      assert.equal(contactsIn(await register(one)), 2);
      await bound('1002', 2);
    });

    test('all registrars: phones ring, and none has to register early', async () => {
      const [caller, one, two] = await both();
      const areBack = await Promise.all(['registrar-1', 'registrar-2'].map(kill));
      await rings(caller, [one, two]);
      for (const isBack of areBack) await isBack();
      await bound('1002', 2);
      assert.equal(contactsIn(await register(one)), 2, 'they have been given what they had');
    });

    test('the daemon: it knows them again, and who came and went while it was away', async () => {
      const [caller, one, two] = await both();
      process.kill((await farm.status()).daemon.pid, 'SIGKILL');
      const late = await phone(213, '1002');
      await register(late);
      await register(one, 0);
      await farm.start();
      await bound('1002', 2);
      await rings(caller, [two, late]);
    });
  });

  describe('of subscribers', () => {
    const dave = { username: '1004', password: 'dave-secret-1' };
    test('who come, change and go with a reload: no server starts anew, and only digests leave the daemon', async () => {
      const pids = await farm.pids();
      const one = await phone(211, '1004', { credentials: dave });
      assert.equal((await one.register(registrar)).status, 401);
      await farm.reload(await config(`  '1004': { secret: dave-secret-1 }\n`));
      await register(one);
      await bound('1004', 1);
      const call = await one.invite(farm.uri('9001'));
      await call.answered();
      await call.hangup();

      await farm.reload(await config(`  '1004': { secret: dave-secret-2 }\n`));
      assert.equal((await one.register(registrar)).status, 401);
      assert.equal(await (await one.invite(farm.uri('9001'))).rejected(), 407);
      const changed = await phone(212, '1004', { credentials: { ...dave, password: 'dave-secret-2' } });
      await register(changed);
      await bound('1004', 2);
      const found = await filesWith('dave-secret|alice-secret', ['-r', join(farm.state, 'nodes')]);
      assert.equal(found, '', 'no node has a secret in a file');
      assert.equal(await logsWith(farm, '1004', 'dave-secret-2'), '');

      await farm.reload(await config(''));
      await bound('1004', 0);
      assert.equal((await changed.register(registrar)).status, 401);
      assert.deepEqual(await farm.pids(), pids);
    });
  });

  test('hundreds at a time, while a Kamailio and a registrar are killed: each has to answer one more challenge at most', async context => {
    const users = Array.from({ length: 300 }, (_, i) => `2${String(i).padStart(3, '0')}`);
    const secretOf = (user: string): string => `secret-of-${user}`;
    const added = users.map(user => `  '${user}': { secret: ${secretOf(user)} }\n`).join('');
    // Whatever becomes of it, the next test begins without them.
    context.after(async () => farm.reload(await config('')));
    await farm.reload(await config(added));
    const endpoint = await phone(203, '1001');
    const areBack: (() => Promise<void>)[] = [];
    const killed = async (name: string): Promise<void> => void areBack.push(await kill(name));
    const report = await registerAll({
      ...{ endpoint, registrar, domain, users, secretOf, perSecond: 100 },
      at: { 100: () => killed('kamailio-2'), 200: () => killed('registrar-2') },
    });
    assert.deepEqual([report.registered, report.failures], [users.length, []]);
    const known = async (): Promise<ReadonlySet<string>> =>
      new Set((await farm.registrations()).map(({ subscriber }) => subscriber));
    const waitForBindings = (least: number): Promise<unknown> =>
      waitFor(`${least} bindings`, async () => (await known()).size >= least, {
        deadlineMs,
        describe: async () => {
          const found = await known();
          return `${found.size} of ${users.length}, not ${users
            .filter(user => !found.has(user))
            .slice(0, 10)
            .join(' ')}`;
        },
      });
    for (const isBack of areBack) await isBack();
    await farm.whole();
    // What it granted in its last moment it has told nobody else.
    await waitForBindings(users.length * 0.9);
    const found = await known();
    const lost = users.filter(user => !found.has(user));
    const again = await registerAll({ endpoint, registrar, domain, users: lost, secretOf, perSecond: 100 });
    assert.deepEqual(again.failures, []);
    await waitForBindings(users.length);
    await farm.reload(await config(''));
    await waitFor('none of them', async () => (await farm.registrations()).length === 0, {
      deadlineMs,
      describe: async () => JSON.stringify((await farm.registrations()).slice(0, 3)),
    });
  });

  describe('behind NAT', () => {
    const inner = '127.9.9.9';
    /** A phone that believes to be at another address and port than what its packets come from. */
    const natted = (host: number, user: string, port: number): Promise<SipEndpoint> => {
      const outer = new RegExp(`\\b${farm.host(host).replaceAll('.', '\\.')}(:${port})?\\b(?!~)`, 'g');
      const withInner = (line: string): string =>
        // A Call-ID names no place, and is how the phone knows its call again.
        line.startsWith('Call-ID:') ? line : line.replace(outer, (_, at) => (at ? `${inner}:5060` : inner));
      const writes = (text: string): string => {
        const [head = '', body = ''] = text
          .split('\n')
          .map(withInner)
          .join('\n')
          .split(/(?<=\r\n\r\n)(.*)/s);
        return head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`) + body;
      };
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
      await (await refused.reaches(first)).reject(486);
      assert.equal(await refused.rejected(), 486);

      const second = callee.incoming();
      const cancelled = await caller.invite(farm.uri('1002'));
      (await cancelled.reaches(second)).ring();
      await cancelled.cancel();
      await (await second).cancelled();

      const third = callee.incoming();
      const call = await caller.invite(farm.uri('1002'));
      await (await call.reaches(third)).answer();
      await call.answered();
      // Where its audio comes from is known once there is some.
      (await third).audio.sendTone(660);
      await call.audio.hears(660);
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
      await (await call.reaches(incoming)).answer();
      await call.answered();
      await (await incoming).hangup();
      await call.ended();
    });

    test('a phone whose Contact has an IPv6 address is rung, talks and is hung up on where its Via says', async () => {
      const writes = (text: string): string => text.replace(/^(Contact: <sip:[^@>]*@)[^:;>]*/m, '$1[2001:db8::7]');
      const [caller, callee] = [await phone(210, '1001'), await phone(211, '1002', { writes })];
      const response = await register(callee);
      assert.match(response.get('Contact'), /sip:1002@\[2001:db8::7\]/);
      assert.equal((await bound('1002', 1))[0]?.behindNat, `${callee.address}:5060`);
      const incoming = callee.incoming();
      const call = await caller.invite(farm.uri('1002'));
      await (await call.reaches(incoming)).answer();
      await call.answered();
      assert.equal((await call.reinvite({ direction: 'sendonly' })).status, 200);
      assert.equal(await call.hangup(), 200);
      await (await incoming).ended();
    });

    test('the way through the NAT is kept open', async () => {
      const callee = await natted(211, '1002', 40_003);
      await register(callee);
      await callee.received('a keep-alive', ({ method, isRequest }) => isRequest && method === 'OPTIONS', deadlineMs);
    });
  });

  test('a nonce that is too old is challenged anew, as stale: no phone asks its user for the password again', async () => {
    await sleep(Math.max(0, oldest.sinceMs + nonceMs - performance.now()));
    const caller = await phone(210, '1001');
    const headers: Header[] = [['Proxy-Authorization', oldest.credentials]];
    const call = await caller.invite(farm.uri('9001'), { headers });
    await call.answered();
    const challenge = await caller.received('the challenge', ({ status }) => status === 407);
    assert.match(challenge.get('Proxy-Authenticate'), /stale=true/i);
    await call.hangup();
  });
});

/** Names of logs, and of command lines of the farm's servers, that show the secret of a subscriber, or a digest of it. */
async function logsWith(farm: Farm, user: string, secret: string): Promise<string> {
  const { ha1, ha1Sha256 } = digestsOf(user, domain, secret);
  const pattern = [secret, ha1, ha1Sha256].join('|');
  const { stdout: logs } = await promisify(execFile)('find', [farm.state, '-path', '*/log/*', '-type', 'f']);
  const pids = [...(await farm.pids()).values(), (await farm.status()).daemon.pid];
  const files = [...logs.split('\n').filter(Boolean), ...pids.map(pid => `/proc/${pid}/cmdline`)];
  assert.ok(files.length > pids.length + 10);
  return filesWith(pattern, files);
}

/** Names of the files that have it; grep exits 1 where none has. */
async function filesWith(pattern: string, where: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('grep', ['-lE', pattern, ...where], (error, stdout) => {
      if (error && error.code !== 1) reject(new Error(`grep: ${error.message}`));
      else resolve(stdout);
    });
  });
}
