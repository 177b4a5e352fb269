// patches/0002 after its re-INVITE was answered: a recovered dialog is one as any other, for requests of both sides.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { SipMessage } from '../harness/sip-message.js';
import { waitFor } from '../harness/wait-for.js';
import { RecoveryLab, type Recovered } from './asterisk-recovery-patch-lab.js';
import {
  directionOf,
  imagine,
  originOf,
  originPlus,
  routesOf,
  type WirePhone,
} from './asterisk-recovery-patch-phone.js';

const cseq = 5000;
let lab: RecoveryLab;
let phone: WirePhone;
let origin: string;
let routes: string[];
let recovered: Recovered;

before(async () => {
  lab = await RecoveryLab.open('call-1');
  ({ phone } = lab);
});

after(async () => lab.close());

beforeEach(async () => {
  origin = `- 123456 9 IN IP4 ${lab.asterisk.node('call-1').address}`;
  routes = [`<sip:${phone.address}:5060;lr>`, `"b, c" <sip:second@${phone.address}:5060;lr>`];
  recovered = await lab.recover('call-1', {
    ...imagine(phone),
    PJSIP_RECOVERY_CSEQ: String(cseq),
    PJSIP_RECOVERY_ROUTES: routes.join(','),
    PJSIP_RECOVERY_SDP_ORIGIN: origin,
  });
});

/** Hangs up, and gives the BYE. */
async function hangup(): Promise<SipMessage> {
  await lab.ari('call-1').channels.hangup({ channelId: recovered.id });
  const bye = await phone.next('BYE');
  phone.respond(bye, 200);
  await lab.destroyed('call-1', recovered.id);
  return bye;
}

async function pjsipField(name: string): Promise<string> {
  const variable = `CHANNEL(pjsip,${name})`;
  return (await lab.ari('call-1').channels.getChannelVar({ channelId: recovered.id, variable })).value;
}

describe('A recovered dialog', () => {
  it('takes hold and resume, each answered with the next version of our SDP', async () => {
    const held = await phone.invite('sendonly');
    const resumed = await phone.invite('sendrecv');
    assert.deepEqual([held.status, directionOf(held), originOf(held)], [200, 'recvonly', originPlus(origin, 2)]);
    assert.deepEqual(
      [resumed.status, directionOf(resumed), originOf(resumed)],
      [200, 'sendrecv', originPlus(origin, 3)],
    );
    await hangup();
  });

  it('takes an UPDATE without and with an offer', async () => {
    assert.equal((await phone.request('UPDATE')).status, 200);
    phone.sdpVersion++;
    const offer = { headers: [['Content-Type', 'application/sdp']] as const, body: phone.sdp('inactive') };
    const held = await phone.request('UPDATE', offer);
    assert.deepEqual([held.status, directionOf(held), originOf(held)], [200, 'inactive', originPlus(origin, 2)]);
    await hangup();
  });

  it('takes INFO and OPTIONS', async () => {
    const digit = {
      headers: [['Content-Type', 'application/dtmf-relay']] as const,
      body: 'Signal=5\r\nDuration=160\r\n',
    };
    assert.equal((await phone.request('INFO', digit)).status, 200);
    assert.equal((await phone.request('OPTIONS')).status, 200);
    await hangup();
  });

  it("takes the phone's BYE", async () => {
    assert.equal((await phone.request('BYE')).status, 200);
    const { tech_cause: status } = await lab.destroyed('call-1', recovered.id);
    assert.equal(status, undefined);
  });

  it('refuses a request with a number that the dialog had before', async () => {
    for (const method of ['INFO', 'INVITE', 'BYE'])
      assert.equal((await phone.request(method, { cseq: phone.cseq })).status, 500, method);
    assert.equal((await phone.request('BYE')).status, 200);
  });

  it('sends its BYE with the next number and its routes, to the target that the phone named last', async () => {
    phone.contact = `<sip:moved@${phone.address}:5060;x=1>`;
    assert.equal((await phone.invite()).status, 200);
    const bye = await hangup();
    assert.equal(bye.cseq, cseq + 1);
    assert.deepEqual(routesOf(bye), routes);
    assert.equal(`<${bye.requestUri}>`, phone.contact);
  });

  it('sends re-INVITEs of its own, and tries again after a 491', async () => {
    const reoffer = { channelId: recovered.id, variable: 'PJSIP_SEND_SESSION_REFRESH()', value: 'reoffer' };
    await lab.ari('call-1').channels.setChannelVar(reoffer);
    const pending = await phone.next('INVITE');
    phone.respond(pending, 491);
    const { invite, ack } = await phone.accept();
    for (const [step, request] of [pending, invite].entries()) {
      assert.equal(request.cseq, cseq + 1 + step);
      assert.deepEqual(routesOf(request), routes);
      assert.equal(request.callId, phone.callId);
      assert.equal(
        originOf(request),
        originPlus(origin, 1 + step),
        'what was not changed has the version of the recovery',
      );
    }
    assert.deepEqual(routesOf(ack), routes);
    assert.equal((await hangup()).cseq, cseq + 3);
  });

  it('tells itself in CHANNEL(pjsip,...), for the next recovery', async () => {
    assert.equal((await phone.invite()).status, 200);
    await waitFor('the ACK', async () => (await pjsipField('remote_cseq')) === String(phone.cseq));
    assert.equal(await pjsipField('call-id'), phone.callId);
    assert.equal(await pjsipField('local_cseq'), String(cseq));
    assert.equal(await pjsipField('route_set'), routes.join(','));
    assert.equal(await pjsipField('local_sdp_origin'), originPlus(origin, 2));
    await hangup();
  });
});
