// What HomerSource relies on, asserted alike against our fake and a real HOMER 7, where the environment names one.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { after, before, describe, it } from 'node:test';
import { HoldfastError, type ErrorCode } from '../../core/errors.js';
import type { TracedSip } from '../../core/ports/trace-source.js';
import { encodeHep } from '../../core/trace/hep-packet.js';
import { homerConfig } from '../../plugins/session-recovery/homer/homer-config.js';
import { HomerSource } from '../../plugins/session-recovery/homer/homer-source.js';
import { FakeHomer } from '../fakes/fake-homer.js';
import { givenHomer, type RunningHomer } from '../fakes/homer.js';
import { freeSubnet } from '../harness/free-subnet.js';
import { LedgerFlow } from '../harness/ledger-flow.js';
import { waitFor } from '../harness/wait-for.js';

const [asterisk, kamailio] = [
  { address: '127.9.7.31', port: 5060 },
  { address: '127.9.7.21', port: 5060 },
] as const;

interface Line {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

type Door = Pick<RunningHomer, 'url' | 'username' | 'password'>;

function sourceOf(homer: Door, options: object = {}): { source: HomerSource; lines: Line[] } {
  const { url, username, password } = homer;
  const lines: Line[] = [];
  const write =
    (level: string) =>
    (fields: object, message: string): void =>
      void lines.push({ level, fields, message });
  const log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const config = homerConfig.parse({ url, ...('token' in options ? {} : { username, password }), ...options });
  return { source: new HomerSource(config, log), lines };
}

/** Sends the SIP of a dialog as a Kamailio would, and tells what must come back. */
async function record(homer: RunningHomer, flow: LedgerFlow): Promise<TracedSip[]> {
  const socket = createSocket('udp4');
  const sent: TracedSip[] = [];
  for (const { text, passage } of flow.messages) {
    const [source, destination] = passage.fromNode === undefined ? [kamailio, asterisk] : [asterisk, kamailio];
    const atMs = passage.atMs + 0.123;
    const datagram = encodeHep({ source, destination, atMs, captureId: 1, payload: Buffer.from(text) });
    await new Promise(resolve => socket.send(datagram, homer.hepPort, homer.hepAddress, resolve));
    const ends = [source, destination].map(({ address, port }) => `${address}:${port}`);
    sent.push({ callId: flow.callId, atMs, source: ends[0] ?? '', destination: ends[1] ?? '', raw: text });
  }
  socket.close();
  return sent;
}

let calls = 0;
function flowAt(startMs: number, role: 'uac' | 'uas' = 'uac'): LedgerFlow {
  return new LedgerFlow({ callId: `homer-${process.pid}-${Date.now()}-${++calls}@[2001:db8::1]`, role, startMs });
}

const never = new AbortController().signal;
const refusedWith =
  (code: ErrorCode, text: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(HoldfastError.is(error, code), String(error));
    assert.match(error.message, text);
    assert.ok(error.remedy);
    return true;
  };
/** Microseconds survive as far as a double and the wire carry them. */
const rounded = (messages: readonly TracedSip[]): TracedSip[] =>
  messages.map(message => ({ ...message, atMs: Math.round(message.atMs * 1000) / 1000 }));

const given = givenHomer();
const kinds = [
  { kind: 'fake', writeEveryMs: 1000, start: undefined },
  { kind: 'real', writeEveryMs: 4000, start: given },
] as const;

for (const { kind, writeEveryMs, start } of kinds) {
  const skip = kind === 'real' && !given ? 'HOLDFAST_HOMER names no HOMER 7 (docs/homer.md)' : false;
  describe(`HomerSource, ${kind} HOMER`, { skip }, () => {
    let homer: RunningHomer;
    /** For two turns of the writer, and a machine that is late. */
    const patienceSeconds = writeEveryMs / 1000 + 4;

    before(async () => {
      homer = start ?? (await FakeHomer.start({ address: (await freeSubnet()).host(250), writeEveryMs }));
    });
    after(async () => homer.stop());

    it('reads back all messages of several calls, with their ends, times and bytes', async () => {
      const { source } = sourceOf(homer, { patienceSeconds });
      const startMs = Date.now() - 2000;
      const flows = [
        flowAt(startMs).setUp({ early: true }).refresh('them', 'sendonly'),
        flowAt(startMs, 'uas').setUp(),
      ];
      const sent: TracedSip[] = [];
      for (const flow of flows) sent.push(...(await record(homer, flow)));
      const query = { callIds: flows.map(flow => flow.callId), fromMs: startMs, toMs: Date.now() };
      const got = await source.messages(query, never);
      for (const { callId } of flows) {
        const of = (messages: readonly TracedSip[]): TracedSip[] => rounded(messages.filter(m => m.callId === callId));
        assert.deepEqual(of(got), of(sent));
      }
      assert.equal(got.length, sent.length);
      await source.close();
    });

    it('waits for the writer: a call is there in full, although it was in use a moment ago', async () => {
      const { source, lines } = sourceOf(homer, { patienceSeconds });
      const flow = flowAt(Date.now() - 1000)
        .setUp()
        .refresh('them', 'sendonly');
      const range = { callIds: [flow.callId], fromMs: flow.atMs - 5000, toMs: Date.now() };
      const rest = flow.messages.splice(-2);
      const sent = await record(homer, flow);
      const first = await source.messages({ ...range, toMs: flow.atMs - 50 }, never);
      assert.deepEqual(rounded(first), rounded(sent.slice(0, -1)));
      // The re-INVITE is there; its answer and ACK are heard only now, and written later.
      const asked = source.messages(range, never);
      flow.messages.splice(0, Infinity, ...rest);
      sent.push(...(await record(homer, flow)));
      assert.deepEqual(rounded(await asked), rounded(sent));
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['info', 'info'],
      );
      await source.close();
    });

    it('gives what there is at the end of its patience, and says what is missing', async () => {
      const { source, lines } = sourceOf(homer, { patienceSeconds });
      const flow = flowAt(Date.now() - 60_000).setUp();
      await record(homer, flow);
      const callIds = [flow.callId, 'never-heard-of@test'];
      const began = performance.now();
      const got = await source.messages({ callIds, fromMs: Date.now() - 90_000, toMs: Date.now() }, never);
      assert.ok(performance.now() - began >= patienceSeconds * 1000 - 50);
      assert.equal(got.length, flow.messages.length);
      const [line] = lines;
      assert.match(line?.message ?? '', /nothing of 1 of 2/);
      assert.deepEqual((line?.fields as { missing?: unknown }).missing, ['never-heard-of@test']);
      await source.close();
    });

    it('leaves out what passed before and after the range, to the millisecond', async () => {
      const { source } = sourceOf(homer, { patienceSeconds });
      const flow = flowAt(Date.now() - 30_000).setUp();
      const sent = await record(homer, flow);
      const middle = rounded(sent.slice(1, -1));
      const range = { fromMs: middle[0]?.atMs ?? 0, toMs: middle.at(-1)?.atMs ?? 0 };
      // Asked for with patience first: this range is long past, and what is long past is not waited for.
      await source.messages({ callIds: [flow.callId], fromMs: Date.now() - 60_000, toMs: Date.now() }, never);
      assert.deepEqual(rounded(await source.messages({ callIds: [flow.callId], ...range }, never)), middle);
      await source.close();
    });

    it('is refused with a wrong password, and does not show it', async () => {
      const { source } = sourceOf(homer, { password: 'not-the-password' });
      const asked = source.messages({ callIds: ['any'], fromMs: 0, toMs: 1000 }, never);
      await assert.rejects(asked, error => {
        assert.ok(!JSON.stringify([error, String(error)]).includes('not-the-password'));
        return refusedWith('HOMER_REFUSED', /refused \/auth: 401/)(error);
      });
      await source.close();
    });
  });
}

