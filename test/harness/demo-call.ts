// `holdfast demo call`: two phones with audio call each other through the running farm, and the way of each message is told.
import { setTimeout as sleep } from 'node:timers/promises';
import { callDaemon } from '../../core/control/control-client.js';
import type { FarmStatus } from '../../core/control/views.js';
import type { DemoCall, DemoMessage, DemoOptions, DemoReport } from '../../core/cli/composition.js';
import { subnetAddress } from '../../core/farm/farm-plan.js';
import { statePaths } from '../../core/host/state-folder.js';
import { hopsOf } from '../../core/trace/hops.js';
import { SipEndpoint } from './sip-endpoint.js';
import { waitFor } from './wait-for.js';

const callerHz = 440;
const calleeHz = 660;
const dialled = '70001';

/** Where trunk `lab` of examples/local.yaml calls from, and where it is called. */
const callerHost = 200;
const calleeHost = 208;

export async function demoCall(options: DemoOptions, print: (line: string) => void): Promise<DemoReport> {
  const { subnet, stateFolder, calls: count, seconds } = options;
  const socket = statePaths(stateFolder).controlSocket;
  const status = await callDaemon(socket, 'status', {});
  const callerAddress = subnetAddress(subnet, callerHost);
  const calleeAddress = subnetAddress(subnet, calleeHost);
  const names = nodeNames(status);
  names.set(callerAddress, 'caller').set(calleeAddress, 'callee');
  const caller = await SipEndpoint.open({ address: callerAddress, user: '100', codecs: ['PCMA'] });
  const callee = await SipEndpoint.open({ address: calleeAddress, user: dialled, codecs: ['opus'] });
  callee.onInvite(async call => {
    call.ring();
    await sleep(300);
    await call.answer();
    call.audio.sendTone(calleeHz);
  });
  const calls: DemoCall[] = [];
  try {
    for (let i = 1; i <= count; i++) {
      print(`call ${i} of ${count}: PCMA calls opus, ${seconds} s`);
      calls.push(await oneCall({ caller, edge: status.edge.public, socket, seconds, names }));
    }
  } finally {
    await Promise.allSettled([caller.close(), callee.close()]);
  }
  return { calls };
}

interface OneCall {
  readonly caller: SipEndpoint;
  readonly edge: string;
  readonly socket: string;
  readonly seconds: number;
  readonly names: ReadonlyMap<string, string>;
}

async function oneCall({ caller, edge, socket, seconds, names }: OneCall): Promise<DemoCall> {
  const call = await caller.invite(`sip:${dialled}@${edge}`);
  const callIds = [call.callId];
  let heardHz: number | null = null;
  let ok = false;
  try {
    await call.answered();
    call.audio.sendTone(callerHz);
    const own = (await callDaemon(socket, 'calls', {})).find(one => one.legs[0]?.callId === call.callId);
    callIds.push(...(own?.legs.slice(1).map(leg => leg.callId) ?? []).filter(callId => callId !== ''));
    // Or until somebody else ends it, as `holdfast call hangup` does.
    const isOver = await call.ended(seconds * 1000).then(
      () => true,
      () => false,
    );
    heardHz = call.audio.heard()?.hz ?? null;
    if (!isOver) await call.hangup();
    ok = heardHz !== null && Math.abs(heardHz - calleeHz) < 5;
  } catch {
    // A call that failed is shown as far as it came: its messages say where.
  }
  return {
    callId: call.callId,
    ok,
    messages: await messagesOf(socket, callIds, names),
    tone: { sentHz: calleeHz, heardHz },
  };
}

async function messagesOf(
  socket: string,
  callIds: readonly string[],
  names: ReadonlyMap<string, string>,
): Promise<DemoMessage[]> {
  const trace = async () => (await Promise.all(callIds.map(callId => callDaemon(socket, 'trace', { callId })))).flat();
  // The copies of the last BYE come a moment after its answer.
  await waitFor(
    'the BYE of each leg',
    async () => (await trace()).filter(one => one.method === 'BYE' && one.status === 200).length >= 2 * callIds.length,
    { deadlineMs: 2_000 },
  ).catch(() => undefined);
  const hops = hopsOf(await trace());
  const first = hops[0]?.atMs ?? 0;
  const nameOf = (end: string | null, via: string): string => (end === null ? via : (names.get(hostOf(end)) ?? end));
  return hops.map(hop => ({
    atMs: hop.atMs - first,
    from: nameOf(hop.from, hop.via),
    to: nameOf(hop.to, hop.via),
    via: hop.via,
    summary: hop.retransmission ? `${hop.summary} (again)` : hop.summary,
  }));
}

function nodeNames(status: FarmStatus): Map<string, string> {
  return new Map(status.nodes.map(node => [node.address, node.name]));
}

function hostOf(end: string): string {
  return end.replace(/:\d+$/, '');
}
