// What is killed while no daemon runs, each with what is done before the next daemon comes.
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { readSupervisorNote } from '../../../core/cli/supervisor-note.js';
import { signal } from '../../../core/host/process-table.js';
import { recordOf } from '../../harness/call-records.js';
import { waitFor } from '../../harness/wait-for.js';
import type { Lab } from './death-lab.js';

export type Scene = readonly [name: string, run: (lab: Lab, config: string) => Promise<void>];

const plain =
  (names: (node: string) => string[], count = 3): ((lab: Lab) => Promise<void>) =>
  async lab => {
    await lab.talk(count);
    const node = (await lab.pairs[0]?.node(lab.farm)) ?? '';
    await lab.killKeepers();
    lab.kill(...names(node));
    console.log(`  ready again after ${await lab.back()} ms`);
  };

/** A room that is not on the first conference node; and its keepers are killed. */
async function roomOnTheSecond(lab: Lab, config: string): Promise<void> {
  await lab.farm.reload(config);
  await lab.farm.whole();
  await lab.farm.json('drain', 'conference-1');
  await lab.enterRoom();
  await lab.farm.json('undrain', 'conference-1');
  await lab.killKeepers();
}

export const scenes: readonly Scene[] = [
  ['one-call-node', plain(node => [node])],
  ['two-call-nodes', plain(node => [node, node === 'call-1' ? 'call-2' : 'call-1'])],
  ['all-call-nodes', plain(() => ['call-1', 'call-2', 'call-3'])],
  ['call-and-engine', plain(node => [node, 'rtpengine-1'])],
  ['call-and-both-engines', plain(node => [node, 'rtpengine-1', 'rtpengine-2'])],
  ['kamailio-and-call', plain(node => ['kamailio-1', node])],
  ['all-kamailios-and-call', plain(node => ['kamailio-1', 'kamailio-2', 'kamailio-3', node])],
  ['registrar', plain(() => ['registrar-1'])],
  [
    'conference',
    async lab => {
      await lab.enterRoom();
      const [room] = await lab.farm.json<{ node: string }[]>('conferences');
      await lab.killKeepers();
      lab.kill(room?.node ?? '');
      console.log(`  ready again after ${await lab.back()} ms`);
    },
  ],
  [
    'conference-and-call',
    async lab => {
      await lab.enterRoom();
      const [room] = await lab.farm.json<{ node: string }[]>('conferences');
      await lab.killKeepers();
      lab.kill(room?.node ?? '', 'call-1', 'call-2');
      console.log(`  ready again after ${await lab.back()} ms`);
    },
  ],
  [
    'both-conferences-and-call',
    async lab => {
      await lab.enterRoom();
      await lab.killKeepers();
      lab.kill('conference-1', 'conference-2', 'call-1');
      console.log(`  ready again after ${await lab.back()} ms`);
    },
  ],
  [
    'everything-but-phones',
    async lab => {
      await lab.talk(3);
      await lab.enterRoom();
      await lab.killKeepers();
      lab.kill(...lab.nodes());
      console.log(`  ready again after ${await lab.back()} ms`);
    },
  ],
  [
    'reboot',
    async lab => {
      await lab.talk(3);
      await lab.killKeepers();
      lab.kill(...lab.nodes());
      execFileSync('nft', ['delete', 'table', 'ip', `holdfast_${lab.farm.host(0).replaceAll('.', '_')}`]);
      // Nobody answers for the phones either.
      const { farm, pairs } = lab;
      await lab.otherPhones();
      const began = performance.now();
      console.log(`  ready again after ${await lab.back()} ms`);
      await farm.idle(60_000);
      console.log(`  idle after ${Math.round(performance.now() - began)} ms`);
      for (const pair of pairs) {
        const { outcome, endedBy, reason, endedAt, endedNotBefore } = await recordOf(farm, pair.caller.callId);
        console.log(`  ${outcome}, ended by ${endedBy} from ${endedNotBefore} to ${endedAt}: ${reason}`);
      }
      await lab.talk(1);
    },
  ],
  [
    'leaving-dies',
    async (lab, config) => {
      await lab.talk(3);
      await lab.farm.reload(config.replace('call: 3', 'call: 2'));
      await lab.killKeepers();
      lab.kill('call-3');
      console.log(`  ready again after ${await lab.back()} ms`);
    },
  ],
  [
    'leaving-lives',
    async (lab, config) => {
      await lab.farm.reload(config);
      await lab.farm.whole();
      await lab.talk(3);
      await lab.killKeepers();
      console.log(`  ready again after ${await lab.back(config.replace('call: 3', 'call: 2'))} ms`);
    },
  ],
  [
    'smaller-and-dead',
    async (lab, config) => {
      await lab.farm.reload(config);
      await lab.farm.whole();
      await lab.talk(3);
      await lab.killKeepers();
      lab.kill('call-3', 'call-1', 'rtpengine-2', 'kamailio-3');
      const smaller = config
        .replace('call: 3', 'call: 1')
        .replace('rtpengine: 2', 'rtpengine: 1')
        .replace('kamailio: 3', 'kamailio: 2');
      console.log(`  ready again after ${await lab.back(smaller)} ms`);
    },
  ],
  [
    'conference-leaves',
    async (lab, config) => {
      await roomOnTheSecond(lab, config);
      console.log(`  ready again after ${await lab.back(config.replace('conference: 2', 'conference: 1'))} ms`);
    },
  ],
  [
    'smaller-conference',
    async (lab, config) => {
      await roomOnTheSecond(lab, config);
      lab.kill('conference-2');
      console.log(`  ready again after ${await lab.back(config.replace('conference: 2', 'conference: 1'))} ms`);
    },
  ],
  [
    'smaller-conference-and-call',
    async (lab, config) => {
      await roomOnTheSecond(lab, config);
      lab.kill('conference-2', 'call-1', 'call-3');
      const smaller = config.replace('conference: 2', 'conference: 1').replace('call: 3', 'call: 2');
      console.log(`  ready again after ${await lab.back(smaller)} ms`);
    },
  ],
  ...[0, 200, 400, 600, 800, 1000, 1300, 1600, 2000].map((afterMs): Scene => [
    `again-${afterMs}`,
    async (lab, config) => {
      if ((await lab.farm.status()).nodes.filter(one => one.farm === 'call').length < 3) await lab.farm.reload(config);
      await lab.farm.whole();
      await lab.talk(4);
      await lab.killKeepers();
      const before = lab.said().length;
      lab.kill('call-1', 'call-2');
      void lab.farm.cli(['up', '--detach', '--config', lab.farm.configFile], 60_000).catch(() => undefined);
      await waitFor(
        'the next daemon to find them',
        () =>
          lab
            .said()
            .slice(before)
            .some(one => /calls in the store/.test(one.msg)),
        { everyMs: 2 },
      );
      await sleep(afterMs);
      const note = await readSupervisorNote(lab.farm.state);
      if (note?.daemon) signal(note.daemon.pid, 'SIGKILL');
      await lab.farm.daemonAfter(note?.daemon?.pid ?? 0);
    },
  ]),
  [
    'frozen',
    async lab => {
      await lab.talk(3);
      const node = (await lab.pairs[0]?.node(lab.farm)) ?? '';
      await lab.killKeepers();
      const pid = lab.pidOf(node);
      signal(pid, 'SIGSTOP');
      console.log(`  ready again after ${await lab.back()} ms`);
      for (const pair of lab.pairs) await pair.soundsAgain();
      try {
        signal(pid, 'SIGCONT');
      } catch {
        console.log('  killed by then');
      }
      await sleep(1_000);
    },
  ],
  [
    'frozen-left-to-a-debugger',
    async (lab, config) => {
      await lab.farm.reload(config.replace('  session-recovery:\n', '  session-recovery: { killFrozen: false }\n'));
      await lab.talk(3);
      const node = (await lab.pairs[0]?.node(lab.farm)) ?? '';
      await lab.killKeepers();
      const pid = lab.pidOf(node);
      signal(pid, 'SIGSTOP');
      console.log(`  ready again after ${await lab.back()} ms`);
      for (const pair of lab.pairs) await pair.soundsAgain();
      // And again: the fence must hold through a daemon that dies and one that comes.
      await lab.killKeepers();
      signal(pid, 'SIGCONT');
      await sleep(500);
      console.log(`  ready again after ${await lab.back()} ms`);
      for (const pair of lab.pairs) await pair.soundsAgain();
      for (const call of lab.pairs.flatMap(pair => pair.calls)) call.audio.resetReport();
      await sleep(1_500);
      for (const call of lab.pairs.flatMap(pair => pair.calls))
        if (call.audio.report().sources.length !== 1) lab.wrong.push(`hears ${call.audio.report().sources.join()}`);
      signal(pid, 'SIGKILL');
      await lab.farm.reload(config);
    },
  ],
];
