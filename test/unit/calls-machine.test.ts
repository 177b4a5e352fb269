// The call's state table, event by event, without a server.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ariWorld, type AriWorldOptions } from '../../core/calls/ari-world.js';
import { CallEngine, type CallEngineOptions } from '../../core/calls/call-engine.js';
import type { CallDetailRecord, ConnectStep, FlowStep, Referral } from '../../core/calls/call-facts.js';
import { advance, type CallAction, type CallEvent } from '../../core/calls/call-machine.js';
import { callRecordSchema, type CallRecord } from '../../core/calls/call-record.js';
import { missedEvents, resumeActions } from '../../core/calls/call-resume.js';
import { cdrOf } from '../../core/calls/cdr-of.js';
import { askTransfer } from '../../core/calls/transfer-question.js';
import type { CallWorld } from '../../core/calls/call-world.js';
import { LiveCall } from '../../core/calls/live-call.js';
import { noLimits } from '../../core/calls/limits.js';
import { newCallRecord } from '../../core/calls/new-call.js';
import type { Dialog } from '../../core/ledger/dialog.js';
import { callEvents } from '../../core/events/event-facts.js';
import { HoldfastError } from '../../core/errors.js';
import { silentLogger, type Logger } from '../../core/log.js';
import type { AriChannel } from '../../core/ports/asterisk.js';
import { openMemoryStore } from '../../core/store/memory-store.js';
import type { Store } from '../../core/store/store.js';
import { planCalls } from '../../core/recovery/recovery-plan.js';
import { waitFor } from '../harness/wait-for.js';

/** There is no other call, and no Asterisk to ask. */
const nobodyElse = {
  legOfDialog: () => undefined,
  asterisks: {
    node: () => {
      throw new RangeError('no Asterisk here');
    },
  },
};

const incoming = newCallRecord(
  {
    id: 'c1',
    sipCallId: 'sip-1',
    source: { kind: 'trunk', trunk: 'lab' },
    dialled: '70001',
    callerNumber: '100',
    callerName: '',
    privacy: [],
    headers: {},
  },
  'call-1',
  'caller',
  1_000,
  { ...noLimits, maxSetupSeconds: 240, rtpTimeoutSeconds: 300, rtpTimeoutOnHoldSeconds: 3_600 },
);

/** Writes down what it is asked for. */
const worldThatNotes = (notes: string[], own: Partial<CallWorld> = {}): CallWorld =>
  new Proxy({ eventsOf: () => [], ...own } as unknown as CallWorld, {
    get: (world, name: string): unknown =>
      name in world ? Reflect.get(world, name) : async () => void notes.push(name),
  });

const connect = (...uris: string[]): ConnectStep => ({
  action: 'connect',
  targets: uris.map(uri => ({ uri })),
  strategy: 'in-order',
});
const routed = (...flow: FlowStep[]): CallEvent => ({ type: 'routed', answer: { flow, routeName: 'r' } });
const ended = (leg: string, sipStatus = 480): Extract<CallEvent, { type: 'legEnded' }> => ({
  type: 'legEnded',
  leg,
  sipStatus,
});
const answered = (leg: string): CallEvent => ({ type: 'legAnswered', leg });

/** Runs events one after the other, 1 s apart; returns the call and the actions of the last event. */
function play(...events: CallEvent[]): { call: CallRecord; actions: readonly CallAction[]; all: CallAction[] } {
  let call = incoming;
  let actions: readonly CallAction[] = [];
  const all: CallAction[] = [];
  events.forEach((event, index) => {
    ({ call, actions } = advance(call, event, 2_000 + index * 1_000));
    all.push(...actions);
  });
  return { call, actions, all };
}

