// Call flows on a whole farm: what callers hear, press and are connected to, also over the deaths of their node and of the daemon.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { closeAll } from '../harness/close-all.js';
import { nothingLeft } from '../harness/farm-quiet.js';
import { Farm } from '../harness/farm.js';
import { caseFlows, caseRoutes, flowCases, openCaseServer, runCases } from '../harness/flow-cases.js';
import type { IncomingCall } from '../harness/incoming-call.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { isTone, sharesOf, ToneSource } from '../harness/tone.js';
import { waitFor } from '../harness/wait-for.js';
import { formatWav, wavHeaderBytes, wavRate } from '../harness/wav.js';

/** Every sound is a tone, or tones one after the other: [Hz, seconds]. */
const sounds: Readonly<Record<string, readonly (readonly [hz: number, seconds: number])[]>> = {
  menu: [[420, 3]],
  wrong: [[520, 0.8]],
  bye: [[900, 1]],
  announcement: [
    [400, 2],
    [600, 2.5],
    // Longer than a daemon takes to be there again on a slow machine.
    [800, 30],
  ],
  music: [[1500, 2]],
};

/** What a caller hears where a flow has led them: a tone of each place. */
const places = {
  one: 650,
  twelve: 700,
  two: 750,
  silent: 950,
  failed: 1000,
  known: 1100,
  follow: 1200,
  busy: 1300,
} as const;

const place = (label: keyof typeof places): string =>
  `- { action: play, label: ${label}, items: { tone: '${places[label]}', seconds: 4 } }\n    - { action: hangup }`;

const configOf = (folder: string, port: number, closedPort: number, cases: string): string => `
farm: { subnet: 127.40.0.0/24 }
domain: holdfast.test
trunks: { lab: { sources: [.200-.207], gateways: [.208:5060] } }
sounds: ${folder}
webhooks: { crm: { url: 'http://127.0.0.1:${port}/notices', secret: ${secret} } }
flows:
  tones:
    - { action: notify, webhook: crm, event: began, data: { from: '\${caller}' } }
    - { action: play, items: [{ tone: '450', seconds: 1.5 }, { silence: 0.2 }, bye] }
    - { action: notify, webhook: crm, event: heard }
  menu:
    - action: digits_receive
      prompt: menu
      timeoutPrompt: wrong
      choices: { '1': one, '12': twelve, '2': two }
      firstDigitSeconds: 1
      retries: 1
      onTimeout: silent
      onInvalid: silent
    ${place('one')}
    ${place('twelve')}
    ${place('two')}
    ${place('silent')}
  patient:
    - action: digits_receive
      choices: { '12': twelve }
      firstDigitSeconds: 6
      interDigitSeconds: 60
      retries: 0
      onTimeout: silent
      onInvalid: silent
    ${place('twelve')}
    ${place('silent')}
  fetch:
    - { action: answer }
    - { action: fetch, url: 'http://127.0.0.1:${port}/\${dialled}', timeoutSeconds: 2, take: { level: customer.level }, onFailed: failed }
    - { action: condition, if: '\${level}', is: gold, then: known, else: failed }
    ${place('known')}
    ${place('failed')}
  gone:
    - { action: fetch, url: 'http://127.0.0.1:${closedPort}/', onFailed: failed }
    - { action: hangup }
    ${place('failed')}
  follow:
    - { action: fetch, url: 'http://127.0.0.1:${port}/\${dialled}', follow: true, onFailed: failed }
    ${place('failed')}
  connect:
    - { action: answer }
    - { action: connect, label: dial, to: [{ trunk: lab, number: '70001' }], music: music, onBusy: busy }
    - { action: hangup }
    ${place('busy')}
  announcement:
    - { action: play, items: announcement }
    ${place('silent')}
  recorded:
    - { action: record_start, webhook: crm }
    - { action: play, items: music, times: 0, interruptible: true }
    - { action: record_stop }
    - { action: record_start, sides: caller, webhook: crm }
    - { action: play, items: music, times: 0 }
${cases}
  desk:
    - { action: hold, music: music }
    - { action: connect, to: [{ trunk: lab, number: '70001' }], onHangup: quiet }
    - { action: hangup }
    - { action: mute, label: quiet }
    - { action: connect, to: [{ trunk: lab, number: '70001' }], onHangup: handover }
    - { action: hangup }
    - { action: unmute, label: handover }
    - { action: transfer, to: '70002', onFailed: moved }
    - { action: hangup }
    - { action: transfer, label: moved, to: '9400' }
plugins:
  transcoding-policy: { default: [G722, PCMA, PCMU] }
  conference:
  routing:
    routes:
      - { dial: '9001', flow: tones }
      - { dial: '9002', flow: menu }
      - { dial: '9003', flow: patient }
      - { dial: 91xx, flow: fetch }
      - { dial: '9200', flow: gone }
      - { dial: 93xx, flow: follow }
      - { dial: '9400', flow: connect }
      - { dial: '9500', flow: announcement }
      - { dial: '9600', flow: recorded }
      - { dial: '9700', flow: desk }${caseRoutes}
      - { dial: '70002', to: [{ trunk: lab }] }
  registrar:
  session-recovery:
`;

