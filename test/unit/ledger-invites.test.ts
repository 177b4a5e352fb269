// INVITEs that are open, that are forked, that fail; what Asterisks say of themselves; and the ledger's bounds.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Dialog, DialogFacts } from '../../core/ledger/dialog.js';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import { feed, LedgerFlow, truthOf } from '../harness/ledger-flow.js';

const now = (): number => 1e12 + 1000;

function ledgerOf(...flows: readonly LedgerFlow[]): DialogLedger {
  const ledger = new DialogLedger({ now });
  for (const flow of flows) feed(ledger, flow.messages);
  return ledger;
}

describe('an open INVITE', () => {
  test('that we received has all Vias, its Record-Route and our To tag, until our final response', () => {
    const flow = new LedgerFlow({ role: 'uas' });
    flow.invite();
    flow.provisional(180);
    const ledger = ledgerOf(flow);
    const [open, ...others] = ledger.openInvitesOn('call-1');
    assert.deepEqual(others, []);
    assert.deepEqual(open, {
      ...{ callId: flow.callId, node: 'call-1', direction: 'in', cseq: 1, legId: null, answeredBy: null },
      ...{ requestUri: 'sip:asterisk@call-1:5060', routes: ['<sip:127.9.7.101;lr>'], recordRoutes: flow.recordRoutes },
      vias: [
        'SIP/2.0/UDP 127.9.7.101:5060;branch=z9hG4bKcydcall-1@t-1',
        'SIP/2.0/UDP 192.0.2.7:5060;rport;branch=z9hG4bKcall-1@t-1',
      ],
      from: `<sip:1001@holdfast.test>;tag=${flow.tags.them}`,
      to: '"Hold \\"fast\\", Inc" <sip:service@holdfast.test>',
      toTags: [flow.tags.us],
      sentMs: flow.messages[0]!.passage.atMs,
    });
    assert.deepEqual(ledger.openInvitesOn('call-2'), []);
    const kept = flow.messages.length;
    flow.respond({ by: 'them', method: 'INVITE', cseq: 1, status: 486 });
    feed(ledger, flow.messages.slice(kept));
    assert.deepEqual(ledger.openInvitesOn('call-1'), []);
    assert.equal(ledger.dialog(flow.callId), undefined);
    feed(ledger, flow.messages);
    assert.equal(ledger.counters.dialogs, 0, 'late messages do not open it again');
    assert.deepEqual(ledger.drain(), { changed: [], ended: [] });
  });

  test('that we sent and that was answered says by whom, until our ACK', () => {
    const flow = new LedgerFlow({ legId: 'leg-1' }).setUp();
    const ledger = new DialogLedger({ now });
    feed(ledger, flow.messages.slice(0, -1));
    const [open] = ledger.openInvitesOn('call-1');
    assert.equal(open?.legId, 'leg-1');
    assert.deepEqual(open.answeredBy, {
      toTag: flow.tags.them,
      contact: flow.truth.remoteTarget,
      recordRoutes: flow.recordRoutes,
    });
    assert.equal(ledger.dialog(flow.callId)?.state, 'confirmed');
    feed(ledger, flow.messages.slice(-1));
    assert.deepEqual(ledger.openInvitesOn('call-1'), []);
  });

  test('that is sent again with credentials is one, with the newer number', () => {
    for (const isChallengeSeen of [true, false]) {
      const flow = new LedgerFlow();
      flow.invite();
      flow.push({ by: 'us', method: 'INVITE', cseq: 17_000, status: 401, toTag: 'challenge' });
      if (!isChallengeSeen) flow.messages.pop();
      const again = flow.push({ by: 'us', method: 'INVITE', cseq: 17_001, toTag: '', contact: true });
      const ledger = ledgerOf(flow);
      feed(ledger, flow.messages.slice(0, 1));
      assert.deepEqual(
        ledger.openInvitesOn('call-1').map(({ cseq, sentMs }) => [cseq, sentMs]),
        [[17_001, again.passage.atMs]],
      );
    }
  });

  test('that was forked has all To tags, and the first 2xx makes the dialog', () => {
    const flow = new LedgerFlow();
    flow.invite();
    for (const tag of ['fork-a', 'fork-b', 'fork-c']) flow.provisional(180, undefined, tag);
    const ledger = ledgerOf(flow);
    assert.deepEqual(ledger.openInvitesOn('call-1')[0]?.toTags, ['fork-a', 'fork-b', 'fork-c']);
    assert.equal(ledger.openInvitesOn('call-1').length, 1);
    const kept = flow.messages.length;
    const ok = { by: 'us', method: 'INVITE', cseq: 17_000, status: 200, contact: true } as const;
    flow.respond({ ...ok, toTag: 'fork-b' });
    flow.push({ by: 'us', method: 'ACK', cseq: 17_000, toTag: 'fork-b' });
    flow.respond({ ...ok, toTag: 'fork-c' });
    flow.push({ by: 'us', method: 'ACK', cseq: 17_000, toTag: 'fork-c' });
    flow.push({ by: 'us', method: 'BYE', cseq: 17_001, toTag: 'fork-c' });
    flow.push({ by: 'us', method: 'BYE', cseq: 17_001, toTag: 'fork-c', status: 200 });
    flow.respond({ by: 'us', method: 'INVITE', cseq: 17_000, status: 487, toTag: 'fork-a' });
    feed(ledger, flow.messages.slice(kept));
    const dialogs = ledger.dialogsOn('call-1');
    assert.deepEqual(
      dialogs.map(({ remote, localCseq }) => [remote.tag, localCseq]),
      [['fork-b', 17_000]],
    );
    assert.equal(ledger.counters.dialogs, 1);
  });

  test('that we cancelled stays open until its 487', () => {
    const flow = new LedgerFlow();
    flow.invite();
    flow.provisional(180);
    flow.push({ by: 'us', method: 'CANCEL', cseq: 17_000, toTag: '' });
    flow.push({ by: 'us', method: 'CANCEL', cseq: 17_000, status: 200 });
    const ledger = ledgerOf(flow);
    assert.equal(ledger.openInvitesOn('call-1').length, 1);
    const kept = flow.messages.length;
    flow.respond({ by: 'us', method: 'INVITE', cseq: 17_000, status: 487 });
    flow.push({ by: 'us', method: 'ACK', cseq: 17_000 });
    feed(ledger, flow.messages.slice(kept));
    assert.equal(ledger.counters.dialogs, 0);
  });

  test('whose early session was changed by an UPDATE keeps the changed one when it is answered', () => {
    for (const role of ['uac', 'uas'] as const) {
      for (const by of ['us', 'them'] as const) {
        const flow = new LedgerFlow({ role }).setUp({ early: true });
        const final = flow.messages.splice(-2);
        flow.refresh(by, 'sendonly', { method: 'UPDATE', refresh: true });
        const { localSdp, remoteSdp, localCseq, remoteCseq } = flow.truth;
        flow.messages.push(...final);
        const dialog = ledgerOf(flow).dialog(flow.callId)!;
        assert.equal(dialog.state, 'confirmed');
        assert.deepEqual([dialog.localSdp, dialog.remoteSdp], [localSdp, remoteSdp], `${role} ${by}`);
        assert.deepEqual([dialog.localCseq, dialog.remoteCseq], [localCseq, remoteCseq]);
        assert.deepEqual(dialog.holes, []);
      }
    }
  });

  test('with an offer in a PRACK says that the SDPs are not known, until the next offer and answer', () => {
    const flow = new LedgerFlow().setUp({ early: true });
    const final = flow.messages.splice(-2);
    const sdp = 'v=0\r\no=- 4711 1500 IN IP4 127.9.7.31\r\nm=audio 4000 RTP/AVP 0\r\n';
    const cseq = flow.next('us');
    flow.push({ by: 'us', method: 'PRACK', cseq, sdp });
    flow.push({ by: 'us', method: 'PRACK', cseq, status: 200, sdp: sdp.replace('4711', '1') });
    flow.messages.push(...final);
    const ledger = ledgerOf(flow);
    const { holes, localCseq } = ledger.dialog(flow.callId)!;
    assert.deepEqual([holes.sort(), localCseq], [['localSdp', 'remoteSdp'], cseq]);
    const kept = flow.messages.length;
    flow.refresh('them', 'sendrecv');
    feed(ledger, flow.messages.slice(kept));
    assert.deepEqual(ledger.dialog(flow.callId)?.holes, []);
  });

  test('of a hairpin is one on each node, and so are its dialogs', () => {
    const flow = new LedgerFlow({ node: 'call-1' });
    flow.setUp();
    const ledger = ledgerOf(flow);
    const there = flow.messages.map(({ text, passage }) => ({
      text,
      passage: {
        ...passage,
        fromNode: passage.fromNode ? undefined : 'call-2',
        toNode: passage.fromNode ? 'call-2' : undefined,
      },
    }));
    feed(ledger, there);
    const [[here], [other]] = [ledger.dialogsOn('call-1'), ledger.dialogsOn('call-2')];
    assert.equal(here?.local.tag, flow.tags.us);
    assert.equal(other?.local.tag, flow.tags.them);
    assert.deepEqual([here.role, other.role], ['uac', 'uas']);
  });
});