describe('a transfer', () => {
  const up: readonly CallEvent[] = [routed(connect('sip:a')), answered('c1-1'), { type: 'joined', conferenceId: 'k' }];
  const asks = (leg: string): CallEvent => ({ type: 'referred', leg, dialled: '42' });
  const allowed = (leg: string, ...uris: string[]): CallEvent => ({ type: 'transferred', leg, step: connect(...uris) });

  test('puts whoever answers in the place of whoever asked, who is told and hung up', () => {
    const rings = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'));
    assert.deepEqual(rings.actions, [
      { do: 'tellReferrer', leg: 'c1-1', outcome: 'progress' },
      { do: 'dial', legs: ['c1-2'] },
    ]);
    const done = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'), answered('c1-2'));
    assert.deepEqual(done.actions, [
      { do: 'join', legs: ['caller', 'c1-2'] },
      { do: 'unhold' },
      { do: 'tellReferrer', leg: 'c1-1', outcome: 'answered' },
      { do: 'hangup', leg: 'c1-1', cause: 16, afterMs: 1_000 },
    ]);
    const left = advance(done.call, ended('c1-1'), 9_000);
    assert.deepEqual([left.call.ending, left.actions], [null, [{ do: 'part', leg: 'c1-1' }]]);
  });

  test('by command tells nobody but the new party of it', () => {
    const command: CallEvent = { type: 'referred', leg: 'c1-1', dialled: '42', commanded: true };
    const done = play(...up, command, allowed('c1-1', 'sip:c'), answered('c1-2'));
    assert.deepEqual(done.actions, [
      { do: 'join', legs: ['caller', 'c1-2'] },
      { do: 'unhold' },
      { do: 'hangup', leg: 'c1-1', cause: 16 },
    ]);
    const failed = play(...up, command, allowed('c1-1', 'sip:c'), ended('c1-2', 486));
    assert.deepEqual([failed.actions, failed.call.ending, failed.call.transfer], [[], null, null]);
  });

  test('by the caller leaves the callee with whoever answers, shown as the number that was dialled', () => {
    const { call } = play(...up, asks('caller'), allowed('caller', 'sip:c'), answered('c1-2'), ended('caller'));
    assert.equal(call.ending, null);
    assert.equal(call.flow[1]?.action === 'connect' && call.flow[1].callerNumber, '70001');
    const over = advance(call, ended('c1-2'), 9_000);
    assert.deepEqual(over.call.ending?.reason, 'callee hung up');
    assert.ok(over.actions.some(action => action.do === 'hangup' && action.leg === 'c1-1'));
  });

  test('that nobody answers leaves the call as it was, or ends it where whoever asked has left', () => {
    const failed = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c', 'sip:d'), ended('c1-2', 486), ended('c1-3', 486));
    assert.deepEqual(failed.actions, [{ do: 'tellReferrer', leg: 'c1-1', outcome: 'unavailable' }]);
    assert.deepEqual([failed.call.ending, failed.call.transfer], [null, null]);
    const alone = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'), ended('c1-1'), ended('c1-2', 486));
    assert.equal(alone.call.ending?.reason, 'transfer to 42 failed: 486');
  });

  test('is in the log with who asked for it, and that it was refused', async () => {
    const said: string[] = [];
    const log = { info: (_: object, text: string) => said.push(text), child: () => log } as unknown as Logger;
    const unanswered = new Promise<CallEvent>(() => undefined);
    const live = new LiveCall(
      play(...up).call,
      worldThatNotes([], { companions: () => 0, refer: () => unanswered }),
      log,
    );
    live.dispatch(asks('c1-1'));
    live.dispatch(asks('caller'));
    live.dispatch({ type: 'transferred', leg: 'c1-1', step: undefined });
    await live.settled();
    assert.deepEqual(said, [
      'transfer to 42 by the callee is asked for',
      'transfer to 42 by the caller is refused: it is no call of two, or one is under way',
      'transfer to 42 by the callee is refused: no plugin allows it, or it leads nowhere',
    ]);
  });

  test('is declined where no plugin allows it, while another is under way, and in a call of one', () => {
    const no = play(...up, asks('c1-1'), { type: 'transferred', leg: 'c1-1', step: undefined });
    assert.deepEqual(no.actions, [{ do: 'tellReferrer', leg: 'c1-1', outcome: 'refused' }]);
    assert.deepEqual(play(...up, asks('c1-1'), asks('caller')).actions, [
      { do: 'tellReferrer', leg: 'caller', outcome: 'refused' },
    ]);
    assert.deepEqual(play(routed({ action: 'conference_join', room: 'r' }), asks('caller')).actions, [
      { do: 'tellReferrer', leg: 'caller', outcome: 'refused' },
    ]);
  });

  test('ends with the call when whoever is transferred hangs up', () => {
    const { call, actions } = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'), ended('caller'));
    assert.equal(call.ending?.by, 'caller');
    assert.deepEqual(
      actions.flatMap(action => (action.do === 'hangup' ? [action.leg] : [])),
      ['c1-1', 'c1-2'],
    );
  });

  test('that is asked for again while it is under way is not declined by that', () => {
    const twice = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'), asks('c1-1'));
    assert.deepEqual([twice.actions, twice.call.transfer?.step], [[], 1]);
  });

  test('that is asked for a hundred times where there is nobody to transfer does not hold up the end of the call', async () => {
    const told: string[] = [];
    const world = worldThatNotes(told);
    const live = new LiveCall(play(routed({ action: 'conference_join', room: 'r' })).call, world, silentLogger);
    for (let i = 0; i < 100; i++) live.dispatch(asks('caller'));
    await live.settled();
    assert.equal(told.filter(name => name === 'tellReferrer').length, 1);
  });

  test('of a phone that hangs up before the plugin was asked goes on', async () => {
    const asked: Referral[] = [];
    const askRefer = (referral: Referral): Promise<ConnectStep> => {
      asked.push(referral);
      return Promise.resolve(connect('sip:c'));
    };
    const { call } = play(...up, asks('caller'), ended('caller'));
    const event = await askTransfer(call, 'caller', { askRefer, ...nobodyElse, log: silentLogger });
    assert.deepEqual(advance(call, event, 9_000).actions, [{ do: 'dial', legs: ['c1-2'] }]);
    assert.deepEqual([asked[0]?.by.side, asked[0]?.transferee.peer], ['caller', 'sip:a']);
  });

  test('is recovered without whoever asked, when a node dies as they are being hung up', () => {
    const { call } = play(...up, asks('c1-1'), allowed('c1-1', 'sip:c'), answered('c1-2'));
    const ends = { local: { tag: 'ours' }, remote: { tag: 'theirs' }, remoteTarget: 'sip:phone', holes: [] };
    const dialog = { ...ends, state: 'confirmed' } as unknown as Dialog;
    const [planned] = planCalls(
      [call],
      () => true,
      () => dialog,
    );
    assert.deepEqual(
      planned?.legs.map(one => one.action),
      ['recover', 'end', 'recover'],
    );
  });
});

test('a refusal by a limit is in the record, and says when to come again', () => {
  const answer = {
    reject: 503,
    reason: 'trunk lab has its 2 calls at once',
    retryAfterSeconds: 5,
    limit: 'callsAtOnce',
  } as const;
  const { call, actions } = advance(incoming, { type: 'routed', answer }, 2_000);
  const headers = [{ name: 'Retry-After', value: '5' }];
  assert.deepEqual(actions, [{ do: 'reject', sipStatus: 503, headers }, { do: 'leave' }]);
  const { outcome, sipStatus, reason, limit, endedBy } = cdrOf(call);
  assert.deepEqual(
    { outcome, sipStatus, limit, endedBy },
    { outcome: 'rejected', sipStatus: 503, limit: 'callsAtOnce', endedBy: 'holdfast' },
  );
  assert.equal(reason, answer.reason);
});

