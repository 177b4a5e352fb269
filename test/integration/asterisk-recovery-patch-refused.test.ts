// patches/0002 where a recovery does not come about: the far end refuses, or a variable is wrong. The Asterisk goes on.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { waitFor } from '../harness/wait-for.js';
import { RecoveryLab } from './asterisk-recovery-patch-lab.js';
import { imagine, originOf, originPlus, partyOf, routesOf, type WirePhone } from './asterisk-recovery-patch-phone.js';

const node = 'call-1';
let lab: RecoveryLab;
let phone: WirePhone;

before(async () => {
  lab = await RecoveryLab.open(node);
  ({ phone } = lab);
});

after(async () => lab.close());

describe('A far end that does not want the re-INVITE', () => {
  for (const status of [401, 404, 408, 481, 486, 488, 491, 500, 503, 603]) {
    it(`ends the channel with its ${status}, and may be asked again`, async () => {
      const variables = imagine(phone);
      const refused = await lab.originate(node, variables);
      const first = await phone.next('INVITE');
      phone.respond(first, status);
      await phone.next('ACK');
      assert.equal((await lab.destroyed(node, refused)).tech_cause, status);
      const { invite } = await lab.recover(node, { ...variables, PJSIP_RECOVERY_CSEQ: '5001' });
      assert.equal(invite.cseq, 5001);
      // As if the ACK had been lost: this is the first attempt's, whose name the dialog has now.
      phone.respond(first, status);
      assert.equal((await phone.request('UPDATE')).status, 200);
      assert.equal((await phone.request('BYE')).status, 200);
    });
  }

  it('may challenge it, and is answered within the same dialog', async () => {
    const routes = `<sip:${phone.address}:5060;lr>,<sip:b@${phone.address}:5060;lr>`;
    const origin = '- 1 1 IN IP4 1.2.3.4';
    const variables = { ...imagine(phone), PJSIP_RECOVERY_ROUTES: routes, PJSIP_RECOVERY_SDP_ORIGIN: origin };
    const id = await lab.originate(node, variables, 'trunk-lab');
    const challenged = await phone.next('INVITE');
    phone.respond(challenged, 401, [['WWW-Authenticate', 'Digest realm="far", nonce="abc", algorithm=MD5']]);
    await phone.next('ACK');
    const { invite, ack } = await phone.accept();
    assert.match(invite.get('Authorization'), /^Digest username="us", realm="far", nonce="abc"/);
    assert.equal(invite.cseq, challenged.cseq + 1);
    for (const name of ['Call-ID', 'From', 'To']) assert.equal(invite.get(name), challenged.get(name));
    assert.equal(routesOf(invite).join(','), routes);
    assert.equal(originOf(invite), originPlus(origin, 1));
    assert.equal(routesOf(ack).join(','), routes);
    assert.equal((await phone.request('BYE')).status, 200);
    await lab.destroyed(node, id);
  });

  it('may ring before it answers', async () => {
    const id = await lab.originate(node, imagine(phone));
    const invite = await phone.next('INVITE');
    phone.respond(invite, 100);
    phone.respond(invite, 180);
    phone.respond(invite, 200, [['Content-Type', 'application/sdp']], phone.sdp());
    await phone.next('ACK');
    await lab.ari(node).channels.hangup({ channelId: id });
    phone.respond(await phone.next('BYE'), 200);
    await lab.destroyed(node, id);
  });

  it('is told no more when the recovery is given up: a CANCEL, and no BYE', async () => {
    const id = await lab.originate(node, imagine(phone));
    const invite = await phone.next('INVITE');
    phone.respond(invite, 180);
    await lab.ari(node).channels.hangup({ channelId: id });
    phone.respond(await phone.next('CANCEL'), 200);
    phone.respond(invite, 487);
    await phone.next('ACK');
    await lab.destroyed(node, id);
    assert.ok(!phone.received.some(({ method, callId }) => method === 'BYE' && callId === phone.callId));
  });
});

