// A dialog as variables, and as the INVITE that patches/0002 makes of them: what the ledger has learned of it comes out whole.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DialogLedger } from '../../core/ledger/dialog-ledger.js';
import type { Dialog } from '../../core/ledger/dialog.js';
import { missingFrom, recoveryCseq, recoveryVariables } from '../../core/recovery/recovery-variables.js';
import { scanSip, type SipMessage } from '../../core/trace/sip-scanner.js';
import { feed, LedgerFlow, type FlowOptions } from '../harness/ledger-flow.js';

const roles = ['uac', 'uas'] as const;
const edge = '<sip:127.9.7.101:5060;lr;hf=call-1.e7.pcmu.k1.c2lnbmF0dXJlIG9m>';
const us = '<sip:service@holdfast.test>';

/** What the ledger has of a call that was set up like this. */
function dialogOf(options: FlowOptions): Dialog {
  const ledger = new DialogLedger({ now: () => 1e12 + 1000 });
  const flow = new LedgerFlow(options).setUp();
  feed(ledger, flow.messages);
  return ledger.dialog(flow.callId) ?? assert.fail('the dialog is not known');
}

/** The INVITE, as the patch puts it together: `escape_display`, `get_routes`, and what it sets in the dialog. */
function inviteOf(variables: Readonly<Record<string, string>>): SipMessage {
  const of = (name: string): string => variables[`PJSIP_RECOVERY_${name}`] ?? '';
  const party = (side: 'FROM' | 'TO'): string => {
    const display = of(`${side}_DISPLAY`).replaceAll(/["\\]/g, '\\$&');
    return `${display === '' ? '' : `"${display}" `}<${of(`${side}_URI`)}>;tag=${of(`${side}_TAG`)}`;
  };
  const lines = [
    `INVITE ${of('REQUEST_URI')} SIP/2.0`,
    ...(of('ROUTES') === '' ? [] : [`Route: ${of('ROUTES')}`]),
    `From: ${party('FROM')}`,
    `To: ${party('TO')}`,
    `Call-ID: ${of('CALL-ID')}`,
    `CSeq: ${of('CSEQ')} INVITE`,
  ];
  return scanSip(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)) ?? assert.fail('no SIP');
}

const shapes: Readonly<Record<string, FlowOptions>> = {
  'as most are': {},
  'with commas, quotes and backslashes in both names': {
    parties: { us: '"Hold \\"fast\\", \\\\ Inc" <sip:s@holdfast.test>', them: '"Doe, \\"J\\" \\\\" <sip:j@b.test>' },
  },
  'with names in UTF-8, one without quotes': {
    parties: { us: 'Zoë <sip:s@holdfast.test>', them: '"Müller, 日本 😀" <sip:m@b.test>' },
  },
  'without names': { parties: { us, them: '<sip:1001@b.test;user=phone>' } },
  'with a bare URI': { parties: { us, them: 'sip:1001@b.test' } },
  'with two proxies of theirs': { recordRoutes: [edge, '<sip:p1.example;lr>', '<sip:u@p2.example:5070;lr;x="a,b;c">'] },
  'with our route alone': { recordRoutes: [edge] },
  'with no route': { recordRoutes: [] },
  'with an IPv6 Contact': { contact: 'sip:bob@[2001:db8::7]:5062;transport=udp' },
  'with a Contact of many parameters': { contact: 'sip:b%20o@192.0.2.1:5062;ob;line="x,y"' },
};

for (const role of roles) {
  describe(`a dialog whose INVITE ${role === 'uac' ? 'we sent' : 'we received'} is carried on whole`, () => {
    for (const [shape, options] of Object.entries(shapes)) {
      test(shape, () => {
        const flow = new LedgerFlow({ ...options, role });
        const dialog = dialogOf({ ...options, role });
        const invite = inviteOf(recoveryVariables(dialog, 100_018));
        const [from, to] = [invite.from, invite.to].map(one => ({
          ...{ uri: one?.uri, displayName: one?.displayName, tag: one?.parameters.get('tag') },
        }));
        assert.deepEqual([from, to], [dialog.local, dialog.remote]);
        assert.deepEqual([from?.tag, to?.tag], [flow.tags.us, flow.tags.them]);
        assert.equal(invite.callId, flow.callId);
        assert.equal(invite.cseq, 100_018);
        assert.deepEqual(invite.routes, flow.truth.routeSet);
        assert.equal(invite.requestUri, flow.truth.remoteTarget);
      });
    }
  });
}

test('names come out as they were written', () => {
  const dialog = dialogOf(shapes['with commas, quotes and backslashes in both names'] ?? {});
  assert.equal(dialog.local.displayName, 'Hold "fast", \\ Inc');
  const variables = recoveryVariables(dialog, 1);
  assert.equal(variables['PJSIP_RECOVERY_FROM_DISPLAY'], 'Hold "fast", \\ Inc');
  assert.equal(variables['PJSIP_RECOVERY_TO_DISPLAY'], 'Doe, "J" \\');
});

test('SDP, their last CSeq and the session timer go along where they are known', () => {
  const dialog = dialogOf({ role: 'uas' });
  const held: Dialog = {
    ...dialog,
    localSdp: { origin: '- 4711 1002 IN IP4 127.9.7.31', direction: 'recvonly' },
    session: { seconds: 1800, refresher: 'remote' },
  };
  const variables = recoveryVariables(held, 1);
  assert.equal(variables['PJSIP_RECOVERY_SDP_ORIGIN'], '- 4711 1002 IN IP4 127.9.7.31');
  assert.equal(variables['PJSIP_RECOVERY_SDP_DIRECTION'], 'recvonly');
  assert.equal(variables['PJSIP_RECOVERY_REMOTE_CSEQ'], '1');
  const timer = 'PJSIP_HEADER(add,X-Holdfast-Session-Expires)';
  assert.equal(variables[timer], '1800;refresher=uas');
  const ours = recoveryVariables({ ...held, session: { seconds: 90, refresher: 'local' } }, 1);
  assert.equal(ours[timer], '90;refresher=uac');
  const least = recoveryVariables({ ...held, localSdp: null, remoteCseq: null, session: null }, 1);
  const absent = ['PJSIP_RECOVERY_SDP_ORIGIN', 'PJSIP_RECOVERY_SDP_DIRECTION', 'PJSIP_RECOVERY_REMOTE_CSEQ', timer];
  assert.deepEqual(
    absent.filter(name => name in least),
    [],
  );
  const talking = recoveryVariables({ ...held, localSdp: { origin: '-', direction: 'sendrecv' } }, 1);
  assert.equal('PJSIP_RECOVERY_SDP_DIRECTION' in talking, false);
});

test('sequence numbers rise with each attempt, and stay below 2^31', () => {
  const dialog = dialogOf({ role: 'uac' });
  const numbers = (localCseq: number | null): number[] =>
    [1, 2, 3].map(attempt => recoveryCseq({ ...dialog, localCseq }, attempt));
  assert.deepEqual(numbers(17), [100_017, 200_017, 300_017]);
  assert.deepEqual(numbers(null), [100_000, 200_000, 300_000]);
  assert.deepEqual(numbers(2 ** 31 - 50), [2 ** 31 - 49, 2 ** 31 - 48, 2 ** 31 - 47]);
  assert.deepEqual(numbers(2 ** 31 - 2), [2 ** 31 - 2, 2 ** 31 - 2, 2 ** 31 - 2]);
});

test('what a recovery cannot do without is named', () => {
  const dialog = dialogOf({ role: 'uac' });
  assert.deepEqual(missingFrom(dialog), []);
  assert.deepEqual(missingFrom({ ...dialog, holes: ['lost', 'localCseq', 'localSdp', 'remoteSdp'] }), []);
  assert.deepEqual(missingFrom({ ...dialog, holes: ['routeSet', 'lost'] }), ['routeSet']);
  const nameless: Dialog = { ...dialog, remote: { ...dialog.remote, tag: null }, remoteTarget: null };
  assert.deepEqual(missingFrom(nameless), ['remoteTag', 'remoteTarget']);
});