describe('a call to one target', () => {
  test('rings, is answered, joined, and ends with one CDR when the callee hangs up', () => {
    const up = play(routed(connect('sip:a')), { type: 'legRinging', leg: 'c1-1' }, answered('c1-1'));
    assert.deepEqual(up.all, [
      { do: 'dial', legs: ['c1-1'] },
      { do: 'join', legs: ['caller', 'c1-1'], answer: true },
    ]);
    const over = play(routed(connect('sip:a')), answered('c1-1'), ended('c1-1'), ended('caller'));
    assert.equal(over.call.state, 'terminated');
    assert.equal(over.all.filter(action => action.do === 'finish').length, 1);
    const cdr = cdrOf(over.call);
    assert.equal(cdr.outcome, 'answered');
    assert.equal(cdr.endedBy, 'callee');
    assert.equal(cdr.answeredBy, 'sip:a');
    assert.equal(cdr.billSeconds, 1);
  });

  test('has in its CDR when each leg began, rang, was answered and ended, and why it ended', () => {
    const { call } = play(
      routed(connect('sip:a', 'sip:b')),
      ended('c1-1', 503),
      { type: 'legRinging', leg: 'c1-2' },
      answered('c1-2'),
      ended('c1-2'),
      ended('caller'),
    );
    const { legs, reason, limit } = cdrOf(call);
    const times = legs.map(({ startedAt, ringingAt, answeredAt, endedAt }) =>
      [startedAt, ringingAt, answeredAt, endedAt].map(at => (at === null ? null : Date.parse(at) / 1000)),
    );
    assert.deepEqual(times, [
      [1, 4, 5, 7],
      [2, null, null, 3],
      [3, 4, 5, 6],
    ]);
    assert.deepEqual(
      legs.map(({ peer, sipStatus, node }) => [peer, sipStatus, node]),
      [
        ['100', null, 'call-1'],
        ['sip:a', 503, 'call-1'],
        ['sip:b', null, 'call-1'],
      ],
    );
    assert.deepEqual([reason, limit], ['callee hung up', null]);
  });

  test('whose far end is given up: the record says why, and the other leg hears it', () => {
    const up = [routed(connect('sip:a')), answered('c1-1')];
    const { call } = play(...up);
    for (const [leg, afterMs, reason, text] of [
      ['caller', 32_000, 'the caller never acknowledged the answer', 'No ACK'],
      ['caller', 60_000, 'the caller has fallen silent: its session was not refreshed', 'Session expired'],
      ['c1-1', 60_000, 'the callee has fallen silent: its session was not refreshed', 'Session expired'],
    ] as const) {
      const over = advance(call, { ...ended(leg, 408), givenUp: true }, (call.answeredMs ?? 0) + afterMs);
      assert.deepEqual([over.call.ending?.by, over.call.ending?.reason], ['holdfast', reason]);
      const headers = over.actions.flatMap(action => (action.do === 'hangup' ? (action.headers ?? []) : []));
      assert.deepEqual(headers, [{ name: 'Reason', value: `SIP;cause=408;text="${text}"` }]);
    }
  });

  test('that is busy: the caller hears 486, and the CDR says busy', () => {
    const { call, actions } = play(routed(connect('sip:a')), ended('c1-1', 486));
    assert.deepEqual(actions, [{ do: 'reject', sipStatus: 486 }, { do: 'leave' }]);
    assert.deepEqual([call.ending?.outcome, call.ending?.by], ['busy', 'callee']);
    assert.equal(call.ending?.reason, 'every target failed: sip:a ended with 486');
  });

  test('that does not answer in time is cancelled, and the caller hears 480', () => {
    const { actions, call } = play(routed(connect('sip:a')), { type: 'ringTimeout', leg: 'c1-1' });
    assert.deepEqual(actions, [{ do: 'hangup', leg: 'c1-1', cause: 19 }]);
    const after = advance(call, ended('c1-1', 487), 9_000);
    assert.deepEqual(after.actions, [{ do: 'reject', sipStatus: 480 }, { do: 'leave' }]);
  });

  test('that nobody answers names each target in its record, and who gave up', () => {
    const rang = play(
      routed(connect('sip:a')),
      { type: 'legRinging', leg: 'c1-1' },
      { type: 'ringTimeout', leg: 'c1-1' },
      ended('c1-1', 487),
    );
    const { by, reason } = rang.call.ending ?? {};
    assert.deepEqual([by, reason], ['holdfast', 'every target failed: sip:a rang and was not answered in time']);
    const silent: CallEvent = { type: 'legEnded', leg: 'c1-2', sipStatus: 408, givenUp: true };
    const dead = play(routed(connect('sip:a', 'sip:b')), ended('c1-1', 503), silent);
    assert.equal(dead.call.ending?.reason, 'every target failed: sip:a ended with 503, sip:b did not respond');
    const alone = play(routed(connect('sip:a')), { ...silent, leg: 'c1-1' });
    assert.deepEqual([alone.call.ending?.by, alone.call.ending?.sipStatus], ['holdfast', 408]);
  });

  test('early media is joined once and the answer joins nothing twice in the state', () => {
    const { all, call } = play(
      routed(connect('sip:a')),
      { type: 'legProgress', leg: 'c1-1' },
      { type: 'legProgress', leg: 'c1-1' },
    );
    assert.deepEqual(all.slice(1), [{ do: 'progress' }, { do: 'join', legs: ['caller', 'c1-1'] }]);
    assert.equal(call.state, 'early');
  });

  test('a caller who hangs up first cancels the target; a 200 that crosses the CANCEL is hung up', () => {
    const { call, actions } = play(routed(connect('sip:a')), ended('caller', 487));
    assert.deepEqual(actions, [{ do: 'hangup', leg: 'c1-1', cause: 16 }, { do: 'leave' }]);
    assert.equal(call.ending?.outcome, 'cancelled');
    const crossed = advance(call, answered('c1-1'), 9_000);
    assert.deepEqual(crossed.actions, [{ do: 'hangup', leg: 'c1-1', cause: 26 }]);
    assert.equal(advance(crossed.call, ended('c1-1'), 9_100).call.state, 'terminated');
  });

  test('the same event twice changes nothing', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    assert.deepEqual(advance(call, answered('c1-1'), 9_000).actions, []);
    assert.equal(advance(call, answered('c1-1'), 9_000).call, call);
  });
});