describe('HomerSource, a HOMER in trouble', () => {
  let homer: FakeHomer;
  const query = { callIds: ['a@b'], fromMs: 1e12, toMs: 1e12 + 1000 };

  before(async () => {
    const address = (await freeSubnet()).host(250);
    homer = await FakeHomer.start({ address, writeEveryMs: 50, token: 'an-api-token' });
  });
  after(async () => homer.stop());

  it('says that a server is not there', async () => {
    const { source } = sourceOf({ url: `http://${homer.hepAddress}:1`, username: 'a', password: 'b' });
    await assert.rejects(source.messages(query, never), refusedWith('HOMER_UNREACHABLE', /could not be asked \/auth/));
    await source.close();
  });

  it('gives up on one that does not answer, after timeoutSeconds', async () => {
    const { source } = sourceOf(homer, { timeoutSeconds: 0.3 });
    homer.delayMs = 5_000;
    const began = performance.now();
    await assert.rejects(
      source.messages(query, never),
      refusedWith('HOMER_UNREACHABLE', /did not answer .* in 300 ms/),
    );
    assert.ok(performance.now() - began < 4_000, 'not when the answer comes');
    homer.delayMs = 0;
    await source.close();
  });

  it('ends at once when the caller gives up', async () => {
    const { source } = sourceOf(homer);
    const late = { ...query, toMs: Date.now() };
    await assert.rejects(
      source.messages(late, AbortSignal.abort()),
      refusedWith('HOMER_UNREACHABLE', /did not answer/),
    );
    await source.close();
  });

  for (const garbage of ['', '<html>Bad Gateway</html>', '[]', '{"data":{}}', '{"data":{"messages":[{"raw":1}]}}']) {
    it(`refuses ${garbage === '' ? 'an empty answer' : garbage}`, async () => {
      const { source } = sourceOf(homer);
      homer.garbage = garbage;
      await assert.rejects(source.messages(query, never), refusedWith('HOMER_INVALID_REPLY', /\/call\/transaction/));
      homer.garbage = undefined;
      await source.close();
    });
  }

  it('signs in once, and again when HOMER has forgotten that', async () => {
    const { source } = sourceOf(homer);
    homer.asked.clear();
    await source.messages(query, never);
    await source.messages(query, never);
    assert.equal(homer.asked.get('/auth'), 1);
    homer.forgetLogins();
    await source.messages(query, never);
    assert.equal(homer.asked.get('/auth'), 2);
    await source.close();
  });

  it('takes an API token instead, and says so when it is refused', async () => {
    const { source } = sourceOf(homer, { token: 'an-api-token' });
    homer.asked.clear();
    assert.deepEqual(await source.messages(query, never), []);
    assert.equal(homer.asked.get('/auth'), undefined);
    await source.close();
    const { source: refused } = sourceOf(homer, { token: 'another' });
    await assert.rejects(refused.messages(query, never), refusedWith('HOMER_REFUSED', /401 invalid or expired/));
    await refused.close();
  });

  it('asks for a node of 600 calls in three requests, and takes no call that was not asked for', async () => {
    const { source } = sourceOf(homer);
    const startMs = Date.now() - 60_000;
    const flows = Array.from({ length: 600 }, () => flowAt(startMs));
    for (const flow of flows) flow.invite();
    const heard = homer.heard;
    for (const [i, flow] of flows.entries()) {
      await record(homer, flow);
      // A socket's buffer holds some hundred datagrams.
      if (i % 50 === 0) await waitFor('what was sent', () => homer.heard > heard + i);
    }
    await waitFor('all to be written', () => flows.every(({ callId }) => homer.rows.some(({ sid }) => sid === callId)));
    const callIds = flows.slice(1).map(({ callId }) => callId);
    const range = { fromMs: startMs, toMs: startMs + 10_000 };
    homer.asked.clear();
    const got = await source.messages({ callIds: [...callIds, ...callIds], ...range }, never);
    assert.deepEqual(new Set(got.map(({ callId }) => callId)), new Set(callIds));
    assert.equal(got.length, callIds.length);
    assert.equal(homer.asked.get('/call/transaction'), 3);
    await source.close();
  });
});
