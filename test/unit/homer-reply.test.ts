// HOMER's answers as its releases write them, and when the messages of a call are complete.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { homerConfig } from '../../plugins/session-recovery/homer/homer-config.js';
import { readTransactionReply } from '../../plugins/session-recovery/homer/homer-reply.js';
import { hasOpenTransaction } from '../../plugins/session-recovery/homer/open-transactions.js';
import type { TracedSip } from '../../core/ports/trace-source.js';
import { LedgerFlow } from '../harness/ledger-flow.js';

const row = {
  ...{ raw: 'BYE sip:a@b SIP/2.0', callid: 'a@b', sid: 'a@b', payloadType: 1 },
  ...{ srcIp: '127.9.7.31', srcPort: 5060, dstIp: '127.9.7.21', dstPort: 5060 },
};
const answer = (...messages: unknown[]): unknown => ({ total: messages.length, keys: [], data: { messages } });
const timeOf = (fields: object): number | undefined => readTransactionReply(answer({ ...row, ...fields }))[0]?.atMs;

describe("HOMER's answer", () => {
  it('has the time in microseconds or milliseconds, told by its size', () => {
    assert.equal(timeOf({ micro_ts: 1791318072561636 }), 1791318072561.636);
    assert.equal(timeOf({ micro_ts: 1791318072561 }), 1791318072561);
  });

  it("has the sender's own seconds and microseconds beside it, which are taken first", () => {
    const times = { micro_ts: 1791318072561, timeSeconds: 1791318072, timeUseconds: 561636 };
    assert.equal(timeOf(times), 1791318072561.636);
    assert.equal(timeOf({ ...times, timeSeconds: '1791318072', timeUseconds: '561636' }), 1791318072561.636);
  });

  it('names the ends with their ports, IPv6 in brackets', () => {
    const [message] = readTransactionReply(answer({ ...row, micro_ts: 1e12, srcIp: '2001:db8::1', srcPort: '5062' }));
    assert.equal(message?.source, '[2001:db8::1]:5062');
    assert.equal(message.destination, '127.9.7.21:5060');
  });

  it('may hold rows that are no SIP, and some that cannot be read', () => {
    const good = { ...row, micro_ts: 1e12 };
    const log = { ...good, payloadType: 100, raw: 'a line of a log' };
    assert.equal(readTransactionReply(answer(log, good, { ...good, srcPort: 99_999 }, null)).length, 1);
    assert.deepEqual(readTransactionReply(answer(log)), []);
    assert.deepEqual(readTransactionReply({ data: { messages: null } }), []);
  });

  it('is refused when not one SIP row can be read, or it is something else', () => {
    assert.throws(() => readTransactionReply(answer(row)), /not one of 1 rows/);
    for (const other of [undefined, null, [], '', {}, { data: [] }]) {
      assert.throws(() => readTransactionReply(other), TypeError);
    }
  });
});

function traced(flow: LedgerFlow): TracedSip[] {
  return flow.messages.map(({ text, passage }) => ({
    ...{ callId: flow.callId, atMs: passage.atMs, raw: text },
    ...{ source: '127.9.7.31:5060', destination: '127.9.7.21:5060' },
  }));
}

describe('the messages of a call', () => {
  it('are complete when every transaction is', () => {
    for (const role of ['uac', 'uas'] as const) {
      const flow = new LedgerFlow({ role }).setUp({ early: true }).refresh('them', 'sendonly').info('us').bye('them');
      assert.equal(hasOpenTransaction(traced(flow)), false);
    }
  });

  it('are not while any one but a provisional response is missing', () => {
    const whole = traced(new LedgerFlow().setUp().refresh('us', 'sendonly').info('them'));
    for (const [i, { raw }] of whole.entries()) {
      const isProvisional = raw.startsWith('SIP/2.0 1');
      assert.equal(hasOpenTransaction(whole.toSpliced(i, 1)), !isProvisional, raw);
    }
  });

  it('are complete without the 407 that the edge itself gave', () => {
    const text = (start: string, cseq: string): string => `${start}\r\nFrom: <sip:a@b>;tag=x\r\nCSeq: ${cseq}\r\n\r\n`;
    const messages = [
      ...['INVITE sip:c@b SIP/2.0', 'ACK sip:c@b SIP/2.0'].map(start => text(start, `1 ${start.split(' ')[0]}`)),
      ...['INVITE sip:c@b SIP/2.0', 'SIP/2.0 200 OK'].map(start => text(start, '2 INVITE')),
      text('ACK sip:c@b SIP/2.0', '2 ACK'),
    ].map((raw, i) => ({ callId: 'a', atMs: i, source: 's', destination: 'd', raw }));
    assert.equal(hasOpenTransaction(messages), false);
    assert.equal(hasOpenTransaction(messages.slice(0, 2)), true);
  });
});

describe('the homer block', () => {
  it('has a token or user name and password', () => {
    const url = 'http://127.0.0.1:9080';
    const taken = (block: object): boolean => homerConfig.safeParse(block).success;
    assert.ok(taken({ url, token: 't' }) && taken({ url, username: 'u', password: 'p' }));
    for (const keys of [{}, { username: 'u' }, { password: 'p' }, { token: 't', username: 'u', password: 'p' }]) {
      assert.ok(!taken({ url, ...keys }), JSON.stringify(keys));
    }
    assert.ok(!taken({ url, token: 't', retries: 3 }) && !taken({ url: 'homer:9080', token: 't' }));
  });
});