describe('why a leg ended', () => {
  const busy = [{ name: 'Reason', value: 'Q.850;cause=17' }];
  const other = [{ name: 'Reason', value: 'SIP;cause=503' }];

  test('goes to the caller with the status that it came with, also after a failover', () => {
    const { all } = play(
      routed(connect('sip:a', 'sip:b')),
      { ...ended('c1-1', 486), headers: busy },
      { ...ended('c1-2', 503), headers: other },
    );
    assert.deepEqual(
      all.find(action => action.do === 'reject'),
      { do: 'reject', sipStatus: 486, headers: busy },
    );
  });

  test('goes to the other leg of a call that is up', () => {
    const { actions } = play(routed(connect('sip:a')), answered('c1-1'), {
      ...ended('c1-1'),
      headers: other,
    });
    assert.deepEqual(actions[0], { do: 'hangup', leg: 'caller', cause: 16, headers: other });
  });

  test('goes to a callee that still rings', () => {
    const { actions } = play(routed(connect('sip:a')), { ...ended('caller', 487), headers: busy });
    assert.deepEqual(actions[0], { do: 'hangup', leg: 'c1-1', cause: 16, headers: busy });
  });

  test('is ours where we ended it: the answer to our CANCEL explains nothing', () => {
    const { all } = play(
      routed(connect('sip:a')),
      { type: 'ringTimeout', leg: 'c1-1' },
      { ...ended('c1-1', 487), headers: busy },
    );
    assert.deepEqual(
      all.find(action => action.do === 'reject'),
      { do: 'reject', sipStatus: 480 },
    );
  });
});

describe('a redirection', () => {
  const moved = (leg: string, ...contacts: string[]): CallEvent => ({ ...ended(leg, 302), contacts });
  const targets = (leg: string, ...uris: string[]): CallEvent => ({
    type: 'redirected',
    leg,
    targets: uris.map(uri => ({ uri })),
  });
  const dialled = (all: readonly CallAction[]): string[] => all.flatMap(one => (one.do === 'dial' ? one.legs : []));
  const peers = (call: CallRecord): string[] => call.legs.slice(1).map(leg => leg.peer);

  test('is asked about, and whom it names is called before the next target', () => {
    const { call, all } = play(
      routed(connect('sip:a', 'sip:z')),
      moved('c1-1', 'sip:b', 'sip:c'),
      targets('c1-1', 'sip:b', 'sip:c'),
      ended('c1-2', 486),
      ended('c1-3', 486),
      ended('c1-4', 486),
    );
    assert.deepEqual(all[1], { do: 'redirect', leg: 'c1-1' });
    assert.deepEqual(peers(call), ['sip:a', 'sip:b', 'sip:c', 'sip:z']);
    assert.deepEqual([call.ending?.sipStatus, dialled(all).length], [486, 4]);
  });

  test('that nobody follows is a target that failed', () => {
    const { call } = play(routed(connect('sip:a')), moved('c1-1', 'sip:b'), targets('c1-1'));
    assert.equal(call.ending?.sipStatus, 480);
    assert.equal(play(routed(connect('sip:a')), moved('c1-1')).call.ending?.sipStatus, 480);
  });

  test('rings at once where all ring at once, and the call waits for its answer', () => {
    const both: FlowStep = { ...connect('sip:a', 'sip:z'), strategy: 'at-once' };
    const waiting = play(routed(both), moved('c1-1', 'sip:b'), ended('c1-2', 486));
    assert.equal(waiting.call.ending, null);
    assert.deepEqual(resumeActions(waiting.call, new Map()), [{ do: 'redirect', leg: 'c1-1' }]);
    const { call } = play(routed(both), moved('c1-1', 'sip:b', 'sip:c'), targets('c1-1', 'sip:b', 'sip:c'));
    assert.deepEqual(peers(call), ['sip:a', 'sip:z', 'sip:b', 'sip:c']);
  });

  test('in a circle ends: nobody is called twice, and not more than five times on', () => {
    const twice = play(routed(connect('sip:a')), moved('c1-1', 'sip:a'), targets('c1-1', 'sip:a'));
    assert.equal(twice.call.ending?.sipStatus, 480);
    const events = [0, 1, 2, 3, 4, 5].flatMap(i => [
      moved(`c1-${i + 1}`, `sip:${i}`),
      targets(`c1-${i + 1}`, `sip:${i}`),
    ]);
    const { call, all } = play(routed(connect('sip:a')), ...events);
    assert.deepEqual([call.ending?.sipStatus, dialled(all).length], [480, 6]);
  });

  test('that is answered about too late changes nothing', () => {
    const both: FlowStep = { ...connect('sip:a', 'sip:z'), strategy: 'at-once' };
    const up = play(routed(both), moved('c1-1', 'sip:b'), answered('c1-2'), targets('c1-1', 'sip:b'));
    assert.deepEqual(up.actions, []);
    const gone = play(routed(connect('sip:a')), moved('c1-1', 'sip:b'), ended('caller', 487), targets('c1-1', 'sip:b'));
    assert.deepEqual(gone.actions, []);
  });
});

