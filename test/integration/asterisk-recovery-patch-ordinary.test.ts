// Without its variables patches/0002 changes nothing: what Asterisk says in ordinary calls is what a build without it said.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import { stasisApp } from '../../core/ports/asterisk.js';
import { projectRoot } from '../harness/project-root.js';
import { SipMessage } from '../harness/sip-message.js';
import { Sipp } from '../harness/sipp.js';
import { RecoveryLab } from './asterisk-recovery-patch-lab.js';
import type { WirePhone } from './asterisk-recovery-patch-phone.js';

const node = 'call-1';
const transcript = join(projectRoot, 'test/integration/asterisk-recovery-patch-ordinary.txt');
let lab: RecoveryLab;
let phone: WirePhone;

before(async () => {
  lab = await RecoveryLab.open();
  // It adds to what is supported, and was not loaded where the transcript comes from.
  await lab.start(node, 'res_pjsip_refer');
  ({ phone } = lab);
});

after(async () => lab.close());

it('Asterisk says what it said without the patch, to SIPp and to a phone, calling and called', async () => {
  const said: [call: string, messages: readonly SipMessage[]][] = [
    ['SIPp calls, and hangs up', await sippCalls()],
    ['SIPp is called, and we hang up', await sippIsCalled()],
    ['a phone calls, holds, resumes, updates, and hangs up', await phoneHolds()],
    ['a phone is called over two proxies, and we hang up', await phoneIsCalled()],
    ['a phone is called, and refuses', await phoneRefuses()],
    ['a phone is called, and we cancel', await weCancel()],
  ];
  const text = said.map(([call, messages]) => `=== ${call}\n\n${normalised(messages)}\n`).join('\n');
  if (process.env['HOLDFAST_WRITE_TRANSCRIPT'] === '1') await writeFile(transcript, text);
  assert.equal(text, await readFile(transcript, 'utf8'));
});

// --- the calls; each gives what Asterisk sent, in its order ---

async function sippCalls(): Promise<readonly SipMessage[]> {
  const { daemonAddress: address } = lab.asterisk.plan;
  const target = { address: lab.asterisk.node(node).address, port: 5060 };
  const common = { address, target, payloadTypes: [0], messages: true, deadlineMs: 20_000 };
  const sipp = await Sipp.uac({ ...common, service: '70001', calls: 1, rate: 1, holdMs: 100 });
  const { channel } = await lab.events(node).of('StasisStart', ({ args }) => inviteParts(args)[2] === '70001');
  await lab.ari(node).channels.answer({ channelId: channel.id });
  assert.equal((await sipp.finished()).successful, 1);
  return traceOf(sipp);
}

async function sippIsCalled(): Promise<readonly SipMessage[]> {
  const { daemonAddress: address } = lab.asterisk.plan;
  const sipp = await Sipp.uas({ address, payloadTypes: [0], messages: true, deadlineMs: 20_000, ringMs: 50 });
  const id = await originate(`PJSIP/conference/sip:sipp@${address}:5060`);
  await lab.events(node).of('StasisStart', ({ channel }) => channel.id === id);
  await lab.ari(node).channels.hangup({ channelId: id });
  await lab.destroyed(node, id);
  assert.equal((await sipp.stop()).failed, 0);
  return traceOf(sipp);
}

async function phoneHolds(): Promise<readonly SipMessage[]> {
  begin();
  await lab.phoneCalls(node);
  for (const direction of ['sendonly', 'sendrecv']) await phone.invite(direction);
  for (const method of ['UPDATE', 'OPTIONS', 'BYE']) await phone.request(method);
  return phone.received.slice();
}

async function phoneIsCalled(): Promise<readonly SipMessage[]> {
  begin();
  phone.recordRoutes = [`<sip:a@${phone.address};lr>`, `<sip:b@${phone.address};lr>`];
  const id = await originate(`PJSIP/edge/sip:phone@${phone.address}:5060`);
  const { invite, ack } = await phone.accept();
  await lab.events(node).of('StasisStart', ({ channel }) => channel.id === id);
  await lab.ari(node).channels.hangup({ channelId: id });
  const bye = await phone.next('BYE');
  phone.respond(bye, 200);
  await lab.destroyed(node, id);
  return [invite, ack, bye];
}

async function phoneRefuses(): Promise<readonly SipMessage[]> {
  begin();
  const id = await originate(`PJSIP/edge/sip:phone@${phone.address}:5060`);
  const invite = await phone.next('INVITE');
  phone.respond(invite, 486);
  const ack = await phone.next('ACK');
  assert.equal((await lab.destroyed(node, id)).tech_cause, 486);
  return [invite, ack];
}

async function weCancel(): Promise<readonly SipMessage[]> {
  begin();
  const id = await originate(`PJSIP/edge/sip:phone@${phone.address}:5060`);
  const invite = await phone.next('INVITE');
  phone.respond(invite, 180);
  await lab.events(node).of('Dial', ({ peer, dialstatus }) => peer.id === id && dialstatus === 'RINGING');
  await lab.ari(node).channels.hangup({ channelId: id });
  const cancel = await phone.next('CANCEL');
  phone.respond(cancel, 200);
  phone.respond(invite, 487);
  return [invite, cancel, await phone.next('ACK')];
}

function begin(): void {
  phone.begin();
  phone.received.length = 0;
}

async function originate(endpoint: string): Promise<string> {
  const channelId = randomUUID();
  await lab.ari(node).channels.originate({ endpoint, app: stasisApp, channelId, formats: 'ulaw' });
  return channelId;
}

/** What SIPp received; what came again, once. */
async function traceOf(sipp: Sipp): Promise<readonly SipMessage[]> {
  const log = await readFile(join(sipp.folder, 'messages.log'), 'utf8');
  await rm(sipp.folder, { recursive: true, force: true });
  const blocks = log.split(/^-{20,} .*\n/m).filter(block => block.includes('message received'));
  const texts = new Set(blocks.map(block => block.slice(block.indexOf('\n')).trimStart()));
  return [...texts].flatMap(text => SipMessage.parse(text) ?? []);
}

// --- what differs from run to run: by a name for each value in the order of appearance, numbers as the difference to the first ---

const counted: ReadonlySet<string> = new Set(['CSEQ', 'VERSION']);

function normalised(messages: readonly SipMessage[]): string {
  const network = lab.asterisk.subnet.host(0).replace(/0$/, '');
  const text = messages.map(message => message.toString().replaceAll('\r', '').trimEnd()).join('\n\n');
  let result = text.replaceAll(network, 'NET.').replace(/^(Content-Length:|m=audio) \d+/gm, '$1 N');
  for (const [name, pattern] of [
    ['BRANCH', /branch=([^;\s]+)/g],
    ['TAG', /;tag=([^;\s]+)/g],
    ['CALL', /^Call-ID: (.*)$/gm],
    ['CSEQ', /^CSeq: (\d+)/gm],
    ['ID', /^o=\S+ (\d+)/gm],
    ['VERSION', /^o=\S+ \S+ (\d+)/gm],
  ] as const) {
    const values: string[] = [];
    result = result.replace(pattern, (whole, value: string) => {
      if (!values.includes(value)) values.push(value);
      const shown = counted.has(name) ? BigInt(value) - BigInt(values[0] ?? value) : values.indexOf(value) + 1;
      return `${whole.slice(0, whole.length - value.length)}${name}${counted.has(name) ? '+' : ''}${shown}`;
    });
  }
  return result;
}
