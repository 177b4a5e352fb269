// The ledger of dialogs against whole flows: what each Asterisk knows of its own, in both roles, to the end.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import { feed, LedgerFlow, truthOf, type FlowOptions } from '../harness/ledger-flow.js';

const roles = ['uac', 'uas'] as const;
const now = (): number => 1e12 + 1000;

function ledgerOf(...flows: readonly LedgerFlow[]): DialogLedger {
  const ledger = new DialogLedger({ now });
  for (const flow of flows) feed(ledger, flow.messages);
  return ledger;
}

/** Says what the truth is, and nothing is missing. */
function assertTrue(ledger: DialogLedger, flow: LedgerFlow): void {
  const dialog = ledger.dialog(flow.callId);
  assert.ok(dialog, 'is known');
  assert.deepEqual(truthOf(dialog), flow.truth);
  assert.deepEqual(dialog.holes, []);
  assert.equal(dialog.state, 'confirmed');
  assert.equal(dialog.local.tag, flow.tags.us);
  assert.equal(dialog.remote.tag, flow.tags.them);
}

test('the session timer is that of the latest 2xx, and who refreshes is told from our side', () => {
  for (const [by, value, session] of [
    ['us', 'Session-Expires: 90;refresher=uac', { seconds: 90, refresher: 'local' }],
    ['us', 'x: 1800 ;refresher=uas', { seconds: 1800, refresher: 'remote' }],
    ['them', 'Session-Expires: 120;refresher=uac', { seconds: 120, refresher: 'remote' }],
    ['them', 'Session-Expires: 120', { seconds: 120, refresher: 'remote' }],
    ['them', 'Session-Expires: soon', null],
  ] as const) {
    const flow = new LedgerFlow({ role: 'uas' }).setUp();
    const cseq = flow.next(by);
    flow.push({ by, method: 'UPDATE', cseq, contact: true });
    flow.push({ by, method: 'UPDATE', cseq, status: 200, contact: true, headers: [value] });
    assert.deepEqual(ledgerOf(flow).dialog(flow.callId)?.session, session, value);
  }
});