describe('several targets', () => {
  test('in order: the next one after a failure, and the best failure at the end', () => {
    const { all, call } = play(routed(connect('sip:a', 'sip:b')), ended('c1-1', 404), ended('c1-2', 503));
    assert.deepEqual(
      all.filter(action => action.do === 'dial'),
      [
        { do: 'dial', legs: ['c1-1'] },
        { do: 'dial', legs: ['c1-2'] },
      ],
    );
    assert.equal(call.ending?.sipStatus, 404);
  });

  test('a 603 ends the search (RFC 3261 §21.6)', () => {
    const { all, call } = play(routed(connect('sip:a', 'sip:b')), ended('c1-1', 603));
    assert.equal(all.filter(action => action.do === 'dial').length, 1);
    assert.equal(call.ending?.sipStatus, 603);
  });

  test('at once: the first answer wins and the others are answered elsewhere', () => {
    const step: ConnectStep = { ...connect('sip:a', 'sip:b', 'sip:c'), strategy: 'at-once' };
    const { actions, call } = play(routed(step), ended('c1-3', 486), answered('c1-2'));
    assert.deepEqual(actions, [
      { do: 'join', legs: ['caller', 'c1-2'], answer: true },
      { do: 'hangup', leg: 'c1-1', cause: 26 },
    ]);
    const late = advance(call, answered('c1-1'), 9_000);
    assert.deepEqual(late.actions, [{ do: 'hangup', leg: 'c1-1', cause: 26 }]);
    const loserGone = advance(late.call, ended('c1-1', 487), 9_100);
    assert.equal(loserGone.call.ending, null);
  });

  test('a second connect step is tried when the first one failed', () => {
    const { all } = play(routed(connect('sip:a'), connect('sip:b')), ended('c1-1', 480));
    assert.deepEqual(all[1], { do: 'dial', legs: ['c1-2'] });
  });
});

describe('routes', () => {
  test('no answer is 404, a rejection its own status, a failed plugin 500', () => {
    assert.deepEqual(play({ type: 'routed', answer: undefined }).actions[0], { do: 'reject', sipStatus: 404 });
    const rejected = play({ type: 'routed', answer: { reject: 603, reason: 'no', routeName: 'premium' } });
    assert.deepEqual(rejected.actions[0], { do: 'reject', sipStatus: 603 });
    assert.equal(rejected.call.ending?.outcome, 'rejected');
    assert.equal(cdrOf(rejected.call).route, 'premium');
    assert.deepEqual(play({ type: 'routeFailed', reason: 'late' }).actions[0], { do: 'reject', sipStatus: 500 });
  });

  test('a route that comes after the caller gave up dials nobody', () => {
    const { all } = play(ended('caller', 487), routed(connect('sip:a')));
    assert.deepEqual(
      all.filter(action => action.do === 'dial'),
      [],
    );
  });

  test('a challenge from a gateway is not passed on as if it were ours', () => {
    assert.equal(play(routed(connect('sip:a')), ended('c1-1', 401)).call.ending?.sipStatus, 500);
  });
});