const long = 'x'.repeat(8192);
const wrong: Record<string, readonly string[]> = {
  'PJSIP_RECOVERY_CALL-ID': ['a b', 'a\r\nX-Evil: 1', 'a\tb', long],
  PJSIP_RECOVERY_CSEQ: [
    '',
    'x',
    '-1',
    '+1',
    '1 ',
    '1x',
    '0x10',
    '2147483647',
    '2147483648',
    '99999999999',
    '1\r\n',
    long,
  ],
  PJSIP_RECOVERY_REMOTE_CSEQ: ['x', '-1', '1.5', '2147483648', '4294967297', long],
  PJSIP_RECOVERY_FROM_URI: [
    '',
    'garbage',
    'sip:',
    'tel:+1',
    '<sip:a@b>',
    'sip:a@b c',
    'sip:a@b\r\nX: 1',
    'sip:a@[::1',
    `sip:${long}@b`,
  ],
  PJSIP_RECOVERY_TO_URI: ['', 'http://a/', 'sip:a@b>;tag=1<', '"a" <sip:a@b>', `sip:a@${long}`, `sip:a@b;x=${long}`],
  PJSIP_RECOVERY_FROM_TAG: ['', 'a b', 'a;b', 'a\nb', 'a>b', long],
  PJSIP_RECOVERY_TO_TAG: ['', 'a,b', '"a"', '\x7f', long],
  PJSIP_RECOVERY_FROM_DISPLAY: ['a\r\nb', '\x01', long],
  PJSIP_RECOVERY_TO_DISPLAY: ['a\nb', '"'.repeat(2000), long],
  PJSIP_RECOVERY_REQUEST_URI: [
    'garbage',
    'sip:',
    'tel:+1',
    '<sip:a@b>',
    'sip:a@b\r\n',
    'urn:service:sos',
    `sip:${long}`,
    `sip:a@b;x=${long}`,
  ],
  PJSIP_RECOVERY_ROUTES: [
    'garbage',
    '<sip:a',
    '*',
    ',',
    '<sip:a;lr>,',
    '<tel:+1>',
    '<sip:a;lr>\r\nX: 1',
    '"a <sip:a;lr>',
    `<sip:${long};lr>`,
    long,
  ],
  'PJSIP_RECOVERY_RECORD-ROUTES': [
    'garbage',
    '<sip:a;lr> <sip:b;lr>',
    '<http://a/>',
    '<urn:x:y>;lr',
    `<sip:a;lr;x=${long}>`,
  ],
  PJSIP_RECOVERY_SDP_ORIGIN: [
    'x',
    '- 1',
    '- 1 1 IN IP4',
    '- a 1 IN IP4 1.2.3.4',
    '- 1 -1 IN IP4 1.2.3.4',
    '- 1 1 IN IP4 1.2.3.4 x',
    '- 1  1 IN IP4 1.2.3.4',
    '- 18446744073709551616 1 IN IP4 1.2.3.4',
    '- 1 18446744073709551615 IN IP4 1.2.3.4',
    '- 1 1 IN IP4 1.2.3.4\r\na=x',
    `- 1 1 IN IP4 ${long}`,
  ],
  PJSIP_RECOVERY_SDP_DIRECTION: ['x', 'SENDRECV', 'sendrecv ', 'sendrecv\r\na=x', long],
};

describe('A wrong variable', () => {
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const shown = value.length > 100 ? `${value.length} characters` : JSON.stringify(value);
      it(`${name} = ${shown} is an error that names it, and nothing is sent`, async () => {
        const variables = { ...imagine(phone), PJSIP_RECOVERY_SDP_ORIGIN: '- 1 1 IN IP4 1.2.3.4', [name]: value };
        const logged = lab.asterisk.log(node).length;
        const id = await lab.originate(node, variables);
        await lab.destroyed(node, id);
        const named = (): boolean => lab.asterisk.log(node).slice(logged).includes(`session not recovered: ${name} `);
        await waitFor(`an error about ${name}`, named, { describe: () => lab.asterisk.log(node).slice(logged) });
        assert.ok(!phone.received.some(({ isRequest, callId }) => isRequest && callId === phone.callId));
      });
    }
  }

  it('leaves an Asterisk that takes calls as before', async () => lab.callsAsBefore(node));
});

describe('A dialog that is there already', () => {
  it('is refused, and goes on', async () => {
    const variables = imagine(phone);
    const first = await lab.recover(node, variables);
    await lab.destroyed(node, await lab.originate(node, variables));
    const reason = 'PJSIP_RECOVERY_CALL-ID and tags are those of a dialog that is here already';
    await waitFor('the reason in the log', () => lab.asterisk.log(node).includes(reason));
    assert.equal((await phone.request('UPDATE')).status, 200);
    assert.equal((await phone.request('BYE')).status, 200);
    await lab.destroyed(node, first.id);
  });

  it('is no other one with the same tag of ours', async () => {
    const variables = imagine(phone);
    const first = await lab.recover(node, variables);
    const [callId, remote] = [phone.callId, phone.local];
    phone.callId = `${callId}-2`;
    phone.local = `${remote}2`;
    const other = { 'PJSIP_RECOVERY_CALL-ID': phone.callId, PJSIP_RECOVERY_TO_TAG: partyOf(phone.local).tag };
    const second = await lab.recover(node, { ...variables, ...other });
    assert.equal((await phone.request('BYE')).status, 200);
    await lab.destroyed(node, second.id);
    [phone.callId, phone.local] = [callId, remote];
    assert.equal((await phone.request('BYE')).status, 200);
    await lab.destroyed(node, first.id);
    await waitFor('no channel', async () => (await lab.ari(node).channels.list()).length === 0);
  });
});