for (const role of roles) {
  const flowOf = (options: FlowOptions = {}): LedgerFlow => new LedgerFlow({ role, legId: 'leg-7', ...options });

  describe(`a dialog whose INVITE ${role === 'uac' ? 'we sent' : 'we received'}`, () => {
    test('is known whole after its set-up, with its parties', () => {
      const flow = flowOf().setUp();
      const ledger = ledgerOf(flow);
      assertTrue(ledger, flow);
      const { local, remote, role: said } = ledger.dialog(flow.callId)!;
      assert.deepEqual(local, { uri: 'sip:service@holdfast.test', displayName: 'Hold "fast", Inc', tag: flow.tags.us });
      assert.equal(remote.uri, 'sip:1001@holdfast.test');
      assert.equal(said, role);
      assert.deepEqual(ledger.openInvitesOn('call-1'), []);
      assert.equal(ledger.dialogsOn('call-1').length, 1);
      assert.equal(ledger.dialogsOn('call-2').length, 0);
    });

    test('is the same with early media, and with the offer in the 2xx', () => {
      const early = flowOf({ callId: 'early' }).setUp({ early: true });
      const delayed = flowOf({ callId: 'delayed' }).setUp({ delayed: true });
      const ledger = ledgerOf(early, delayed);
      assertTrue(ledger, early);
      assertTrue(ledger, delayed);
    });

    test('follows hold and resume from either side', () => {
      for (const by of ['us', 'them'] as const) {
        const flow = flowOf().setUp().refresh(by, 'sendonly');
        assertTrue(ledgerOf(flow), flow);
        assert.equal(flow.truth[by === 'us' ? 'localSdp' : 'remoteSdp']?.direction, 'sendonly');
        flow.refresh(by, 'sendrecv');
        assertTrue(ledgerOf(flow), flow);
      }
    });

    test('has the remote target that re-INVITE or UPDATE of either side brought last', () => {
      for (const method of ['INVITE', 'UPDATE']) {
        const flow = flowOf().setUp().refresh('them', 'sendrecv', { method, refresh: true });
        assertTrue(ledgerOf(flow), flow);
        flow.refresh('us', 'sendrecv', { method, refresh: true });
        assertTrue(ledgerOf(flow), flow);
        assert.equal(flow.truth.remoteTarget, 'sip:1001@192.0.2.12:5062');
      }
    });

    test('keeps its SDP when a re-INVITE of ours is refused, but counts the version that it used', () => {
      const flow = flowOf().setUp().refresh('us', 'sendonly', { status: 488 });
      assertTrue(ledgerOf(flow), flow);
      assert.equal(flow.truth.localSdp?.direction, 'sendrecv');
      assert.equal(flow.truth.localSdp.origin, '- 4711 1002 IN IP4 127.9.7.31');
    });

    test('keeps both SDPs when a re-INVITE of theirs is refused, and takes its Contact as pjsip does', () => {
      const flow = flowOf().setUp().refresh('them', 'sendonly', { status: 488, refresh: true });
      assertTrue(ledgerOf(flow), flow);
      assert.equal(flow.truth.remoteSdp?.direction, 'sendrecv');
    });

    test('counts INFO, UPDATE and BYE of both sides, but neither ACK nor CANCEL', () => {
      const flow = flowOf().setUp().info('us').info('them').info('us').refresh('us', 'sendrecv', { method: 'UPDATE' });
      flow.push({ by: 'us', method: 'CANCEL', cseq: 99_999 });
      flow.push({ by: 'them', method: 'CANCEL', cseq: 99_999 });
      const ledger = ledgerOf(flow);
      assertTrue(ledger, flow);
      feed(ledger, [flow.push({ by: 'us', method: 'BYE', cseq: flow.next('us') })]);
      assert.equal(ledger.dialog(flow.callId)?.localCseq, flow.truth.localCseq);
    });

    test('keeps its route set whatever a later message records', () => {
      const flow = flowOf().setUp();
      const cseq = flow.next('us');
      const routes = ['Record-Route: <sip:stranger.example;lr>'];
      flow.push({ by: 'us', method: 'INVITE', cseq, contact: true });
      flow.push({ by: 'us', method: 'INVITE', cseq, contact: true, status: 200, headers: routes });
      assert.deepEqual(ledgerOf(flow).dialog(flow.callId)?.routeSet, flow.truth.routeSet);
    });

    test('is the same when every message comes twice', () => {
      const flow = flowOf().setUp({ early: true }).refresh('us', 'sendonly').refresh('them', 'inactive').info('them');
      const ledger = new DialogLedger({ now });
      feed(
        ledger,
        flow.messages.flatMap(message => [message, message]),
      );
      feed(ledger, flow.messages);
      assertTrue(ledger, flow);
    });

    test('is the same in whatever order the messages of its set-up come', () => {
      for (const order of permutations([0, 1, 2, 3])) {
        const flow = flowOf().setUp();
        const ledger = new DialogLedger({ now });
        feed(
          ledger,
          order.map(at => flow.messages[at]!),
        );
        assertTrue(ledger, flow);
        assert.deepEqual(ledger.openInvitesOn('call-1'), [], order.join(''));
      }
    });

    test('is the same in whatever order the messages of a re-INVITE come', () => {
      for (const by of ['us', 'them'] as const) {
        for (const order of permutations([0, 1, 2])) {
          const flow = flowOf().setUp();
          const ledger = ledgerOf(flow);
          const known = flow.messages.length;
          flow.refresh(by, 'sendonly', { refresh: true });
          feed(
            ledger,
            order.map(at => flow.messages[known + at]!),
          );
          assertTrue(ledger, flow);
        }
      }
    });

    test('ends with 200, 481 and 408 to a BYE of either side, and is told once', () => {
      for (const by of ['us', 'them'] as const) {
        for (const status of [200, 481, 408]) {
          const flow = flowOf().setUp();
          const ledger = ledgerOf(flow);
          assert.equal(ledger.drain().changed.length, 1);
          flow.bye(by, status);
          feed(ledger, flow.messages);
          assert.equal(ledger.dialog(flow.callId), undefined);
          assert.deepEqual(ledger.drain(), { changed: [], ended: [flow.callId] });
          assert.deepEqual(ledger.drain(), { changed: [], ended: [] });
          assert.equal(ledger.counters.dialogs, 0);
        }
      }
    });

    test('lives on when our Asterisk refuses a BYE, and ends when nobody answers ours', () => {
      const refused = flowOf({ callId: 'refused' }).setUp().bye('them', 500);
      const unanswered = flowOf({ callId: 'unanswered' }).setUp();
      unanswered.push({ by: 'us', method: 'BYE', cseq: unanswered.next('us') });
      const ledger = ledgerOf(refused, unanswered);
      ledger.prune(now() + 20_000);
      assert.equal(ledger.counters.dialogs, 2);
      ledger.prune(now() + 40_000);
      assert.equal(ledger.dialog('unanswered'), undefined);
      assertTrue(ledger, refused);
    });

    test('ends when a Kamailio answers a BYE in place of a dead node', () => {
      const flow = flowOf().setUp();
      const ledger = ledgerOf(flow);
      const { text } = flow.push({ by: 'them', method: 'BYE', cseq: 9000, status: 200 });
      const passage = { fromNode: undefined, toNode: undefined, atMs: flow.atMs };
      feed(ledger, [{ text: text.replace(flow.tags.them, 'stranger'), passage }]);
      assert.ok(ledger.dialog(flow.callId), 'not for a stranger');
      feed(ledger, [{ text, passage }]);
      assert.equal(ledger.dialog(flow.callId), undefined);
    });

    test('is not brought back by late messages', () => {
      const flow = flowOf().setUp().refresh('us', 'sendrecv').bye('them');
      const ledger = ledgerOf(flow);
      feed(ledger, flow.messages);
      feed(ledger, [...flow.messages].reverse());
      assert.equal(ledger.counters.dialogs, 0);
    });

    test('goes to the node that sends the newer INVITE, and hears no more of the old one', () => {
      const flow = flowOf().setUp().info('us').move('call-2');
      const ledger = ledgerOf(flow);
      assertTrue(ledger, flow);
      assert.deepEqual(ledger.dialogsOn('call-1'), []);
      const late = { by: 'us', method: 'INVITE', cseq: flow.initialCseq + 2, node: 'call-1', contact: true } as const;
      const kept = flow.messages.length;
      flow.push(late);
      flow.push({ by: 'us', method: 'BYE', cseq: flow.initialCseq + 3, node: 'call-1' });
      flow.push({ by: 'them', method: 'INVITE', cseq: 400, node: 'call-1', contact: true });
      flow.push({ by: 'us', method: 'BYE', cseq: flow.initialCseq + 3, node: 'call-1', status: 481 });
      feed(ledger, flow.messages.slice(kept));
      assertTrue(ledger, flow);
      flow.info('us').refresh('them', 'sendonly', { refresh: true }).move('call-3');
      feed(ledger, flow.messages.slice(kept + 4));
      assertTrue(ledger, flow);
    });

    test('tells that a request of either side was not seen, until it comes late', () => {
      for (const by of ['us', 'them'] as const) {
        const flow = flowOf().setUp().info(by);
        const kept = flow.messages.length;
        flow.refresh(by, 'sendonly', { refresh: true }).info(by);
        const ledger = new DialogLedger({ now });
        feed(ledger, [...flow.messages.slice(0, kept), ...flow.messages.slice(kept + 3)]);
        assert.deepEqual(ledger.dialog(flow.callId)?.holes, ['lost']);
        feed(ledger, flow.messages.slice(kept, kept + 3));
        assertTrue(ledger, flow);
      }
    });

    test('tells that the outcome of a re-INVITE was not seen, once it must be there', () => {
      const flow = flowOf().setUp();
      flow.push({ by: 'us', method: 'INVITE', cseq: flow.next('us'), contact: true });
      let nowMs = flow.atMs;
      const ledger = new DialogLedger({ now: () => nowMs });
      feed(ledger, flow.messages);
      assert.deepEqual(ledger.dialog(flow.callId)?.holes, []);
      nowMs += 33_000;
      assert.deepEqual(ledger.dialog(flow.callId)?.holes, ['lost', 'localSdp', 'remoteSdp']);
    });

    test('that becomes known by its 2xx says what it lacks, and by its INVITE lacks nothing', () => {
      const flow = flowOf().setUp();
      const [invite, , ok, ack] = flow.messages;
      const ledger = new DialogLedger({ now });
      feed(ledger, [ok!, ack!]);
      const dialog = ledger.dialog(flow.callId)!;
      assert.equal(dialog.state, 'confirmed');
      assert.deepEqual(dialog.routeSet, flow.truth.routeSet);
      for (const hole of ['lost', 'localSdp', 'remoteSdp'] as const) assert.ok(dialog.holes.includes(hole), hole);
      assert.equal(dialog.holes.includes('remoteTarget'), role === 'uas');
      feed(ledger, [invite!]);
      assertTrue(ledger, flow);
    });

    test('whose 2xx was not seen is known by its ACK', () => {
      const flow = flowOf().setUp();
      const [invite, ringing, , ack] = flow.messages;
      const ledger = new DialogLedger({ now });
      feed(ledger, [invite!, ringing!, ack!]);
      const { state, routeSet, remoteTarget, holes } = ledger.dialog(flow.callId)!;
      assert.deepEqual([state, routeSet, remoteTarget], ['confirmed', flow.truth.routeSet, flow.truth.remoteTarget]);
      assert.ok(holes.includes('localSdp') && holes.includes('remoteSdp'));
    });

    test('of an earlier daemon is said to have holes, and carries on', () => {
      const flow = flowOf().setUp().refresh('them', 'sendonly');
      const earlier = ledgerOf(flow).drain().changed;
      const ledger = new DialogLedger({ now });
      ledger.seed(earlier);
      ledger.seed(earlier);
      assert.deepEqual(ledger.dialogsOn('call-1'), [{ ...earlier[0], holes: ['lost'] }]);
      const kept = flow.messages.length;
      flow.refresh('them', 'sendrecv', { refresh: true }).info('us');
      feed(ledger, flow.messages.slice(kept));
      const dialog = ledger.dialog(flow.callId)!;
      assert.deepEqual(truthOf(dialog), flow.truth);
      assert.deepEqual(dialog.holes, ['lost']);
    });

    test('of an earlier daemon does not stand against what is known already', () => {
      const flow = flowOf().setUp();
      const earlier = ledgerOf(flow).drain().changed;
      flow.info('us');
      const ledger = ledgerOf(flow);
      ledger.seed(earlier);
      assertTrue(ledger, flow);
      flow.bye('us');
      feed(ledger, flow.messages);
      ledger.seed(earlier);
      assert.equal(ledger.dialog(flow.callId), undefined);
    });
  });
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap(item => permutations(items.filter(one => one !== item)).map(rest => [item, ...rest]));
}
