// patches/0002 on real Asterisks: a dialog of one that was killed is carried on by another, compared message by message.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { SipMessage } from '../harness/sip-message.js';
import { RecoveryLab } from './asterisk-recovery-patch-lab.js';
import {
  directionOf,
  imagine,
  originOf,
  originPlus,
  partyOf,
  recoveryOf,
  routesOf,
  type WirePhone,
} from './asterisk-recovery-patch-phone.js';

const step = 1000;
let lab: RecoveryLab;
let phone: WirePhone;

before(async () => {
  lab = await RecoveryLab.open('call-1', 'call-2');
  ({ phone } = lab);
});

after(async () => lab.close());

function assertContinues(invite: SipMessage, last: SipMessage, routes: readonly string[], cseq: number): void {
  assert.equal(invite.callId, phone.callId);
  assert.deepEqual(partyOf(invite.get('From')), partyOf(phone.remote));
  assert.deepEqual(partyOf(invite.get('To')), partyOf(phone.local));
  assert.equal(invite.get('CSeq'), `${cseq} INVITE`);
  assert.deepEqual(routesOf(invite), routes);
  assert.equal(`<${invite.requestUri}>`, phone.contact);
  assert.equal(originOf(invite), originPlus(originOf(last), 1));
  assert.equal(directionOf(invite), directionOf(last));
}

describe('A dialog of an Asterisk that was killed', () => {
  for (const role of ['uas', 'uac'] as const) {
    it(`is carried on by another, and by the restarted one after that (${role})`, async () => {
      for (const node of ['call-1', 'call-2'] as const) await lab.start(node);
      phone.begin();
      phone.local = '"Zo\\"ë \\\\ x, y" <sip:zoe@[2001:db8::7];user=phone>;tag=zoe1';
      phone.remote = '"Our, \\"side\\"" <sip:70001@[2001:db8::1];x=y>';
      const edge = `<sip:${phone.address};lr;hf=1.2~ab>`;
      const second = `"a \\"b\\", c" <sip:second,x@${phone.address}:5060;lr>;x=y`;
      phone.recordRoutes = [edge, second];
      const first = role === 'uas' ? await lab.phoneCalls('call-1') : await lab.phoneIsCalled('call-1');
      const routes = role === 'uas' ? [edge, second] : [second, edge];
      await lab.kill('call-1');

      const recovered = await lab.recover('call-2', recoveryOf(phone, first, routes, first.cseq + step));
      assertContinues(recovered.invite, first, routes, first.cseq + step);
      assert.equal(recovered.ack.cseq, first.cseq + step);
      assert.deepEqual(routesOf(recovered.ack), routes, 'although the 200 had no Record-Route');

      await lab.start('call-1');
      await lab.kill('call-2');
      const again = await lab.recover('call-1', recoveryOf(phone, recovered.invite, routes, first.cseq + 2 * step));
      assertContinues(again.invite, recovered.invite, routes, first.cseq + 2 * step);
      assert.equal((await phone.request('BYE')).status, 200);
      await lab.destroyed('call-1', again.id);
    });
  }
});