describe('the limits of a call', () => {
  const limited = (answer: { readonly maxCallSeconds?: number } = {}, maxCallSeconds = 60): CallEvent => ({
    type: 'routed',
    answer: { flow: [connect('sip:a')], routeName: 'r', ...answer },
    maxCallSeconds,
  });

  test('one that is not answered in time is refused with 408, and nobody rings any more', () => {
    const { call, actions } = play(limited(), { type: 'deadline', atMs: 241_000 });
    assert.deepEqual(actions, [
      { do: 'reject', sipStatus: 408 },
      { do: 'hangup', leg: 'c1-1', cause: 16 },
      { do: 'leave' },
    ]);
    const { by, outcome, limit, reason } = call.ending ?? {};
    assert.deepEqual([by, outcome, limit], ['holdfast', 'no-answer', 'maxSetupSeconds']);
    assert.match(reason ?? '', /not answered in 240 s/);
  });

  test('one that has lasted as long as the config allows is ended at both sides, and its record names the limit', () => {
    const up = play(limited(), answered('c1-1'));
    assert.deepEqual(up.call.deadline, { atMs: 63_000, limit: 'maxCallSeconds', seconds: 60 });
    const over = advance(up.call, { type: 'deadline', atMs: 63_000 }, 63_001);
    assert.deepEqual(over.actions, [
      { do: 'hangup', leg: 'caller', cause: 102 },
      { do: 'hangup', leg: 'c1-1', cause: 102 },
      { do: 'leave' },
    ]);
    const { by, outcome, limit } = over.call.ending ?? {};
    assert.deepEqual([by, outcome, limit], ['holdfast', 'answered', 'maxCallSeconds']);
  });

  test('a route may give another duration, or none', () => {
    assert.equal(play(limited({ maxCallSeconds: 5 }), answered('c1-1')).call.deadline?.atMs, 8_000);
    assert.equal(play(limited({ maxCallSeconds: 0 }), answered('c1-1')).call.deadline, null);
    assert.equal(play(limited({}, 0), answered('c1-1')).call.deadline, null);
  });

  test('one that is answered as its time for that runs out goes on', () => {
    const { call, actions } = play(limited(), answered('c1-1'), { type: 'deadline', atMs: 241_000 });
    assert.deepEqual([call.ending, actions], [null, []]);
  });

  test('a silent phone ends its call by the limit that it broke, on hold or not', () => {
    const silent: CallEvent = { ...ended('c1-1'), silent: true };
    const over = play(limited(), answered('c1-1'), silent).call.ending;
    assert.deepEqual([over?.by, over?.limit], ['holdfast', 'rtpTimeoutSeconds']);
    assert.equal(over?.reason, 'no RTP from the callee for 300 s, the most that rtpTimeoutSeconds allows');
    const hold: CallEvent = { type: 'legHeld', leg: 'c1-1', held: true };
    assert.equal(play(limited(), answered('c1-1'), hold, silent).call.ending?.limit, 'rtpTimeoutOnHoldSeconds');
    assert.match(
      play(limited(), answered('c1-1'), hold, silent).call.ending?.reason ?? '',
      /for 3600 s, the most that rtpTimeoutOnHoldSeconds allows$/,
    );
    const resumed: CallEvent = { ...hold, held: false };
    assert.equal(play(limited(), answered('c1-1'), hold, resumed, silent).call.ending?.limit, 'rtpTimeoutSeconds');
  });

  test('a caller whose answer died with its node was not answered, and pays nothing', () => {
    const { call } = play(limited(), answered('c1-1'), { ...ended('caller', 503), unanswered: true });
    const cdr = cdrOf(advance(call, ended('c1-1'), 9_000).call);
    assert.deepEqual([cdr.outcome, cdr.sipStatus, cdr.endedBy], ['failed', 503, 'holdfast']);
    assert.deepEqual([cdr.answeredAt, cdr.billSeconds, cdr.legs[0]?.answeredAt], [null, 0, null]);
    assert.match(cdr.reason, /before an answer had reached the caller/);
  });

  test('a caller whose CANCEL crossed the answer on its way to them was not answered, and pays nothing', () => {
    const cancelled: CallEvent = { ...ended('caller', 487), cancelled: true };
    const crossed = play(limited(), answered('c1-1'), cancelled);
    assert.deepEqual(
      crossed.actions.filter(action => action.do === 'hangup'),
      [{ do: 'hangup', leg: 'c1-1', cause: 16 }],
    );
    // Asterisk may refuse to answer what is no more before it says that it is gone.
    const refused: CallEvent = { type: 'hangup', reason: 'answer failed' };
    for (const before of [crossed.call, play(limited(), answered('c1-1'), refused, cancelled).call]) {
      const cdr = cdrOf(advance(before, ended('c1-1'), 9_000).call);
      assert.deepEqual([cdr.outcome, cdr.sipStatus, cdr.endedBy], ['cancelled', 487, 'caller']);
      assert.deepEqual([cdr.answeredAt, cdr.answeredBy, cdr.billSeconds], [null, null, 0]);
      assert.deepEqual([cdr.reason, cdr.legs[0]?.answeredAt], ['caller cancelled', null]);
    }
  });

  test('a leg that was found gone, and one whose session was lost, is not said to have hung up just now', () => {
    const reasonOf = (how: object): string =>
      play(limited(), answered('c1-1'), { ...ended('c1-1'), ...how }).call.ending?.reason ?? '';
    assert.equal(reasonOf({ unseen: true, notBeforeMs: 500 }), 'callee hung up while the daemon did not see it');
    assert.equal(reasonOf({ lost: 'call-1 died' }), "the callee's session was lost: call-1 died");
  });
});