describe('what a living Asterisk says', () => {
  const factsOf = (dialog: Dialog): DialogFacts => ({
    ...dialog,
    localTag: dialog.local.tag!,
    remoteTag: dialog.remote.tag!,
    remoteTarget: dialog.remoteTarget!,
  });

  test('closes all holes of a dialog of an earlier daemon', () => {
    const flow = new LedgerFlow().setUp();
    const earlier = ledgerOf(flow).drain().changed;
    flow.info('us').refresh('them', 'sendonly', { refresh: true });
    const facts = factsOf(ledgerOf(flow).dialog(flow.callId)!);
    const ledger = new DialogLedger({ now });
    ledger.seed(earlier);
    ledger.fill(facts);
    const dialog = ledger.dialog(flow.callId)!;
    assert.deepEqual(truthOf(dialog), flow.truth);
    assert.deepEqual(dialog.holes, []);
    const kept = flow.messages.length;
    flow.refresh('us', 'sendonly').info('them');
    feed(ledger, flow.messages.slice(kept));
    assert.deepEqual(truthOf(ledger.dialog(flow.callId)!), flow.truth);
    assert.deepEqual(ledger.dialog(flow.callId)?.holes, []);
  });

  for (const [by, what] of [
    ['us', 'ours'],
    ['them', 'theirs'],
  ] as const)
    test(`leaves a re-INVITE of ${what} open whose outcome it knows before its copies have come`, () => {
      const flow = new LedgerFlow().setUp();
      const [earlier, kept] = [ledgerOf(flow).drain().changed, flow.messages.length];
      flow.refresh(by, 'sendonly', { refresh: true });
      const facts = factsOf(ledgerOf(flow).dialog(flow.callId)!);
      const ledger = new DialogLedger({ now });
      ledger.seed(earlier);
      const [request, ...others] = flow.messages.slice(kept);
      assert.ok(request);
      feed(ledger, [request]);
      ledger.fill(facts);
      assert.ok(ledger.dialog(flow.callId)!.holes.includes(by === 'us' ? 'remoteSdp' : 'localSdp'));
      feed(ledger, others);
      assert.deepEqual(truthOf(ledger.dialog(flow.callId)!), flow.truth);
      assert.deepEqual(ledger.dialog(flow.callId)?.holes, []);
    });

  test('makes a dialog known of which nothing was seen', () => {
    const flow = new LedgerFlow({ role: 'uas' }).setUp();
    const facts = factsOf(ledgerOf(flow).dialog(flow.callId)!);
    const ledger = new DialogLedger({ now });
    ledger.fill(facts);
    assert.deepEqual(truthOf(ledger.dialog(flow.callId)!), flow.truth);
    assert.equal(ledger.drain().changed.length, 1);
  });

  test('never takes a sequence number or a target back, when it was asked before the last message', () => {
    const flow = new LedgerFlow().setUp().info('us').info('them');
    const facts = factsOf(ledgerOf(flow).dialog(flow.callId)!);
    flow.refresh('them', 'sendonly', { refresh: true }).refresh('us', 'inactive');
    const ledger = ledgerOf(flow);
    ledger.fill(facts);
    assert.deepEqual(truthOf(ledger.dialog(flow.callId)!), flow.truth);
    assert.deepEqual(ledger.dialog(flow.callId)?.holes, []);
  });

  test('means nothing from a node that has lost the dialog, or of a dialog that is over', () => {
    const flow = new LedgerFlow().setUp();
    const facts = factsOf(ledgerOf(flow).dialog(flow.callId)!);
    const ledger = ledgerOf(flow.move('call-2'));
    ledger.fill(facts);
    assert.deepEqual(truthOf(ledger.dialog(flow.callId)!), flow.truth);
    feed(ledger, flow.bye('us').messages);
    ledger.fill(facts);
    assert.equal(ledger.dialog(flow.callId), undefined);
  });
});