describe('The re-INVITE', () => {
  before(async () => lab.start('call-1'));

  const at = (user: string): string => `<sip:${user}@${phone.address}:5060;lr>`;
  const routeSets: Record<string, () => { variables: Record<string, string>; routes: string[]; endpoint?: string }> = {
    'one route': () => ({ variables: { PJSIP_RECOVERY_ROUTES: at('a') }, routes: [at('a')] }),
    'three routes, two of them with commas within': () => {
      const routes = [`"x, <y>" ${at('a,b')}`, at('c,d'), `${at('e')};p="1,2"`];
      return { variables: { PJSIP_RECOVERY_ROUTES: routes.join(', ') }, routes };
    },
    'the route of the outbound proxy where the dialog has none': () => ({
      variables: {},
      routes: [`<sip:${phone.address}:5060;lr>`],
    }),
    'no route, where the endpoint has no outbound proxy either': () => ({
      variables: {},
      routes: [],
      endpoint: 'conference',
    }),
    'routes of Record-Route turned round': () => ({
      variables: { 'PJSIP_RECOVERY_RECORD-ROUTES': [at('a'), at('b'), at('c')].join(',') },
      routes: [at('c'), at('b'), at('a')],
    }),
    'ROUTES rather than RECORD-ROUTES, where both are there': () => ({
      variables: { PJSIP_RECOVERY_ROUTES: at('a'), 'PJSIP_RECOVERY_RECORD-ROUTES': at('b') },
      routes: [at('a')],
    }),
  };
  for (const [name, routeSet] of Object.entries(routeSets)) {
    it(`has ${name}, and so have the ACK and the BYE`, async () => {
      const { variables, routes, endpoint = 'edge' } = routeSet();
      const recovered = await lab.recover('call-1', { ...imagine(phone), ...variables }, { endpoint });
      assert.deepEqual(routesOf(recovered.invite), routes);
      assert.deepEqual(routesOf(recovered.ack), routes);
      await lab.ari('call-1').channels.hangup({ channelId: recovered.id });
      const bye = await phone.next('BYE');
      phone.respond(bye, 200);
      assert.deepEqual(routesOf(bye), routes);
      assert.equal(bye.cseq, recovered.invite.cseq + 1);
      await lab.destroyed('call-1', recovered.id);
    });
  }

  it('goes by its routes to a far end at an IPv6 address or with a name', async () => {
    for (const target of [
      'sip:phone@[2001:db8::9]:5071;ob',
      'sip:[2001:db8::9]',
      'sip:ph%20one@far.invalid;transport=udp',
    ]) {
      const variables = { ...imagine(phone), PJSIP_RECOVERY_REQUEST_URI: target, PJSIP_RECOVERY_ROUTES: at('a') };
      const recovered = await lab.recover('call-1', variables);
      assert.equal(recovered.invite.requestUri, target);
      assert.equal(
        recovered.ack.requestUri,
        `sip:phone@${phone.address}:5060`,
        'the Contact of the 200 is a new target',
      );
      assert.equal((await phone.request('BYE')).status, 200);
    }
  });

  const parties = [
    '<sip:a@b.invalid>',
    '"" <sip:a@b.invalid>',
    'Alice Smith <sip:alice@b.invalid;user=phone>',
    '"\\"q\\" \\\\ , ; <x>" <sip:%22a%22@[2001:db8::1]>',
    '"日本 Zoë" <sips:a@b.invalid>',
    '<sip:b.invalid>',
    '<sip:a@b.invalid;x=1;y>',
  ];
  for (const party of parties) {
    it(`has ${party} in From and To as it was`, async () => {
      phone.begin();
      const variables = imagine(phone, party);
      const { invite } = await lab.recover('call-1', variables);
      assert.deepEqual(partyOf(invite.get('From')), partyOf(phone.remote));
      assert.deepEqual(partyOf(invite.get('To')), partyOf(phone.local));
      assert.equal((await phone.request('BYE')).status, 200);
    });
  }

  for (const [direction, answer] of [
    ['sendrecv', 'sendrecv'],
    ['sendonly', 'recvonly'],
    ['recvonly', 'sendonly'],
    ['inactive', 'inactive'],
  ] as const) {
    it(`offers ${direction}, one version higher also beyond 63 bits, and the phone can resume`, async () => {
      const origin = `- 18446744073709551614 9223372036854775807 IN IP4 ${lab.asterisk.node('call-1').address}`;
      const hold = { PJSIP_RECOVERY_SDP_ORIGIN: origin, PJSIP_RECOVERY_SDP_DIRECTION: direction };
      const { invite } = await lab.recover('call-1', { ...imagine(phone), ...hold }, { answer });
      assert.equal(originOf(invite), originPlus(origin, 1));
      assert.equal(directionOf(invite), direction);
      const resumed = await phone.invite('sendrecv');
      assert.equal(resumed.status, 200);
      assert.equal(directionOf(resumed), 'sendrecv');
      assert.equal(originOf(resumed), originPlus(origin, 2));
      assert.equal((await phone.request('BYE')).status, 200);
    });
  }
});