describe('a daemon that comes back', () => {
  const channel = (id: string, state: string): AriChannel => ({
    id,
    state,
    name: `PJSIP/edge-${id}`,
    caller: { name: '', number: '' },
    connected: { name: '', number: '' },
    dialplan: { context: '', exten: '', app_name: '' },
    creationtime: '',
  });
  const snapshot = (...channels: AriChannel[]): Map<string, AriChannel> => new Map(channels.map(one => [one.id, one]));

  test('finds out who answered, who rings and who is gone, and not what is being dialled now', () => {
    const { call } = play(routed({ ...connect('sip:a', 'sip:b', 'sip:c'), strategy: 'at-once' }));
    const seen = snapshot(channel('caller', 'Ring'), channel('c1-1', 'Up'));
    const events = missedEvents(call, 'call-1', seen, 500, leg => leg === 'c1-3');
    assert.deepEqual(events, [
      answered('c1-1'),
      { type: 'legEnded', leg: 'c1-2', sipStatus: 480, notBeforeMs: 500, unseen: true },
    ]);
  });

  test('answers and joins again what the record says is up, and ends what it says has ended', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const seen = snapshot(channel('caller', 'Ring'), channel('c1-1', 'Up'));
    assert.deepEqual(resumeActions(call, seen), [{ do: 'answer' }, { do: 'join', legs: ['caller', 'c1-1'] }]);
    const over = advance(call, ended('c1-1'), 9_000).call;
    assert.deepEqual(resumeActions(over, snapshot(channel('caller', 'Up'))), [
      { do: 'hangup', leg: 'caller', cause: 16 },
      { do: 'leave' },
    ]);
  });

  test('hangs up whom its predecessor was about to hang up in a call that goes on', () => {
    const ring = play(routed({ ...connect('sip:a', 'sip:b'), strategy: 'at-once' }), answered('c1-1'));
    const seen = snapshot(channel('caller', 'Up'), channel('c1-1', 'Up'), channel('c1-2', 'Ringing'));
    assert.deepEqual(resumeActions(ring.call, seen), [
      { do: 'join', legs: ['caller', 'c1-1'] },
      { do: 'hangup', leg: 'c1-2', cause: 16 },
    ]);
    const late = play(routed(connect('sip:a', 'sip:b')), { type: 'ringTimeout', leg: 'c1-1' });
    assert.deepEqual(resumeActions(late.call, seen), [{ do: 'hangup', leg: 'c1-1', cause: 16 }]);
  });

  test('who leaves the others to each other is not put back into a conference that it may be out of already', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const seen = snapshot(channel('caller', 'Up'), channel('c1-1', 'Up'));
    const other = { call: 'c2', leg: 'far' };
    const asked = { referrer: 'caller', dialled: '', step: null, commanded: true, adds: false, replaces: null };
    assert.deepEqual(resumeActions({ ...call, transfer: { ...asked, other } }, seen), [
      { do: 'join', legs: ['c1-1'] },
      { do: 'merge', other },
    ]);
    const givesWay = { ...call, legs: call.legs.map(leg => ({ ...leg, gaveWay: leg.id === 'c1-1' })) };
    assert.deepEqual(resumeActions(givesWay, seen), [{ do: 'join', legs: ['caller'] }]);
  });

  test('whose transfer is done and who was not told so by the last daemon hears it of the next one, not 503', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const seen = snapshot(channel('caller', 'Up'), channel('c1-1', 'Up'));
    const legs = call.legs.map(leg => ({ ...leg, ...(leg.id === 'caller' && { gaveWay: true, ending: true }) }));
    const done = { atMs: 9_000, by: 'caller', kind: 'attended', call: 'c2' } as const;
    const hangup = { do: 'hangup', leg: 'caller', cause: 16 };
    assert.deepEqual(resumeActions({ ...call, legs, transfers: [{ ...done, to: '70002' }] }, seen), [
      { do: 'join', legs: ['c1-1'] },
      { do: 'tellReferrer', leg: 'caller', outcome: 'answered' },
      { ...hangup, afterMs: 1_000 },
    ]);
    // In the call that was consulted nobody has asked.
    const consulted = resumeActions({ ...call, legs, transfers: [{ ...done, to: '' }] }, seen);
    assert.deepEqual(consulted, [{ do: 'join', legs: ['c1-1'] }, hangup]);
  });

  test('who is told once more by the next daemon that it gave way has one transfer in its record', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const givesWay = { ...call, legs: call.legs.map(leg => ({ ...leg, gaveWay: leg.id === 'c1-1' })) };
    const gaveWay = { type: 'gaveWay', leg: 'c1-1', conferenceId: 'c2-conf', to: 'c2' } as const;
    const twice = advance(advance(givesWay, gaveWay, 9_000).call, gaveWay, 9_500).call;
    assert.equal(twice.conferenceId, 'c2-conf');
    assert.deepEqual(
      twice.transfers.map(({ by, call: to }) => [by, to]),
      [['callee', 'c2']],
    );
  });

  test('a room is entered before the caller is answered, again where a daemon died meanwhile, and may refuse', () => {
    const { call, actions } = play(routed({ action: 'conference_join', room: '1' }));
    assert.deepEqual(actions, [{ do: 'enter' }]);
    assert.deepEqual(resumeActions(call, snapshot(channel('caller', 'Ring'))), [{ do: 'enter' }]);
    assert.deepEqual(advance(call, { type: 'entered' }, 9_000).actions, [
      { do: 'join', legs: ['caller'], answer: true },
    ]);
    const full = advance(call, { type: 'notEntered', sipStatus: 486, reason: 'full' }, 9_000);
    assert.deepEqual(full.actions, [{ do: 'reject', sipStatus: 486 }, { do: 'leave' }]);
  });

  test('a leg that was recovered elsewhere than the others is hung up on its own node', async () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const apart = { ...call, legs: call.legs.map(leg => (leg.id === 'c1-1' ? { ...leg, node: 'call-3' } : leg)) };
    const asked: string[] = [];
    const node = (name: string): object => ({ ari: { channels: { hangup: async () => void asked.push(name) } } });
    const world = ariWorld({ asterisks: { node }, abandon: () => false } as unknown as AriWorldOptions);
    await world.hangup(apart, 'c1-1', 16, []);
    assert.deepEqual(asked, ['call-3']);
  });

  test('what a dead node was to play or answer has not failed: its caller is recovered, or refused', async () => {
    const { call } = play(routed(connect('sip:a')));
    const unreached = async (): Promise<never> => {
      throw new HoldfastError('ARI_UNREACHABLE', 'call-1 was declared dead');
    };
    const asterisks = { node: () => ({ ari: { channels: { play: unreached, answer: unreached } } }) };
    const flows = { mediaUri: (media: string) => media };
    const nodes = { isDead: (name: string) => name === 'call-1' };
    const world = ariWorld({ asterisks, flows, nodes } as unknown as AriWorldOptions);
    await world.play(call, 'p1', 'sound:a', 0);
    await world.answer(call);
  });

  test('a room by a name that is none is refused, also where a flow made it of an answer', async () => {
    for (const room of ['', '1\r\nEvil: 1', 'x'.repeat(129)]) {
      const { call } = play(routed({ action: 'conference_join', room }));
      const event = await ariWorld({ log: silentLogger } as AriWorldOptions).enter(call);
      assert.deepEqual([event.type, 'sipStatus' in event && event.sipStatus], ['notEntered', 404]);
    }
  });

  test('what the event stream is told of a call is written with its record: what is not saved is told with the next one', async () => {
    const { call } = play(routed(connect('sip:a')));
    const saved: string[] = [];
    const world = worldThatNotes([], {
      eventsOf: callEvents,
      save: async (one, events) => void saved.push([one.state, ...events.map(({ type }) => type)].join(' ')),
      finish: async (one, events) => void saved.push(['finished', ...events.map(({ type }) => type)].join(' ')),
    });
    const live = new LiveCall(call, world, silentLogger);
    for (const event of [
      { type: 'legRinging', leg: 'c1-1' } as const,
      answered('c1-1'),
      ended('c1-1'),
      ended('caller'),
    ])
      live.dispatch(event);
    await live.settled();
    assert.deepEqual(saved, ['proceeding call.ringing', 'confirmed call.answered', 'confirmed', 'finished']);
  });

  test('a target that refuses before the copy of its INVITE is here has its Call-ID in the record, by its Asterisk', async () => {
    const { call } = play(routed(connect('sip:a')));
    const store = openMemoryStore();
    await store.table('calls', callRecordSchema).put(call.id, call);
    const records: CallDetailRecord[] = [];
    const engine = engineOn(store, {
      arrivals: { arrived: () => false, ended: () => undefined } as never,
      passing: () => ({ headers: [], domain: 'holdfast.test', trusts: () => false }),
      finish: async (_, record) => void records.push(record),
    });
    await engine.load(0);
    engine.onRecovering(() => false);
    const channel = { id: 'c1-1', name: 'PJSIP/edge-1', state: 'Down', protocol_id: 'callee@farm' } as AriChannel;
    const cause = { cause: 58, cause_txt: '', tech_cause: 488, timestamp: '' };
    engine.listener('call-1').event({ type: 'ChannelDestroyed', channel, ...cause });
    engine.tell(call.id, ended('caller', 488));
    await waitFor('the call to be over', () => engine.book.size === 0);
    assert.deepEqual(records[0]?.sipCallIds, ['sip-1', 'callee@farm']);
  });

  test('a call whose legs are all gone is finished once: it has one record', async () => {
    const { call } = play(routed({ action: 'conference_join', room: '1' }));
    const done: string[] = [];
    const world = worldThatNotes(done);
    const live = new LiveCall(call, world, silentLogger);
    for (const event of missedEvents(call, 'call-1', snapshot(), 500, () => false)) live.dispatch(event);
    live.resume(resumeActions(live.record, snapshot()));
    await live.settled();
    assert.equal(done.filter(name => name === 'finish').length, 1);
  });

  test('a call that is being finished is not saved with others any more: it would be there again, and have a second record', async () => {
    const { call } = play(routed(connect('sip:a')), ended('caller'));
    const store = openMemoryStore();
    const table = store.table('calls', callRecordSchema);
    await table.put(call.id, call);
    const engine: CallEngine = engineOn(store, {
      finish: async one => {
        const finished = table.delete(one.id);
        // As a recovery of its node saves all the calls that it moves.
        await engine.save([one.id]);
        await finished;
      },
    });
    await engine.load(0);
    engine.tell(call.id, ended('c1-1'));
    await waitFor('the call to be over', () => engine.book.size === 0);
    assert.equal(await table.get(call.id), undefined);
  });

  test('a leg that its node was too busy to hang up is not to be there any more, and is swept', async () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const over = play(routed(connect('sip:a')), answered('c1-1'), ended('caller')).call;
    for (const [record, kept] of [
      [call, ['caller', 'c1-1']],
      [over, []],
    ] as const) {
      const store = openMemoryStore();
      await store.table('calls', callRecordSchema).put(call.id, record);
      const engine = engineOn(store);
      await engine.load(0);
      const ids = engine.book.keptLegsOn('call-1').map(({ id }) => id);
      assert.deepEqual(ids, kept);
    }
  });

  test('a refusal or hang-up that its node was too busy to answer is asked for again until that leg has ended, and no longer', async () => {
    for (const [busy, begun, leg] of [
      ['reject', play(routed(connect('sip:a'))).call, 'caller'],
      ['hangup', play(routed(connect('sip:a')), answered('c1-1')).call, 'c1-1'],
    ] as const) {
      const asked: string[] = [];
      const later: (() => Promise<void>)[] = [];
      const world = worldThatNotes(asked, {
        [busy]: async () => {
          asked.push(busy);
          throw new HoldfastError('ARI_TIMEOUT', 'no answer in 5000 ms');
        },
        again: (node, work) => {
          assert.equal(node, 'call-1');
          later.push(work);
        },
      });
      const live = new LiveCall(begun, world, silentLogger);
      live.dispatch(ended(busy === 'reject' ? 'c1-1' : 'caller'));
      await live.settled();
      await later.shift()?.();
      assert.deepEqual([later.length, asked.filter(what => what === busy).length], [1, 2]);
      live.dispatch(ended(leg));
      await later.shift()?.();
      await live.settled();
      assert.deepEqual([later.length, asked.filter(what => what === busy).length], [0, 2]);
      assert.ok(asked.includes('finish'));
    }
  });

  test('the CDR of a call that ended meanwhile says between which times', () => {
    const { call } = play(routed(connect('sip:a')), answered('c1-1'));
    const first = advance(call, { type: 'legEnded', leg: 'c1-1', sipStatus: 480, notBeforeMs: 4_000 }, 9_000);
    const cdr = cdrOf(advance(first.call, ended('caller'), 9_100).call);
    assert.equal(cdr.endedNotBefore, new Date(4_000).toISOString());
    assert.equal(cdr.endedAt, new Date(9_000).toISOString());
  });
});

/** It has no Asterisk. */
function engineOn(store: Store, more: Partial<CallEngineOptions> = {}): CallEngine {
  return new CallEngine({
    ...({
      store,
      log: silentLogger,
      sipCallIdOf: () => undefined,
      eventsOf: () => [],
    } as unknown as CallEngineOptions),
    flows: { actions: new Map() } as never,
    conferences: {
      onLost: () => undefined,
      load: async () => undefined,
      leave: async () => undefined,
      companions: () => 0,
      handle: () => false,
    } as never,
    events: { started: () => undefined, answered: () => undefined, ended: () => undefined, changed: () => undefined },
    ...more,
  });
}