const secret = 'a-secret-of-the-crm';
interface Notice {
  readonly event: string;
  readonly data: Readonly<Record<string, string>>;
}
const notices: Notice[] = [];
let refusals = 0;

/** Takes notices, but not the first time. */
function take(request: IncomingMessage, response: ServerResponse): void {
  let body = '';
  request.on('data', (chunk: Buffer) => (body += chunk.toString()));
  request.on('end', () => {
    if (refusals++ > 0) notices.push(...(JSON.parse(body) as { notices: Notice[] }).notices);
    response.writeHead(notices.length === 0 ? 503 : 204).end();
  });
}

/** A server that is right, wrong, slow, or says what comes next. */
async function openServer(): Promise<Server> {
  const server = createServer((request, response) => {
    const answers: Readonly<Record<string, () => void>> = {
      '/9100': () => response.end('{"customer": {"level": "gold"}}'),
      '/9101': () => response.end('<html>'),
      '/9102': () => response.writeHead(500).end(),
      '/9103': () => void setTimeout(() => response.end('{"customer": {"level": "gold"}}'), 10_000).unref(),
      '/9104': () => response.socket?.destroy(),
      '/9300': () =>
        response.end(`{"flow": [{"action": "play", "items": {"tone": "${places.follow}", "seconds": 4}}]}`),
      '/notices': () => take(request, response),
      '/9301': () => response.end('{"flow": [{"action": "plya", "items": "x"}]}'),
    };
    (answers[request.url ?? ''] ?? (() => response.writeHead(404).end()))();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return server;
}

describe('flows', () => {
  let farm: Farm;
  let config: string;
  let alice: SipEndpoint;
  let bob: SipEndpoint;
  let folder: string;
  let server: Server;
  let cases: Awaited<ReturnType<typeof openCaseServer>>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-sounds-'));
    await chmod(folder, 0o755);
    for (const [name, parts] of Object.entries(sounds)) {
      const source = new ToneSource();
      const samples = parts.flatMap(([hz, seconds]) => [...source.samples(hz, wavRate, wavRate * seconds)]);
      await writeFile(join(folder, `${name}.wav`), formatWav(Int16Array.from(samples)));
    }
    server = await openServer();
    const closed = await openServer();
    const ports = [server, closed].map(one => (one.address() as AddressInfo).port);
    await new Promise(resolve => closed.close(resolve));
    cases = await openCaseServer();
    config = configOf(folder, ports[0] ?? 0, ports[1] ?? 0, caseFlows(cases.ports));
    farm = await Farm.up({ config });
    alice = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] });
    bob = await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] });
  });
  after(async () => {
    await closeAll(alice, bob);
    for (const one of [server, cases.server]) {
      one.closeAllConnections();
      one.close();
    }
    await farm.down();
    await rm(folder, { recursive: true, force: true });
  });

  const dial = async (number: string): Promise<OutgoingCall> => {
    const call = await alice.invite(farm.uri(number));
    await call.answered();
    return call;
  };
  /** Name of the node that the caller is on; one of a test before may not be over yet. */
  const nodeOf = async ({ callId }: OutgoingCall): Promise<string> =>
    (await farm.calls()).flatMap(({ legs }) => legs).find(leg => leg.callId === callId)?.node ?? '';
  const info = async (call: OutgoingCall, digit: string): Promise<void> => {
    const type = ['Content-Type', 'application/dtmf-relay'] as const;
    assert.equal((await call.request('INFO', [type], `Signal=${digit}\r\nDuration=160\r\n`)).status, 200);
  };
  /** The call has come to this place of its flow. */
  const isAt = async (call: OutgoingCall, label: keyof typeof places, deadlineMs = 10_000): Promise<void> => {
    await call.audio.hears(places[label], deadlineMs);
  };

  test(
    'tones, silence and sounds are heard, a webhook is told in order, and the call ends',
    { timeout: 60_000 },
    async () => {
      const call = await dial('9001');
      await call.audio.hears(450);
      await call.audio.hears(900);
      assert.equal((await call.ended()).by, 'them');
      await waitFor('two notices', () => notices.length === 2, { deadlineMs: 10_000 });
      assert.deepEqual(
        notices.map(({ event, data }) => [event, data['from']]),
        [
          ['began', '100'],
          ['heard', undefined],
        ],
      );
    },
  );

  test('a menu hears digits of RFC 4733 and of INFO, during its prompt and after it', { timeout: 60_000 }, async () => {
    const byRtp = await dial('9002');
    await byRtp.audio.hears(420);
    await byRtp.audio.sendDigits('2');
    await isAt(byRtp, 'two');
    await byRtp.hangup();

    const byInfo = await dial('9002');
    await info(byInfo, '1');
    await info(byInfo, '2');
    await isAt(byInfo, 'twelve');
    await byInfo.hangup();

    const ended = await dial('9002');
    await ended.audio.sendDigits('1#');
    await isAt(ended, 'one');
    await ended.hangup();
  });

  test('who presses nothing is told so, asked again, and taken elsewhere', { timeout: 60_000 }, async () => {
    const call = await dial('9002');
    await call.audio.hears(420);
    await call.audio.hears(520, 10_000);
    await call.audio.hears(420);
    await isAt(call, 'silent');
    assert.equal((await call.ended(10_000)).by, 'them');
  });

  test(
    'a server may be right, wrong, slow or gone: every call ends as its flow says',
    { timeout: 60_000 },
    async () => {
      const cases = [
        ['9100', 'known'],
        ['9101', 'failed'],
        ['9102', 'failed'],
        ['9103', 'failed'],
        ['9104', 'failed'],
        ['9200', 'failed'],
        ['9300', 'follow'],
        ['9301', 'failed'],
      ] as const;
      await Promise.all(
        cases.map(async ([number, label]) => {
          const call = await dial(number);
          await isAt(call, label);
          assert.equal((await call.ended(10_000)).by, 'them', number);
        }),
      );
    },
  );

  test(
    'four dozen callers in menus and fetches: each call ends where its flow says',
    { timeout: 180_000 },
    async () => {
      const outcomes = await runCases(farm, alice, { calls: 3 * flowCases.length, atOnce: 12 });
      const wrong = outcomes.filter(({ flowCase, ended, wrong }) => ended !== flowCase.ends || wrong !== undefined);
      assert.deepEqual([outcomes.length, wrong], [3 * flowCases.length, []]);
    },
  );

  test('a caller hears music until somebody answers, and goes on where nobody does', { timeout: 60_000 }, async () => {
    const arriving = bob.incoming(10_000);
    const call = await dial('9400');
    const callee = await call.reaches(arriving);
    callee.ring();
    await call.audio.hears(1500);
    await callee.answer();
    callee.audio.sendTone(660);
    call.audio.sendTone(440);
    await Promise.all([call.audio.hears(660), callee.audio.hears(440)]);
    await callee.hangup();
    await call.ended();

    const busy = bob.incoming(10_000);
    const other = await dial('9400');
    await (await other.reaches(busy)).reject(486);
    await isAt(other, 'busy');
    await other.hangup();
  });

  const isSilent = (callee: IncomingCall): boolean =>
    callee.audio.heard() === undefined && callee.audio.report().packets > 50;
  const hearsSilence = async (callee: IncomingCall): Promise<void> => {
    await waitFor('silence', () => isSilent(callee), {
      deadlineMs: 10_000,
      describe: () => JSON.stringify([callee.audio.heard(), callee.audio.report()]),
    });
  };
  /** Bob answers whoever calls him next once `before` is done, and sends this tone. */
  const answers = async (hz: number, before: () => Promise<unknown>): Promise<IncomingCall> => {
    const arriving = bob.incoming(10_000);
    await before();
    const callee = await (await arriving).answer();
    callee.audio.sendTone(hz);
    return callee;
  };

  test(
    'a caller goes on when the other one hangs up: muted, over the deaths of their node and of the daemon, and handed over to other numbers',
    { timeout: 150_000 },
    async () => {
      const arriving = bob.incoming(10_000);
      const call = await dial('9700');
      call.audio.sendTone(440);
      const first = await call.reaches(arriving);
      await call.audio.hears(1500);
      await first.answer();
      first.audio.sendTone(660);
      await Promise.all([call.audio.hears(660), first.audio.hears(440)]);

      const second = await answers(670, () => first.hangup());
      await call.audio.hears(670);
      await hearsSilence(second);
      process.kill(await farm.pid(await nodeOf(call)), 'SIGKILL');
      const areBack = (): boolean => [call, second].every(one => one.reinvites.length === 1);
      await waitFor('both to be re-INVITEd', areBack, { deadlineMs: 15_000 });
      await call.audio.hears(670);
      second.audio.resetReport();
      await hearsSilence(second);

      // Nobody sees them hang up; the next daemon finds the caller alone.
      const refused = bob.incoming(40_000);
      process.kill((await farm.status()).daemon.pid, 'SIGKILL');
      await second.hangup();
      const third = await call.reaches(refused);
      assert.match(third.invite.requestUri, /^sip:70002@/);
      const last = await answers(680, () => third.reject(603));
      await Promise.all([call.audio.hears(680), last.audio.hears(440)]);
      await last.hangup();
      assert.equal((await call.ended(10_000)).by, 'them');
      await farm.whole();
    },
  );

  test(
    'and so does one who is mixed on the conference farm, in one conference after the other',
    { timeout: 90_000 },
    async () => {
      await farm.reload(config.replace('  conference:\n', '  conference: { twoParty: conference-farm }\n'));
      let call: OutgoingCall | undefined;
      const first = await answers(660, async () => (call = await dial('9700')));
      assert.ok(call);
      call.audio.sendTone(440);
      await Promise.all([call.audio.hears(660), first.audio.hears(440)]);
      const second = await answers(670, () => first.hangup());
      await call.audio.hears(670);
      await hearsSilence(second);
      const arriving = bob.incoming(10_000);
      await second.hangup();
      const third = await call.reaches(arriving);
      const last = await answers(680, () => third.reject(603));
      await Promise.all([call.audio.hears(680), last.audio.hears(440)]);
      const [conference] = await farm.json<readonly { node: string }[]>('conferences');
      assert.match(conference?.node ?? '', /^conference-/);
      await last.hangup();
      assert.equal((await call.ended(10_000)).by, 'them');
      assert.equal(call.reinvites.length, 0);
      await farm.reload(config);
    },
  );

  /** Three callers on one node: in an announcement, in a menu with a digit, and in one without. */
  const three = async (): Promise<readonly [OutgoingCall, OutgoingCall, OutgoingCall]> => {
    await farm.json('drain', 'call-2');
    const [started, waiting] = [await dial('9003'), await dial('9003')];
    await started.audio.sendDigits('1');
    const announced = await dial('9500');
    await announced.audio.hears(600);
    await farm.json('undrain', 'call-2');
    return [announced, started, waiting];
  };
  /** They are where they were: the announcement goes on and does not begin again, the menu has its digit, the time-out its rest. */
  const carryOn = async ([announced, started, waiting]: readonly OutgoingCall[]): Promise<void> => {
    assert.ok(announced && started && waiting);
    // On a slow machine its time is up, and it is gone from there, before the others are seen.
    const timedOut = isAt(waiting, 'silent', 25_000);
    timedOut.catch(() => undefined);
    let again = false;
    await waitFor(
      'the rest of the announcement',
      () => {
        const heard = announced.audio.heard();
        again ||= isTone(heard, 400);
        return isTone(heard, 800);
      },
      { deadlineMs: 15_000, describe: () => announced.ladder() },
    );
    assert.ok(!again, 'it did not begin again');
    await started.audio.sendDigits('2');
    await isAt(started, 'twelve');
    await timedOut;
    for (const call of [announced, started, waiting]) if (call.state === 'confirmed') await call.hangup();
  };

  /** Kills the daemon, and waits for the next one. */
  /** Octets that this segment has on its node. */
  const writtenOn = async (node: string, segment: string): Promise<number> => {
    const file = join(farm.state, 'nodes', node, 'spool/recording', `${segment}.wav`);
    return (await stat(file).catch(() => undefined))?.size ?? 0;
  };
  /** Its node has written so many seconds of it. */
  const recorded = (node: string, segment: string, seconds: number): Promise<unknown> =>
    waitFor(`${segment} on ${node}`, async () => (await writtenOn(node, segment)) > 2 * wavRate * seconds, {
      deadlineMs: 20_000,
    });
  /** Which of these tones are in a whole second of it, wherever that is. */
  const tonesIn = async (file: string, tones: readonly number[]): Promise<number[]> => {
    const wav = await readFile(file);
    const samples = new Int16Array(new Uint8Array(wav.subarray(wavHeaderBytes)).buffer);
    const seconds = Array.from({ length: Math.floor(samples.length / wavRate) }, (_, i) =>
      sharesOf(tones, samples.subarray(i * wavRate, (i + 1) * wavRate), wavRate),
    );
    return tones.filter((_, tone) => seconds.some(shares => (shares[tone] ?? 0) > 0.1));
  };
  const recordings = async (): Promise<string[]> => (await readdir(join(farm.state, 'recordings'))).sort();

  test(
    'a call is recorded from step to step, over the deaths of its node and of the daemon',
    { timeout: 120_000 },
    async () => {
      const call = await dial('9600');
      call.audio.sendTone(440);
      await call.audio.hears(1500);
      const [name = ''] = await recordings();
      const node = await nodeOf(call);
      // What its node has not written yet dies with it: about two seconds.
      await recorded(node, `${name}-1`, 2);
      process.kill(await farm.pid(node), 'SIGKILL');
      await waitFor('the caller to be re-INVITEd', () => call.reinvites.length === 1, { deadlineMs: 15_000 });
      await call.audio.hears(1500);
      // The other one, or its own again where that one was silent for a moment.
      const other = await nodeOf(call);
      await recorded(other, `${name}-2`, 2);
      await call.audio.sendDigits('1');
      await waitFor('the second recording', async () => (await recordings()).length === 2, { deadlineMs: 15_000 });
      const second = (await recordings())[1] ?? '';
      await recorded(other, `${second}-1`, 1);
      await farm.daemonAfter(await farm.killDaemon());
      const before = await writtenOn(other, `${second}-1`);
      await recorded(other, `${second}-1`, before / wavRate / 2 + 1);
      await call.hangup();
      const isTold = (): boolean => notices.filter(({ event }) => event === 'recording.done').length === 2;
      await waitFor('both to be done', isTold, { deadlineMs: 20_000 });
      const inFolder = (recording: string, segment: number): string =>
        join(farm.state, 'recordings', recording, `${recording}-${segment}.wav`);
      const both = [440, 1500];
      assert.deepEqual(await tonesIn(inFolder(name, 1), both), both);
      assert.deepEqual(await tonesIn(inFolder(name, 2), both), both);
      assert.deepEqual(await tonesIn(inFolder(second, 1), both), [440]);
      assert.deepEqual((await readdir(join(farm.state, 'recordings', second))).sort(), [
        `${second}-1.wav`,
        'recording.jsonl',
      ]);
      await farm.whole();
    },
  );

  test('their node dies: each carries on where it was', { timeout: 90_000 }, async () => {
    const callers = await three();
    process.kill(await farm.pid('call-1'), 'SIGKILL');
    const back = (): boolean => callers.every(call => call.reinvites.length === 1);
    await waitFor('all three to be re-INVITEd', back, { deadlineMs: 15_000 });
    await carryOn(callers);
    await farm.whole();
  });

  test('the daemon dies: each carries on where it was', { timeout: 90_000 }, async () => {
    const callers = await three();
    await farm.daemonAfter(await farm.killDaemon());
    await carryOn(callers);
  });

  test('with the last call everything is gone', { timeout: 60_000 }, async () => {
    await nothingLeft(farm);
  });
});
