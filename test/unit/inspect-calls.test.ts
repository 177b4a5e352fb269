// Calls are found by ids and numbers wherever they are: up, in the CDR file and its rotated ones, or on the wire only.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { CallDetailRecord } from '../../core/calls/call-facts.js';
import type { CallRecord } from '../../core/calls/call-record.js';
import { searchRecords } from '../../core/cdr/cdr-search.js';
import { formatCall } from '../../core/cli/call-text.js';
import { drawLadder, type Rung } from '../../core/cli/ladder.js';
import { terminalStyle } from '../../core/cli/style.js';
import { HoldfastError } from '../../core/errors.js';
import { CallInspector } from '../../core/inspect/call-inspector.js';
import type { WholeTraceMessage } from '../../core/trace/trace-message.js';
import { callDetailRecord } from '../harness/call-detail-record.js';

const plain = terminalStyle(false);
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-inspect-'));
  file = join(folder, 'cdr.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

const lines = (records: readonly CallDetailRecord[]): string =>
  records.map(record => `${JSON.stringify(record)}\n`).join('');
const search = async (text: string, most = 10, bytes?: number): Promise<string[]> => {
  const matches = ({ callId, callerNumber }: { callId: string; callerNumber: string }): boolean =>
    callId.includes(text) || callerNumber.includes(text);
  const found = await searchRecords({ file, text, matches, most, ...(bytes === undefined ? {} : { bytes }) });
  return found.map(({ callId }) => callId);
};

describe('a search in CDR files', () => {
  test('gives the newest first, through blocks of any size and lines across them', async () => {
    const padding = 'p'.repeat(900);
    const all = Array.from({ length: 3_000 }, (_, i) => callDetailRecord(`c${i}-`, { dialled: `${padding}${i}` }));
    await writeFile(file, lines(all));
    for (const i of [0, 1, 1_000, 1_100, 1_101, 2_999]) assert.deepEqual(await search(`c${i}-`), [`c${i}-`]);
    assert.deepEqual(await search('c', 3), ['c2999-', 'c2998-', 'c2997-']);
    assert.equal((await search('c', 5_000)).length, 3_000);
  });

  test('reads no further back than it may', async () => {
    await writeFile(file, lines(Array.from({ length: 1_000 }, (_, i) => callDetailRecord(`c${i}-`))));
    const near = await search('c', 5_000, 100_000);
    assert.ok(near.length > 100 && near.length < 500, `${near.length}`);
    assert.equal(near[0], 'c999-');
    assert.deepEqual(await search('c1-', 10, 100_000), []);
  });

  test('goes on in rotated files, the latest first, and passes what is no record', async () => {
    await writeFile(file, `${lines([callDetailRecord('c1')])}not json\n{"callId": 7}\n`);
    await rename(file, `${file}.2`);
    await utimes(`${file}.2`, 1, 1);
    await writeFile(`${file}.1`, lines([callDetailRecord('c2')]));
    await writeFile(`${file}.3.gz`, lines([callDetailRecord('c0')]));
    await writeFile(file, `${lines([callDetailRecord('c3')])}{"callId":"c4","half":`);
    assert.deepEqual(await search('c'), ['c3', 'c2', 'c1']);
    await rm(folder, { recursive: true });
    assert.deepEqual(await search('c'), []);
    await mkdir(folder);
  });

  test('reads records of earlier versions, which had fewer fields', async () => {
    await writeFile(
      file,
      '{"callId":"old","startedAt":"2025-01-01T00:00:00.000Z","endedAt":"2025-01-01T00:00:01.000Z"}\n',
    );
    assert.deepEqual(await search('old'), ['old']);
  });

  test('finds what JSON writes otherwise', async () => {
    await writeFile(file, lines([callDetailRecord('c"1\\')]));
    assert.deepEqual(await search('c"1\\'), ['c"1\\']);
  });
});

const liveCall: CallRecord = {
  id: 'live1',
  state: 'confirmed',
  source: { kind: 'subscriber', subscriber: '1001' },
  dialled: '70001',
  callerNumber: '1001',
  callerName: '',
  startedMs: 1_000,
  answeredMs: 3_000,
  routeName: '7xxxx',
  flow: [],
  step: 0,
  conferenceId: 'f1',
  legs: [
    leg('call-1-17.0', 'inbound', '1001', 'caller@phone', { startedMs: 1_000, answeredMs: 3_000 }),
    leg('live1-1', 'outbound', 'sip:70001@192.0.2.8:5060', null, {
      startedMs: 1_100,
      ringingMs: 2_000,
      answeredMs: 3_000,
    }),
  ],
  ending: null,
  recoveries: 1,
  lostNodes: ['call-2'],
  transfers: [],
  headers: {},
} as unknown as CallRecord;

function leg(
  id: string,
  direction: 'inbound' | 'outbound',
  peer: string,
  sipCallId: string | null,
  times: Partial<CallRecord['legs'][number]['times']>,
): CallRecord['legs'][number] {
  const none = { startedMs: null, ringingMs: null, answeredMs: null, endedMs: null };
  return {
    ...{ id, direction, peer, sipCallId, node: 'call-1', state: 'confirmed', step: 0, targetIndex: 0 },
    ...{
      ringUntilMs: null,
      sipStatus: null,
      ending: false,
      gaveWay: false,
      held: false,
      recovering: null,
      endHeaders: [],
      redirect: null,
    },
    times: { ...none, ...times },
  };
}

/** Both copies of a message that a Kamailio passed. */
function passed(callId: string, atMs: number, change: Partial<WholeTraceMessage>, back = false): WholeTraceMessage[] {
  const [outside, inside] = [
    { source: '192.0.2.7:5060', destination: '127.0.0.11:5060' },
    { source: '127.0.0.21:5060', destination: '127.0.0.31:5060' },
  ];
  const turned = ({ source, destination }: typeof outside): typeof outside => ({
    source: destination,
    destination: source,
  });
  const copy = (direction: 'in' | 'out', way: typeof outside, later: number): WholeTraceMessage => ({
    ...{
      atMs: atMs + later,
      instance: 'kamailio-1',
      direction,
      ...way,
      callId,
      startLine: 'INVITE sip:70001@h SIP/2.0',
    },
    ...{ method: 'INVITE', status: null, reason: '', cseq: 1, fromTag: 'f', toTag: null, sizeBytes: 9, rawAt: null },
    ...(direction === 'in' ? { viaBranch: 'a', nextViaBranch: null } : { viaBranch: 'b', nextViaBranch: 'a' }),
    contentType: null,
    ...change,
  });
  return back
    ? [copy('in', turned(inside), 0), copy('out', turned(outside), 1)]
    : [copy('in', outside, 0), copy('out', inside, 1)];
}

const traces = new Map<string, WholeTraceMessage[]>([
  ['caller@phone', passed('caller@phone', 1_000, { contentType: 'application/sdp' })],
  ['callee-id', passed('callee-id', 1_100, { status: 486, reason: 'Busy Here' }, true)],
  [
    'stranger@x',
    [
      ...passed('stranger@x', 5_000, {}).slice(0, 1),
      { ...passed('stranger@x', 5_001, { status: 403, reason: 'Forbidden' }, true)[1]!, direction: 'out' },
    ],
  ],
]);

function inspector(call = liveCall): CallInspector {
  return new CallInspector({
    calls: () => [call],
    sipCallIdOf: legId => (legId === 'live1-1' ? 'callee-id' : undefined),
    isOnHold: () => false,
    conference: id => ({ id, room: null, node: 'call-1' }),
    file: () => file,
    trace: {
      messages: async callId => traces.get(callId) ?? [],
      find: async text => [...traces.keys()].filter(callId => callId.includes(text)),
    },
    ends: () => ({ '127.0.0.31': 'call-1', '127.0.0.11': 'kamailio-1', '127.0.0.21': 'kamailio-1' }),
  });
}

describe('calls', () => {
  test('that are up are found by number, target and either Call-ID', async () => {
    for (const text of ['live1', '1001', '70001', '192.0.2.8', 'caller@', 'callee-id']) {
      const [call] = await inspector().find(text, 10);
      assert.deepEqual([call?.id, call?.state], ['live1', 'confirmed'], text);
    }
  });

  test('that are over are found in the file and among the latest, each once, after those that are up', async () => {
    const written = callDetailRecord('old1', { callerNumber: '1001', sipCallIds: ['gone@phone'] });
    await writeFile(file, lines([written, callDetailRecord('old2', { callerNumber: '1001' })]));
    const one = inspector();
    one.noteEnded(callDetailRecord('old2', { callerNumber: '1001' }));
    const ids = (await one.find('1001', 10)).map(({ id }) => id);
    assert.deepEqual(ids, ['live1', 'old2', 'old1']);
    assert.equal((await one.find('gone@', 10))[0]?.id, 'old1');
    assert.equal((await one.show('gone@phone', false)).reason, 'every target failed');
    await assert.rejects(one.show('1001', false), { code: 'CALL_NOT_FOUND' }, 'a number has many calls');
  });

  test('that the edge refused are found by their Call-ID, and shown with their messages', async () => {
    const [seen] = await inspector().find('stranger', 10);
    assert.deepEqual([seen?.id, seen?.state, seen?.dialled, seen?.sipStatus], [null, 'wire', '70001', 403]);
    const text = formatCall(await inspector().show('stranger@x', false), plain);
    assert.match(text, /No call of ours/);
    assert.match(text, /│─+ INVITE ─+►│/);
    assert.match(text, /│◄─+ 403 Forbidden ─+│/);
  });

  test('that are not there are said so, with what to do', async () => {
    await assert.rejects(
      inspector().show('nobody', false),
      (error: unknown) => HoldfastError.is(error, 'CALL_NOT_FOUND') && (error.remedy ?? '').includes('holdfast find'),
    );
  });

  test('whose callee rings ring at their caller too', async () => {
    const [caller, callee] = liveCall.legs;
    assert.ok(caller && callee);
    const legStates = async (ringingMs: number | null): Promise<string[]> => {
      const leg = { ...caller, state: 'trying', times: { ...caller.times, answeredMs: null, ringingMs } } as const;
      const { legs } = await inspector({ ...liveCall, legs: [leg, callee] }).show('live1', false);
      return legs.map(({ state }) => state);
    };
    assert.deepEqual(await legStates(2_000), ['proceeding', 'confirmed']);
    assert.deepEqual(await legStates(null), ['trying', 'confirmed']);
  });

  test('that a phone or an operator holds say so in the leg', async () => {
    const [caller, callee] = liveCall.legs;
    assert.ok(caller && callee);
    const text = formatCall(
      await inspector({ ...liveCall, legs: [{ ...caller, held: true }, callee] }).show('live1', false),
      plain,
    );
    assert.match(text, /^inbound .* confirmed \(holds\) /m);
    assert.match(text, /^outbound .* confirmed +- /m);
  });

  test('that were transferred say who was replaced, and when', async () => {
    const done = { atMs: 9_500, by: 'callee', kind: 'attended', to: '70003', call: 'live2' } as const;
    const text = formatCall(await inspector({ ...liveCall, transfers: [done] }).show('live1', false), plain);
    const line = 'attended transfer to 70003 with call live2: the callee is replaced, 8.500 s after the beginning';
    assert.ok(text.includes(`\n  moved   ${line}\n`), text);
  });

  test('are shown with facts, legs and the ladder of both legs', async () => {
    const text = formatCall(await inspector().show('callee-id', false), plain, 100);
    assert.deepEqual(text.split('\n'), [
      'Call live1: confirmed',
      '  from    1001 (subscriber 1001)',
      '  to      70001 (route 7xxxx)',
      '  began   1970-01-01 00:00:01.000 UTC',
      '  mixed   on call-1',
      '  nodes   call-2, call-1; recovered once',
      '',
      'LEG       PEER                    NODE    STATE      STATUS  BEGAN  RANG   ANSWERED  ENDED  CALL-ID',
      'inbound   1001                    call-1  confirmed  -       0.000  -      2.000     -      caller@…',
      'outbound  70001@192.0.2.8:5060    call-1  confirmed  -       0.100  1.000  2.000     -      callee-…',
      '',
      '          caller 1001               call-1                    callee 70001',
      '          192.0.2.7:5060            127.0.0.31                192.0.2.7:5060',
      '   0.000  │───── INVITE (SDP) ─────►│                         │  kamailio-1',
      '   0.100  │                         │──── 486 Busy Here ─────►│  kamailio-1',
      '',
    ]);
  });
});

describe('the ladder', () => {
  const lanes = ['a', 'b', 'c', 'd'].map(key => ({ key, title: [key, ''] as const }));
  const rung = (from: string, to: string, text = 'INVITE', again = false): Rung => {
    return { atMs: 0, from, to, text, via: 'kamailio-1', again };
  };

  test('draws arrows over lanes between, to the edge itself, and cuts what is too long', () => {
    const drawn = drawLadder(
      lanes,
      [rung('a', 'd'), rung('d', 'b', 'x'.repeat(99)), rung('c', 'c', 'OPTIONS', true)],
      plain,
      80,
    );
    assert.deepEqual(drawn?.slice(1), [
      '   0.000  │──────────────────── INVITE ─────────────────────►│  kamailio-1',
      `   0.000  │                │◄─ ${'x'.repeat(26)}… ──│  kamailio-1`,
      '   0.000  │                │                ┼ OPTIONS (agai… │  kamailio-1',
    ]);
  });

  test('is not drawn where its lanes do not fit', () => {
    assert.equal(drawLadder(lanes, [rung('a', 'b')], plain, 70), undefined);
    assert.ok(drawLadder(lanes, [rung('a', 'b')], plain));
  });
});
