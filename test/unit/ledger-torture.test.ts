// The messages of RFC 4475 that a ledger of dialogs may meet, sent by one of our Asterisks or to it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import type { OpenInvite } from '../../core/ledger/dialog.js';
import { scanSip } from '../../core/trace/sip-scanner.js';
import { tortuousInvite } from '../harness/torture.js';

const now = (): number => 1e12;

function take(ledger: DialogLedger, lines: readonly string[], sentByUs: boolean): void {
  const sip = scanSip(Buffer.from([...lines, '', ''].join('\r\n')));
  if (!sip) return;
  ledger.take(sip, {
    fromNode: sentByUs ? 'call-1' : undefined,
    toNode: sentByUs ? undefined : 'call-1',
    atMs: now(),
  });
}

/** Both ways; says what is open afterwards, and how many messages it made nothing of. */
function openedBy(...lines: readonly string[]): { open: OpenInvite | undefined; unreadable: number; dialogs: number } {
  const ledger = new DialogLedger({ now });
  for (const sentByUs of [true, false]) take(ledger, lines, sentByUs);
  const [open] = ledger.openInvitesOn('call-1');
  return { open, unreadable: ledger.counters.unreadable, dialogs: ledger.counters.dialogs };
}

const rest = [
  'Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw',
  'Max-Forwards: 70',
  'From: <sip:caller@example.net>;tag=34525',
  'To: <sip:user@example.com>',
];

describe('of the messages of RFC 4475', () => {
  test('a short tortuous INVITE (3.1.1.1) is one within a dialog, which becomes known by it', () => {
    const ledger = new DialogLedger({ now });
    take(ledger, tortuousInvite, true);
    const [dialog] = ledger.dialogsOn('call-1');
    assert.ok(dialog);
    assert.deepEqual([dialog.local.tag, dialog.remote.tag], ['98asjd8', '1918181833n']);
    assert.equal(dialog.local.displayName, 'J Rosenberg \\"');
    assert.equal(dialog.localCseq, 9);
    assert.deepEqual(dialog.routeSet, ['<sip:services.example.com;lr;unknownwith=value;unknown-no-value>']);
    assert.equal(dialog.remoteTarget, 'sip:vivekg@chair-dnrc.example.com;unknownparam');
    assert.ok(dialog.holes.includes('lost'));
  });

  test('an INVITE with every kind of character (3.1.1.2) and one with escaped ones (3.1.1.3) are open INVITEs', () => {
    const wide = openedBy(
      "INVITE sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
      "Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
      'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7F" <sip:1_unusual.URI~(to-be!sure)@example.com>',
      "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
      'Call-ID: intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{',
      'CSeq: 139122385 INVITE',
    );
    assert.deepEqual([wide.open?.cseq, wide.open?.callId], [139122385, 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{']);
    const escaped = openedBy(
      'INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0',
      ...rest,
      'Call-ID: esc01.239409asdfakjkn23onasd0-3234',
      'CSeq: 234234 INVITE',
    );
    assert.equal(escaped.open?.requestUri, 'sip:sips%3Auser%40example.com@example.net');
  });

  test('an INVITE with long values (3.1.1.7) is kept whole', () => {
    const uri = `sip:amazinglylongcallername${'x'.repeat(2000)}@example.net`;
    const vias = Array.from(
      { length: 33 },
      (_, i) => `v: SIP/2.0/UDP sip${i}.example.com;branch=${'z'.repeat(300)}${i}`,
    );
    const { open } = openedBy(
      'INVITE sip:user@example.com SIP/2.0',
      ...vias,
      `F: ${'amazing '.repeat(50)}<${uri}>;tag=12982${'982'.repeat(100)}424`,
      'To: <sip:user@example.com>',
      `Call-ID: longreq.one${'really'.repeat(40)}longcallid`,
      'CSeq: 3882340 INVITE',
    );
    assert.equal(open?.vias.length, 33);
    assert.ok(open.from.includes(uri));
  });

  test('what no dialog can come of is counted, and nothing is made of it', () => {
    const invite = 'INVITE sip:user@example.com SIP/2.0';
    const damaged: Readonly<Record<string, readonly string[]>> = {
      'CSeq beyond 32 bits (3.1.2.4)': [invite, ...rest, 'Call-ID: scalar02', 'CSeq: 36893488147419103232 INVITE'],
      'method and CSeq differ (3.1.2.17)': [
        'OPTIONS sip:u@h SIP/2.0',
        ...rest,
        'Call-ID: mismatch01',
        'CSeq: 8 INVITE',
      ],
      'an unknown method and CSeq differ (3.1.2.18)': [
        'NEWMETHOD sip:u@h SIP/2.0',
        ...rest,
        'Call-ID: m02',
        'CSeq: 8 INVITE',
      ],
      'CSeq missing (3.3.1)': [invite, ...rest, 'Call-ID: insuf.sdf'],
      'From without a tag': [invite, 'From: <sip:a@b>', 'To: <sip:c@d>', 'Call-ID: x', 'CSeq: 1 INVITE'],
      'CSeq negative': [invite, ...rest, 'Call-ID: y', 'CSeq: -1 INVITE'],
    };
    for (const [what, lines] of Object.entries(damaged)) {
      const { open, unreadable, dialogs } = openedBy(...lines);
      assert.deepEqual([open, dialogs, unreadable], [undefined, 0, 2], what);
    }
  });

  test('an unterminated quote (3.1.2.6), a bad Content-Length (3.1.2.2, 3.1.2.3), two From (3.3.8) throw nothing', () => {
    for (const header of [
      'Content-Length: -999',
      'Content-Length: 9999',
      'From: <sip:other@h>;tag=2',
      'l: 5',
      'Route: <',
    ]) {
      const { dialogs } = openedBy('INVITE sip:u@h SIP/2.0', ...rest, header, 'Call-ID: a@b', 'CSeq: 1 INVITE');
      assert.ok(dialogs > 0, header);
    }
    openedBy(
      'INVITE sip:u@h SIP/2.0',
      'To: "Mr. J. User <sip:j.user@example.com>',
      ...rest,
      'Call-ID: q',
      'CSeq: 1 INVITE',
    );
    openedBy('INVITE sip:u@h SIP/2.0', 'Contact: <sip:joe@h?Route=%3Csip:s%3E>', ...rest, 'i: c', 'CSeq: 1 INVITE');
  });

  test('a response with an unknown status (3.1.1.13) or one out of range (3.1.2.19) makes no dialog', () => {
    for (const status of ['SIP/2.0 4294967301 better not', 'SIP/2.0 600 No', 'SIP/2.0 100 Trying']) {
      const to = 'To: <sip:user@example.com>;tag=7';
      const { dialogs } = openedBy(status, ...rest.slice(0, 3), to, 'Call-ID: bigcode', 'CSeq: 8 INVITE');
      assert.equal(dialogs, 0, status);
    }
  });
});
