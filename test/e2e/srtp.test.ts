// SRTP outside, RTP inside: by policy, through a whole farm with audio in both directions, and through the deaths of its servers.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { statePaths } from '../../core/host/state-folder.js';
import { Baresip } from '../harness/baresip.js';
import { closeAll, openAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { localConfig } from '../harness/local-config.js';
import type { MediaOptions } from '../harness/media-session.js';
import { PhonePair } from '../harness/phone-pair.js';
import { parseSdp } from '../harness/sdp.js';
import type { SipCall } from '../harness/sip-call.js';
import { SipEndpoint, type EndpointOptions } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';

/** `lab` has no SRTP, `secure` and `deaf` nothing else, `either` both; 7xxxx, 61xxx, 62xxx and 63xxx are dialled for them. */
async function srtpConfig(): Promise<string> {
  const config = await localConfig();
  return `${config}\nedge: { tls: {} }\n`
    .replace('.200-.207', '.200-.203')
    .replace(
      'trunks:\n',
      `trunks:
  secure: { sources: [.204], gateways: [.209:5060] }
  either: { sources: [.205], gateways: [.210:5060] }
  deaf: { gateways: [.211:5060] }
`,
    )
    .replace(
      '    default: [opus, G722, PCMA, PCMU]\n',
      `    default: [PCMA, PCMU]
    srtp:
      trunks: { secure: required, deaf: required, either: optional }
      subscribers: { '1001': required, '1002': optional }
`,
    )
    .replace(
      '    routes:\n',
      `    routes:
      - { dial: 61xxx, to: [{ trunk: secure }] }
      - { dial: 62xxx, to: [{ trunk: either }] }
      - { dial: 63xxx, to: [{ trunk: deaf }] }
`,
    );
}

/** The rollover counter, which no packet bears, is 1 after two seconds (RFC 3711 section 3.3.1). */
const firstSequence = 0x10000 - 100;
/** One without transcoding, whose streams go through as they are, one with. */
const stubborn: MediaOptions = { security: 'srtp', codecs: ['PCMU'], firstSequence };
const flexible: MediaOptions = { security: 'optional', codecs: ['PCMA'], firstSequence };

describe('SRTP outside', () => {
  let farm: Farm;
  const open: SipEndpoint[] = [];
  const phone = async (host: number, options: Partial<EndpointOptions> = {}): Promise<SipEndpoint> => {
    const endpoint = await SipEndpoint.open({ address: farm.host(host), ...options });
    open.push(endpoint);
    return endpoint;
  };
  let lab: { caller: SipEndpoint; callee: SipEndpoint };
  let secure: typeof lab;
  let either: typeof lab;

  before(async () => {
    farm = await Farm.up({ config: await srtpConfig() });
    lab = { caller: await phone(200, { codecs: ['PCMU'] }), callee: await phone(208, { codecs: ['PCMU'] }) };
    secure = { caller: await phone(204, stubborn), callee: await phone(209, stubborn) };
    either = { caller: await phone(205, flexible), callee: await phone(210, flexible) };
  });
  after(async () => {
    await closeAll(...open);
    await farm.down();
  });
  afterEach(() => nothingLeft(farm));

  /** What the other side described last, and whether what comes in is SRTP. */
  const seenBy = ({ media, audio }: SipCall): readonly [transport: string | undefined, srtp: boolean] => [
    media.remote?.transport,
    audio.remoteKey !== undefined,
  ];
  const areSound = (pair: PhonePair): void => {
    for (const call of pair.calls) assert.equal(call.audio.unauthentic, 0, call.ladder());
  };
  const allTheWay = async (pair: PhonePair, seen: { caller: unknown; callee: unknown }): Promise<void> => {
    assert.deepEqual(seenBy(pair.caller), seen.caller, pair.caller.ladder());
    assert.deepEqual(seenBy(pair.callee), seen.callee, pair.callee.ladder());
    const keys = pair.calls.map(({ audio }) => audio.remoteKey);
    await pair.holdAndResume();
    assert.deepEqual(
      pair.calls.map(({ audio }) => audio.remoteKey),
      keys,
      'a key that is in use stays',
    );
    areSound(pair);
    await pair.hangup('callee');
  };
  const rtp = ['RTP/AVP', false];
  const srtp = ['RTP/SAVP', true];
  const opportunistic = ['RTP/AVP', true];

  test('each side is as its own policy has it', { timeout: 60_000 }, async () => {
    const [up, down, both] = await Promise.all([
      PhonePair.call(farm, secure.caller, lab.callee, '70001'),
      PhonePair.call(farm, lab.caller, secure.callee, '61001'),
      PhonePair.call(farm, either.caller, either.callee, '62001'),
    ]);
    await Promise.all([
      allTheWay(up, { caller: srtp, callee: rtp }),
      allTheWay(down, { caller: rtp, callee: srtp }),
      allTheWay(both, { caller: opportunistic, callee: opportunistic }),
    ]);
  });

  test(
    'where SRTP is optional a phone without it talks RTP, and one that wants it has it',
    { timeout: 60_000 },
    async () => {
      for (const [security, seen] of [
        ['rtp', rtp],
        ['srtp', srtp],
        ['srtp with feedback', ['RTP/SAVPF', true]],
      ] as const) {
        const arriving = either.callee.incoming(10_000);
        const caller = await either.caller.invite(farm.uri('62001'), { security });
        const callee = await caller.reaches(arriving);
        callee.media.prefers({ security: 'rtp' });
        await allTheWay(await PhonePair.answer(caller, callee), { caller: seen, callee: rtp });
      }
    },
  );

  test('of two streams, one of each kind, the first is taken where SRTP is optional', { timeout: 60_000 }, async () => {
    const secured = ['m=audio 9008 RTP/SAVP 8', `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${'A'.repeat(40)}`];
    for (const [security, other, answer] of [
      ['srtp', ['m=audio 9008 RTP/AVP 8'], [/^audio [1-9]\d* RTP\/SAVP /, /^audio 0 RTP\/AVP /]],
      ['rtp', secured, [/^audio [1-9]\d* RTP\/AVP /, /^audio 0 RTP\/SAVP /]],
    ] as const) {
      const arriving = either.callee.incoming(10_000);
      const caller = await either.caller.invite(farm.uri('62001'), { security, after: other });
      const pair = await PhonePair.answer(caller, await caller.reaches(arriving));
      const { media } = parseSdp((await caller.answered()).body);
      answer.forEach((line, i) => assert.match(media[i] ?? '', line, caller.ladder()));
      await pair.hangup('caller');
    }
  });

  test('what the policy does not have is refused with 488 and a reason', async () => {
    for (const [caller, security, warning] of [
      [lab.caller, 'srtp', '302 holdfast "RTP/AVP only"'],
      [secure.caller, 'rtp', '302 holdfast "RTP/SAVP only"'],
      [secure.caller, 'optional', '302 holdfast "RTP/SAVP only"'],
    ] as const) {
      const call = await caller.invite(farm.uri('70001'), { security });
      assert.equal(await call.rejected(), 488);
      assert.equal(call.final?.get('Warning'), warning);
    }
  });

  test('early media, an offer in the 200, and UPDATE are SRTP too', { timeout: 60_000 }, async () => {
    const arriving = secure.callee.incoming(10_000);
    const caller = await secure.caller.invite(farm.uri('61001'));
    const callee = await caller.reaches(arriving);
    callee.progress();
    await caller.earlyMedia();
    callee.audio.sendTone(880);
    await caller.audio.hears(880);
    const pair = await PhonePair.answer(caller, callee);
    const offer = caller.media.offer({ direction: 'sendonly' });
    const headers = [['Contact', secure.caller.contact] as const, ['Content-Type', 'application/sdp'] as const];
    const { status, body } = await caller.request('UPDATE', headers, offer);
    assert.equal(status, 200, caller.ladder());
    caller.media.accept(body);
    await allTheWay(pair, { caller: srtp, callee: srtp });

    const second = secure.callee.incoming(10_000);
    const delayed = await secure.caller.invite(farm.uri('61001'), { sdp: 'none' });
    await allTheWay(await PhonePair.answer(delayed, await delayed.reaches(second)), { caller: srtp, callee: srtp });
  });

  test('whoever must answer with SRTP, and answers with RTP, has no call', { timeout: 60_000 }, async () => {
    const writes = (text: string): string => text.replace('RTP/SAVP', 'RTP/AVP').replace('\r\ns=-', '\r\ns=--');
    const deaf = await phone(211, { ...stubborn, writes });
    const arriving = deaf.incoming(10_000);
    const caller = await lab.caller.invite(farm.uri('63001'));
    const callee = await caller.reaches(arriving);
    // Its ACK and its BYE may come in any order.
    void callee.answer().catch(() => undefined);
    assert.equal(await caller.rejected(), 488);
    assert.equal((await callee.ended()).by, 'them');
  });

  test('a reload that takes SRTP away leaves calls that are up as they are', { timeout: 60_000 }, async () => {
    const pair = await PhonePair.call(farm, secure.caller, secure.callee, '61001');
    const config = await srtpConfig();
    await farm.reload(config.replaceAll('required', 'off'));
    await allTheWay(pair, { caller: srtp, callee: srtp });
    const refused = await secure.caller.invite(farm.uri('61001'));
    assert.equal(await refused.rejected(), 488);
    await farm.reload(config);
  });

  test('no key is in a file of the farm, nor in what is shown of a call', async () => {
    const pair = await PhonePair.call(farm, secure.caller, secure.callee, '61001');
    const shown = await Promise.all(
      [[], ['--json']].map(how => farm.cli(['call', 'show', pair.caller.callId, ...how])),
    );
    await pair.hangup('caller');
    const rows = open.flatMap(({ ladder }) => ladder.rows());
    const keys = new Set(rows.flatMap(({ message }) => message.body.match(/(?<=inline:)[A-Za-z0-9+/]{38}/g) ?? []));
    assert.ok(keys.size > 20);
    const files = await readdir(farm.state, { recursive: true, withFileTypes: true });
    for (const file of files.filter(one => one.isFile())) {
      // A journal is removed when all of it is in the store.
      const content = await readFile(join(file.parentPath, file.name)).catch((error: unknown) => {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
        throw error;
      });
      for (const key of keys) assert.ok(!content.includes(key), `${file.parentPath}/${file.name} has a key`);
    }
    for (const { code, stdout } of shown) {
      assert.equal(code, 0);
      for (const key of keys) assert.ok(!stdout.includes(key));
    }
  });

  const remoteKeys = (pairs: readonly PhonePair[]): unknown[] =>
    pairs.flatMap(pair => pair.calls.map(({ audio }) => audio.remoteKey));

  test('calls outlive their call node and both RTPEngines, past a rollover', { timeout: 120_000 }, async () => {
    await farm.json('drain', 'call-2');
    const pairs = [
      await PhonePair.call(farm, secure.caller, secure.callee, '61001'),
      await PhonePair.call(farm, either.caller, either.callee, '62001'),
    ];
    await farm.json('undrain', 'call-2');
    const sound = async (): Promise<void> => {
      await Promise.all(pairs.map(pair => pair.soundsAgain()));
      pairs.forEach(areSound);
    };
    for (const call of pairs.flatMap(pair => pair.calls)) {
      await waitFor('a rollover', () => call.audio.sequence < firstSequence, { deadlineMs: 20_000 });
    }
    await sound();
    const keys = remoteKeys(pairs);
    const reinvites = pairs.map(pair => pair.reinvites);
    await farm.kill('call-1');
    await Promise.all(pairs.map((pair, i) => pair.reinvited(reinvites[i] ?? [])));
    await sound();
    assert.deepEqual(remoteKeys(pairs), keys, 'the keys go on');
    for (const engine of ['rtpengine-1', 'rtpengine-2']) {
      await farm.whole();
      await farm.kill(engine);
      await sound();
    }
    for (const [i, key] of remoteKeys(pairs).entries())
      assert.notDeepEqual(key, keys[i], 'another engine, another key');
    await Promise.all(pairs.map(pair => pair.holdAndResume()));
    for (const { caller, callee } of pairs) {
      callee.audio.resetReport();
      await caller.audio.sendDigits('17#');
      await waitFor('digits', () => callee.audio.report().digits === '17#', { describe: () => callee.ladder() });
    }
    await Promise.all(pairs.map(pair => pair.hangup('caller')));
  });

  test('baresip, as caller on TLS and as callee on UDP, whose call node dies', { timeout: 90_000 }, async () => {
    const options = { farm, domain: 'holdfast.test' };
    const phones = await openAll(
      Baresip.start({
        ...options,
        ...{ user: '1001', secret: 'alice-secret', address: farm.host(221), hz: 440 },
        mediaenc: 'srtp-mand',
        tls: { trusts: join(statePaths(farm.state).certificateFolder, 'own/certificate.pem') },
      }),
      Baresip.start({
        ...options,
        ...{ user: '1002', secret: 'bob-secret', address: farm.host(222), hz: 660 },
        mediaenc: 'srtp',
      }),
    );
    try {
      const [alice, bob] = phones;
      await waitFor('two bindings', async () => (await farm.registrations()).length === 2);
      await farm.whole();
      await farm.json('drain', 'call-2');
      const arriving = either.callee.incoming(10_000);
      await alice.dial(farm.uri('62001'));
      const callee = await (await arriving).answer();
      const caller = await secure.caller.invite(farm.uri('1002'));
      await bob.is('incoming');
      await bob.accept();
      await caller.answered();
      await farm.json('undrain', 'call-2');
      const sides = [
        { phone: alice, call: callee },
        { phone: bob, call: caller },
      ] as const;
      const sound = async (): Promise<void> => {
        for (const {
          phone: { hz },
          call,
        } of sides)
          await call.audio.hears(hz);
        await Promise.all(phones.map(async one => one.plays()));
        for (const { phone: one, call } of sides) {
          assert.doesNotMatch(one.story(), /failed to decrypt/);
          assert.equal(call.audio.unauthentic, 0);
          assert.notEqual(call.audio.remoteKey, undefined);
        }
      };
      for (const { call } of sides) call.audio.sendTone(880);
      await sound();
      const offers = phones.map(one => one.offers);
      await farm.kill('call-1');
      await waitFor('re-INVITEs', () => phones.every((one, i) => one.offers > (offers[i] ?? 0)), {
        deadlineMs: 10_000,
      });
      await sound();
      for (const one of phones) {
        await one.hold();
        await one.resume();
      }
      await sound();
      for (const one of phones) await one.hangup();
      await farm.whole();
    } finally {
      await Promise.all(phones.map(async one => one.close()));
    }
  });
});
