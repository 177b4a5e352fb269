// patches/0009: an application that answers a REFER while the thread that told of it still waits for its turn.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { inviteParts } from '../../core/calls/inbound-invite.js';
import { stasisApp, type AriClient, type AriEvent } from '../../core/ports/asterisk.js';
import type { OutgoingCall } from '../harness/outgoing-call.js';
import { SipEndpoint } from '../harness/sip-endpoint.js';
import { waitFor } from '../harness/wait-for.js';
import { AsteriskLab, EventRecorder, treadmill } from './asterisk-node-lab.js';

const node = 'call-1';
/** With these on the treadmill, threads that run when nobody else wants to hardly ever do. */
const runners = ['runner-1', 'runner-2'];
/** Without the patch they were the end of Asterisk in each of 12 runs. */
const transfers = 5;

let lab: AsteriskLab;
let edge: SipEndpoint;
let ari: AriClient;
let events: EventRecorder;
let workers: string[];

/** Says of a transfer, as soon as it is told of it, that it is being followed and that somebody has answered. */
class TransferAnswerer extends EventRecorder {
  override event(event: AriEvent): void {
    super.event(event);
    if (event.type !== 'ChannelTransfer' || event.state !== undefined) return;
    const channelId = event.referred_by.source_channel.id;
    for (const state of ['progress', 'answered'])
      ari.channels.transfer_progress({ channelId, states: `channel_${state}` }).catch(() => undefined);
  }
}

before(async () => {
  lab = await AsteriskLab.open();
  edge = await SipEndpoint.open({ address: lab.plan.privateVip, codecs: ['PCMU'] });
  await lab.start(node, treadmill);
  ari = lab.farm.node(node).ari;
  events = new TransferAnswerer();
  // Before the application is there: the threads that bring it its events are not meant.
  workers = taskThreads(lab.pid(node));
  lab.farm.node(node).open(events);
  await events.connections(1);
});
after(async () => {
  await edge.close();
  await lab.close();
});

describe('a transfer', () => {
  it('that is answered before Asterisk has got over telling of it does not end Asterisk', async () => {
    const callers: OutgoingCall[] = [];
    for (let i = 0; i < transfers; i++) callers.push(await callIn());
    for (const channelId of runners)
      await ari.channels.originate({ endpoint: 'Local/run@treadmill', app: stasisApp, channelId, timeout: 60 });
    starve(lab.pid(node), workers);
    for (const caller of callers) await transferred(caller);
    for (const channelId of runners) await ari.channels.hangup({ channelId });
  });
});

async function callIn(): Promise<OutgoingCall> {
  const call = await edge.invite(`sip:70001@${lab.node(node).address}:5060`);
  const { channel } = await events.of(
    'StasisStart',
    ({ args }) => inviteParts(args)[0] === encodeURIComponent(call.callId),
  );
  await ari.channels.answer({ channelId: channel.id });
  await call.answered();
  return call;
}

/** Asks for a transfer, and waits until it is told of its outcome. */
async function transferred(caller: OutgoingCall): Promise<void> {
  const told: string[] = [];
  caller.onRequest = request => {
    told.push(request.body);
    return 200;
  };
  const asked = caller.request('REFER', [
    ['Refer-To', '<sip:66001@holdfast.test>'],
    ['Contact', `<sip:70001@${lab.plan.privateVip}:5060>`],
  ]);
  const isTold = (): boolean => told.some(body => body.startsWith('SIP/2.0 200'));
  const describe = (): string => `${caller.ladder()}\n${lab.log(node)}`;
  await waitFor('word of the outcome', isTold, { deadlineMs: 10_000, describe });
  assert.equal((await asked).status, 202);
}

/** Puts all threads on one processor, and these behind all others. */
function starve(pid: number, threads: readonly string[]): void {
  execFileSync('taskset', ['-a', '-cp', '0', `${pid}`]);
  for (const thread of threads) execFileSync('chrt', ['--idle', '-p', '0', thread]);
}

/** The threads that do tasks, those of SIP among them. */
function taskThreads(pid: number): string[] {
  const [program = '', option = '', config = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const shown = execFileSync(program, [option, config, '-rx', 'core show threads'], { encoding: 'utf8' });
  return [...shown.matchAll(/^0x\w+ (\d+) default_tps_processing_function/gm)].map(([, id = '']) => id);
}