describe('the memory of the ledger', () => {
  test('keeps so many dialogs, forgets the one longest unchanged, and tells it as ended', () => {
    const ledger = new DialogLedger({ now, dialogs: 100 });
    const flows = Array.from({ length: 150 }, (_, i) => new LedgerFlow({ callId: `call-${i}` }).setUp());
    for (const flow of flows) feed(ledger, flow.messages);
    assert.equal(ledger.counters.dialogs, 100);
    assert.equal(ledger.counters.evicted, 50);
    assert.equal(ledger.dialog('call-49'), undefined);
    assert.ok(ledger.dialog('call-50'));
    const { changed, ended } = ledger.drain();
    assert.equal(changed.length, 100);
    assert.equal(ended.length, 50);
  });

  test('keeps within its bytes when INVITEs are as long as they may be', () => {
    const ledger = new DialogLedger({ now, bytes: 1_000_000 });
    for (let i = 0; i < 500; i++) {
      const flow = new LedgerFlow({ callId: `call-${i}` });
      const headers = Array.from({ length: 60 }, (_, n) => `Record-Route: <sip:proxy-${n}-${'x'.repeat(200)};lr>`);
      flow.push({ by: 'us', method: 'INVITE', cseq: 1, toTag: '', headers });
      feed(ledger, flow.messages);
    }
    assert.ok(ledger.counters.ledgerBytes <= 1_000_000);
    assert.ok(ledger.counters.evicted > 400);
    assert.ok(ledger.counters.dialogs > 10);
  });

  test('forgets an INVITE that never had a final response', () => {
    const flow = new LedgerFlow();
    flow.invite();
    const ledger = ledgerOf(flow, new LedgerFlow({ callId: 'kept' }).setUp());
    ledger.prune(now() + 599_000);
    assert.equal(ledger.openInvitesOn('call-1').length, 1);
    ledger.prune(now() + 601_000);
    assert.deepEqual(ledger.openInvitesOn('call-1'), []);
    assert.equal(ledger.counters.forgotten, 1);
    assert.equal(ledger.counters.dialogs, 1);
  });
});
