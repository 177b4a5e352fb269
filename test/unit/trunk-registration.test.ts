// Our registration with a provider: answers to challenges, what is tried when, and what outlives a daemon.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TrunkConfig } from '../../core/config/holdfast-config.js';
import { silentLogger } from '../../core/log.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import { answerChallenge, DigestMemory, readChallenge } from '../../core/trunks/digest-answer.js';
import { attemptRegistration } from '../../core/trunks/register-attempt.js';
import {
  formatRegister,
  readRegisterAnswer,
  type RegisterAnswer,
  type RegisterRequest,
} from '../../core/trunks/register-message.js';
import { afterAttempt, newRegistration, resumedRegistration, wordOf } from '../../core/trunks/registration.js';
import { TrunkRegistrations } from '../../core/trunks/trunk-registrations.js';
import { waitFor } from '../harness/wait-for.js';

const user = { username: 'us', secret: 'ours' };
const contact = 'sip:49@192.0.2.100:5060;line=0123456789abcdef0123456789abcdef';
const aor = '49@provider.example';

describe('a digest', () => {
  /** RFC 7616 §3.9.1 */
  const cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';
  const ofRfc = (algorithm: string): string =>
    `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
  const mufasa = { username: 'Mufasa', secret: 'Circle of Life' };
  const request = { method: 'GET', uri: '/dir/index.html' };

  for (const [algorithm, response] of [
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ] as const) {
    test(`by ${algorithm} is that of RFC 7616`, () => {
      const challenge = readChallenge([ofRfc(algorithm)], false)!;
      const [name, value] = answerChallenge(challenge, mufasa, request, 1, cnonce);
      assert.equal(name, 'Authorization');
      assert.ok(value.includes(`response="${response}"`), value);
      assert.ok(value.includes('nc=00000001') && value.includes('qop=auth') && value.includes('opaque="FQhe/'));
    });
  }

  test('answers the first challenge that it can, also where two are in one field', () => {
    const read = (...values: string[]) => readChallenge(values, true)?.algorithm;
    const [md5, sha] = ['Digest realm="a, b", nonce="n"', 'Digest realm="a", nonce="n", algorithm=SHA-256'];
    assert.equal(read('Digest realm="a", nonce="n", algorithm=AKAv1-MD5', sha, md5), 'SHA-256');
    assert.equal(read(`${md5}, ${sha}`), 'MD5');
    assert.equal(readChallenge([md5], true)?.realm, 'a, b');
    for (const useless of ['Basic realm="a"', 'Digest realm="a"', 'Digest nonce="n"', `${md5}, qop="auth-int"`, ''])
      assert.equal(read(useless), undefined, useless);
  });

  test('escapes what is quoted, counts the uses of a nonce, and answers a challenge without qop as of old', () => {
    const memory = new DigestMemory();
    memory.begin();
    assert.ok(memory.learn(readChallenge(['Digest realm="a \\"b\\"", nonce="n", qop="auth"'], true)!));
    const headers = (): string => memory.headers({ username: 'u"\\', secret: 's' }, request)[0]?.[1] ?? '';
    assert.match(headers(), /username="u\\"\\\\", realm="a \\"b\\"".*nc=00000001/);
    assert.match(headers(), /nc=00000002/);
    const [, old] = answerChallenge(readChallenge(['Digest realm="a", nonce="n"'], false)!, user, request, 1);
    assert.doesNotMatch(old, /nc=|cnonce|qop/);
  });
});

describe('an attempt', () => {
  const challenge = (nonce: string, more = ''): RegisterAnswer => ({
    ...{ sipStatus: 401, reason: 'Unauthorized' },
    challenge: readChallenge([`Digest realm="r", nonce="${nonce}", qop="auth"${more}`], false),
  });
  const ok: RegisterAnswer = { sipStatus: 200, reason: 'OK', grantedSeconds: 300 };
  const digest = new DigestMemory();

  /** Plays these answers; tells what was asked, and what came of it. */
  async function attempt(answers: readonly (RegisterAnswer | null)[], own: object = {}) {
    const asked: RegisterRequest[] = [];
    const left = [...answers];
    const outcome = await attemptRegistration({
      flowTo: () => undefined,
      ...{ aor, contact, callId: 'c', registrars: ['a:5060', 'b:5060'], expiresSeconds: 600, user, digest },
      nextCseq: async () => asked.length + 1,
      ask: async request => {
        asked.push(request);
        return left.shift() ?? null;
      },
      ...own,
    });
    assert.deepEqual(left, []);
    return { asked, outcome };
  }
  const nonces = (asked: readonly RegisterRequest[]) =>
    asked.map(({ credentials }) => /nonce="(\w+)"/.exec(credentials[0]?.[1] ?? '')?.[1]);

  test('answers a challenge, and brings what it has learnt to the next one', async () => {
    const first = await attempt([challenge('one'), ok]);
    assert.deepEqual(nonces(first.asked), [undefined, 'one']);
    assert.equal(first.outcome.refusal, undefined);
    // Too old meanwhile, and the server does not say so.
    const next = await attempt([challenge('two'), ok]);
    assert.deepEqual(nonces(next.asked), ['one', 'two']);
    const stale = await attempt([challenge('three'), challenge('four', ', stale=TRUE'), ok]);
    assert.deepEqual(nonces(stale.asked), ['two', 'three', 'four']);
    assert.equal(stale.outcome.refusal, undefined);
  });

  test('gives up where its password is not taken, and where there is no end to challenges', async () => {
    const fresh = { digest: new DigestMemory() };
    const wrong = await attempt([challenge('one'), challenge('two')], fresh);
    assert.match(wrong.outcome.refusal ?? '', /401 Unauthorized: it does not take the credentials/);
    const endless = await attempt(
      Array.from({ length: 5 }, (_, i) => challenge(`n${i}`, ', stale=true')),
      fresh,
    );
    assert.match(endless.outcome.refusal ?? '', /again and again/);
    const none = await attempt([challenge('one')], { user: undefined });
    assert.match(none.outcome.refusal ?? '', /no credentials/);
    const strange = await attempt([{ sipStatus: 401, reason: 'Unauthorized' }]);
    assert.match(strange.outcome.refusal ?? '', /no digest that is known here/);
  });

  test('asks for longer where it must (423), once', async () => {
    const brief = (minExpiresSeconds?: number): RegisterAnswer => ({
      ...{ sipStatus: 423, reason: 'Interval Too Brief', minExpiresSeconds },
    });
    const longer = await attempt([brief(3600), ok]);
    assert.deepEqual(
      longer.asked.map(one => one.expiresSeconds),
      [600, 3600],
    );
    assert.equal(longer.outcome.askedSeconds, 3600);
    for (const seconds of [600, undefined, 9_999_999])
      assert.match((await attempt([brief(seconds)])).outcome.refusal ?? '', /423/);
  });

  test('goes on to the next registrar after silence and 5xx, and not after a word about us', async () => {
    const { asked, outcome } = await attempt([null, ok]);
    assert.deepEqual([asked.map(one => one.registrar), outcome.registrar], [['a:5060', 'b:5060'], 'b:5060']);
    assert.equal((await attempt([{ sipStatus: 503, reason: '' }, null])).outcome.refusal, 'no answer');
    assert.equal((await attempt([{ sipStatus: 403, reason: 'No' }])).outcome.refusal, '403 No');
  });
});

describe('when it is tried again', () => {
  const outcome = (sipStatus: number, more: Partial<RegisterAnswer> = {}) => ({
    ...{ registrar: 'a:5060', askedSeconds: 600, answer: { sipStatus, reason: '', ...more } },
    refusal: sipStatus === 200 ? undefined : `${sipStatus}`,
  });
  const play = (random: number, ...outcomes: ReturnType<typeof outcome>[]) =>
    outcomes.reduce((state, one) => afterAttempt(state, one, 0, () => random), newRegistration(600, 0));

  test('after half of what was granted, or a little sooner', () => {
    const granted = outcome(200, { grantedSeconds: 100 });
    assert.deepEqual([play(0, granted).nextMs, play(1, granted).nextMs], [50_000, 40_000]);
    assert.equal(play(0, outcome(200)).untilMs, 600_000);
  });

  test('after a failure soon, then less and less often, by chance; seldom where the password was refused', () => {
    const waits = (random: number, ...statuses: number[]) => play(random, ...statuses.map(one => outcome(one))).nextMs;
    assert.deepEqual([waits(0, 503), waits(1, 503), waits(1, 503, 503)], [2_000, 4_000, 8_000]);
    assert.equal(waits(1, ...Array.from({ length: 40 }, () => 503)), 120_000);
    assert.equal(waits(1, 403), 60_000);
    assert.equal(waits(1, ...Array.from({ length: 40 }, () => 401)), 1_800_000);
  });

  test('not before Retry-After is over', () => {
    assert.equal(play(0, outcome(503, { retryAfterSeconds: 300 })).nextMs, 300_000);
    assert.equal(play(0, outcome(503, { retryAfterSeconds: 999_999_999 })).nextMs, 3_600_000);
  });

  test('a refresh that fails takes nothing away before its time', () => {
    const state = play(0, outcome(200, { grantedSeconds: 100 }), outcome(503));
    assert.deepEqual([state.error, wordOf(state, 99_999), wordOf(state, 100_001)], ['503', 'registered', 'failed']);
    assert.equal(wordOf(newRegistration(600, 0), 0), 'trying');
  });

  test('by a later daemon when it would have been by the first', () => {
    const known = { untilMs: 100_000, grantedSeconds: 100, registrar: 'a:5060' };
    assert.deepEqual(
      [10_000, 70_000, 200_000].map(now => resumedRegistration(known, 600, now).nextMs),
      [50_000, 70_000, 200_000],
    );
  });
});

describe('its messages', () => {
  const request: RegisterRequest = {
    ...{ aor, contact, registrar: '192.0.2.1:5070', callId: 'f'.repeat(32), cseq: 7, expiresSeconds: 600 },
    credentials: [['Authorization', 'Digest x']],
  };
  const answer = (status: string, ...lines: string[]): ReturnType<typeof readRegisterAnswer> =>
    readRegisterAnswer(
      Buffer.from(
        [`SIP/2.0 ${status}`, `Call-ID: ${request.callId}`, 'CSeq: 7 REGISTER', ...lines, '', ''].join('\r\n'),
      ),
      callId => (callId === request.callId ? contact : undefined),
    );

  test('name the domain alone, and nothing of where they are sent', () => {
    const text = formatRegister(request, '127.0.0.2:5060');
    assert.match(text, /^REGISTER sip:provider\.example SIP\/2\.0\r\n/);
    assert.match(text, /\r\nTo: <sip:49@provider\.example>\r\n/);
    assert.match(text, /\r\nAuthorization: Digest x\r\n/);
    assert.match(text, /\r\nX-Holdfast-Registrar: sip:192\.0\.2\.1:5070\r\n/);
  });

  test('of an answer what is ours is read, however it is written', () => {
    const line = 'line=0123456789abcdef0123456789abcdef';
    for (const lines of [
      [`Contact: <sip:x@192.0.2.9>;expires=60, <${contact}>;expires=300`],
      ['m: <sip:x@192.0.2.9>;expires=60', `m: "us" <sip:49@10.0.0.1;${line};x=y>;q=1;expires="300"`],
      [`Contact: <sip:49@10.0.0.1>;expires=300`, 'Expires: 60'],
      ['Expires: 300'],
    ])
      assert.equal(answer('200 OK', ...lines)?.answer.grantedSeconds, 300, lines.join());
    assert.equal(answer('200 OK')?.answer.grantedSeconds, undefined);
    assert.equal(answer('423 Too Brief', 'Min-Expires: 3600')?.answer.minExpiresSeconds, 3600);
    assert.equal(answer('503 Busy', 'Retry-After: 18 (soon);duration=3600')?.answer.retryAfterSeconds, 18);
    assert.equal(answer('407 P', 'Proxy-Authenticate: Digest realm="r", nonce="n"')?.answer.challenge?.isProxy, true);
    assert.equal(answer('401 P', 'Proxy-Authenticate: Digest realm="r", nonce="n"')?.answer.challenge, undefined);
  });

  test('what answers nothing of ours is nothing', () => {
    assert.equal(answer('100 Trying'), undefined);
    const other = readRegisterAnswer(
      Buffer.from('SIP/2.0 200 OK\r\nCall-ID: x\r\nCSeq: 1 REGISTER\r\n\r\n'),
      () => undefined,
    );
    assert.equal(other, undefined);
    assert.equal(
      readRegisterAnswer(Buffer.from('\u0000\r\n\r\n'), () => contact),
      undefined,
    );
  });
});

describe('registrations', () => {
  const trunk = (register: object = {}, own: Partial<TrunkConfig> = {}): TrunkConfig => ({
    ...{ name: 't', sources: [], identities: [], gateways: [], trusted: true, probeSeconds: 0, silentMs: 4_000 },
    ...{ numbers: { format: 'as-is' }, credentials: user },
    register: {
      registrars: [{ address: 'a:5060', priority: 1, weight: 1 }],
      ...{ domain: 'provider.example', user: '49', expiresSeconds: 600, ...register },
    },
    ...own,
  });
  const granted: RegisterAnswer = { sipStatus: 200, reason: 'OK', grantedSeconds: 600 };

  function daemon(store = openMemoryStore()) {
    const asked: RegisterRequest[] = [];
    const told: string[] = [];
    const parts = { trunks: [trunk()] as readonly TrunkConfig[], answer: granted as RegisterAnswer | null };
    const registrations = new TrunkRegistrations({
      trunks: () => parts.trunks,
      publicAddress: () => '192.0.2.100:5060',
      lineOf: () => '0123456789abcdef0123456789abcdef',
      ask: async request => {
        asked.push(request);
        await sleep(1);
        return parts.answer;
      },
      names: { srv: () => [] },
      ...{ store, log: silentLogger },
      tell: type => told.push(type),
    });
    const registered = (): Promise<unknown> =>
      waitFor('the registration', () => registrations.status('t')?.state === 'registered');
    return { registrations, asked, told, parts, store, registered };
  }

  test('go on after a restart by the same Call-ID and Contact, with a higher CSeq, and not before they are due', async () => {
    const first = daemon();
    await first.registrations.start();
    await first.registered();
    // Killed: nothing is said to anybody.
    first.registrations.close();
    const second = daemon(first.store);
    await second.registrations.start();
    await second.registered();
    second.registrations.tick(Date.now());
    assert.deepEqual([second.asked.length, second.told], [0, []]);
    second.registrations.tick(Date.now() + 301_000);
    await waitFor('the refresh', () => second.asked.length === 1);
    const [before, after] = [first.asked[0]!, second.asked[0]!];
    assert.deepEqual([after.callId, after.contact, after.cseq], [before.callId, before.contact, before.cseq + 1]);
    assert.equal(before.contact, contact);
    second.registrations.close();
  });

  test('end where the config has them no more, by the password that they were made with', async () => {
    const { registrations, asked, told, parts, registered } = daemon();
    await registrations.start();
    await registered();
    parts.trunks = [];
    await waitFor('the end', () => registrations.status('t') === undefined);
    assert.deepEqual(
      asked.map(one => one.expiresSeconds),
      [600, 0],
    );
    assert.deepEqual(told, ['trunk.registered', 'trunk.unregistered']);
    registrations.close();
  });

  test('of another user are ended before the new one begins; another password is tried at once', async () => {
    const { registrations, asked, parts, registered } = daemon();
    await registrations.start();
    await registered();
    parts.trunks = [trunk({ user: '50' })];
    await waitFor('the new one', () => asked.length === 3);
    assert.deepEqual(
      asked.map(one => [one.aor, one.expiresSeconds]),
      [
        ['49@provider.example', 600],
        ['49@provider.example', 0],
        ['50@provider.example', 600],
      ],
    );
    await registered();
    parts.answer = { sipStatus: 403, reason: 'Forbidden' };
    parts.trunks = [trunk({ user: '50' }, { credentials: { ...user, secret: 'other' } })];
    await waitFor('the other password to be refused', () => registrations.status('t')?.error === '403 Forbidden');
    assert.equal(registrations.status('t')?.state, 'registered');
    assert.equal(registrations.status('t')?.failures, 1);
    registrations.close();
  });

  test('end as the farm goes down, and a registrar that is away holds nobody up', async () => {
    const { registrations, asked, registered, parts } = daemon();
    await registrations.start();
    await registered();
    await registrations.end(5_000);
    assert.equal(asked.at(-1)?.expiresSeconds, 0);
    assert.equal(registrations.status('t')?.state, 'trying');
    const other = daemon();
    await other.registrations.start();
    await other.registered();
    parts.answer = null;
    const startMs = Date.now();
    await Promise.all([other.registrations.end(1), sleep(1)]);
    assert.ok(Date.now() - startMs < 4_000);
  });
});
