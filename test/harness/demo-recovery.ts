// `holdfast demo recovery`: calls with audio, the death of their node, and what the phones noticed of it, in order of time.
import { setTimeout as sleep } from 'node:timers/promises';
import { callDaemon } from '../../core/control/control-client.js';
import type { FarmStatus, RecoveryStatus } from '../../core/control/views.js';
import type { DemoOptions, DemoStep, RecoveryDemoReport } from '../../core/cli/composition.js';
import { HoldfastError } from '../../core/errors.js';
import { subnetAddress } from '../../core/farm/farm-plan.js';
import { statePaths } from '../../core/host/state-folder.js';
import type { SipCall } from './sip-call.js';
import { SipEndpoint } from './sip-endpoint.js';
import { waitFor } from './wait-for.js';

const callerHz = 440;
const calleeHz = 660;
const dialled = '70001';
const callerHost = 200;
const calleeHost = 208;
/** How long the callees wait for the end of their calls. */
const endedMs = 3_000;

/** Refuses (DAEMON_REFUSED) where others have calls on the farm, or only one call node is up. */
export async function demoRecovery(options: DemoOptions, print: (line: string) => void): Promise<RecoveryDemoReport> {
  const { subnet, stateFolder, calls: count, seconds } = options;
  const socket = statePaths(stateFolder).controlSocket;
  const status = await callDaemon(socket, 'status', {});
  refuseOthers(status);
  const caller = await SipEndpoint.open({ address: subnetAddress(subnet, callerHost), user: '100', codecs: ['PCMA'] });
  const callee = await SipEndpoint.open({
    address: subnetAddress(subnet, calleeHost),
    user: dialled,
    codecs: ['PCMU'],
  });
  callee.onInvite(async call => {
    await call.answer();
    call.audio.sendTone(calleeHz);
  });
  try {
    print(`placing ${count} calls with audio`);
    for (let i = 0; i < count; i++) {
      const call = await caller.invite(`sip:${dialled}@${status.edge.public}`);
      await call.answered();
      call.audio.sendTone(callerHz);
    }
    await sleep(seconds * 1000);
    return await kill(socket, [...caller.calls, ...callee.calls], print);
  } finally {
    for (const call of caller.calls) if (call.state === 'confirmed') await call.hangup().catch(() => undefined);
    // Who is gone before the other side's BYE comes leaves its media to the sweep.
    await Promise.allSettled(callee.calls.map(call => call.ended(endedMs)));
    await Promise.allSettled([caller.close(), callee.close()]);
  }
}

async function kill(
  socket: string,
  phones: readonly SipCall[],
  print: (line: string) => void,
): Promise<RecoveryDemoReport> {
  const calls = await callDaemon(socket, 'calls', {});
  const load = new Map<string, number>();
  for (const { node } of calls.flatMap(call => call.legs)) load.set(node, (load.get(node) ?? 0) + 1);
  const [victim = ''] = [...load].sort(([, a], [, b]) => b - a).map(([node]) => node);
  const pid = (await callDaemon(socket, 'status', {})).nodes.find(node => node.name === victim)?.pid;
  if (pid === null || pid === undefined) throw new HoldfastError('DAEMON_REFUSED', `${victim} has no process`);
  const earlier = new Set((await callDaemon(socket, 'recoveries', {})).map(({ epoch }) => epoch));
  const usual = Math.max(...phones.map(phone => phone.audio.report().largestGapMs));
  phones.forEach(phone => phone.audio.resetReport());
  const steps: DemoStep[] = [];
  const started = performance.now();
  const step = (text: string): void => {
    steps.push({ atMs: performance.now() - started, text });
    print(text);
  };
  process.kill(pid, 'SIGKILL');
  step(`${victim} (process ${pid}) is killed; it has ${load.get(victim) ?? 0} sessions of ${calls.length} calls`);
  const touched = load.get(victim) ?? 0;
  const asked = (): number => phones.filter(phone => phone.reinvites.length > 0).length;
  await waitFor('the first re-INVITE', () => asked() > 0, { everyMs: 1, deadlineMs: 15_000 });
  step('the first phone is re-INVITEd');
  await waitFor('every phone to be re-INVITEd', () => asked() >= touched, { everyMs: 1, deadlineMs: 15_000 });
  step(`all ${touched} phones are re-INVITEd`);
  const back = (phone: SipCall): boolean => phone.audio.report().silentForMs < 60 && phone.audio.report().packets > 5;
  await waitFor('every phone to hear again', () => phones.every(back), { everyMs: 1, deadlineMs: 15_000 });
  step('every phone hears the other one again');
  await sleep(300);
  const recovery = await waitFor('the recovery to be done', async () =>
    (await callDaemon(socket, 'recoveries', {})).find(one => !earlier.has(one.epoch) && isDone(one)),
  );
  return {
    victim,
    steps,
    recovery,
    usualGapMs: usual,
    silencesMs: phones.map(phone => phone.audio.report().largestGapMs),
    alive: phones.filter(phone => phone.state === 'confirmed').length,
  };
}

function isDone({ sessions: { found, recovered, ended, failed } }: RecoveryStatus): boolean {
  return found > 0 && recovered + ended + failed === found;
}

function refuseOthers(status: FarmStatus): void {
  if (status.calls.active > 0) {
    throw new HoldfastError(
      'DAEMON_REFUSED',
      `${status.calls.active} calls are up on this farm, and the demo kills a call node`,
      {
        remedy: 'run it on a farm of its own: holdfast up --subnet 127.41.0.0/24 --detach',
      },
    );
  }
  if (status.nodes.filter(node => node.farm === 'call' && node.state === 'up').length < 2) {
    throw new HoldfastError('DAEMON_REFUSED', 'a recovery needs two call nodes that are up', {
      remedy: 'see: holdfast nodes',
    });
  }
}
