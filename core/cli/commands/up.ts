// `holdfast up`: brings the farm up, and stays to show its log unless --detach.
import { basename } from 'node:path';
import { resolve } from 'node:path';
import type { FarmStatus } from '../../control/views.js';
import { HoldfastError } from '../../errors.js';
import { defaultStateFolder, defaultSubnet, statePaths } from '../../host/state-folder.js';
import { configPath } from '../config-path.js';
import { exitCodes, type Command, type CommandContext } from '../command.js';
import type { ConfigSummary } from '../composition.js';
import { bringDown } from '../farm-down.js';
import { awaitReady, farmStatus, launchSupervisor } from '../farm-launch.js';
import { stayUp } from '../stay-up.js';
import { readSupervisorNote, supervisorOf } from '../supervisor-note.js';
import { formatStatus } from '../tables.js';

export const upCommand: Command = {
  usage: 'up [config]',
  summary: 'Bring the farm up; stays and shows its log, Ctrl-C brings it down',
  options: [['--detach', 'return when the farm is ready; it goes on by itself']],
  examples: ['holdfast up examples/local.yaml', 'holdfast up --detach', 'holdfast up --detach --subnet 127.41.0.0/24'],
  async run([argument], context) {
    const path = configPath(argument, context);
    const composition = await context.composition();
    const summary = await composition.checkConfig(path, context.text('subnet'));
    const { subnet } = summary;
    const stateFolder = resolve(context.text('state') ?? summary.stateFolder ?? defaultStateFolder(subnet));
    const already = await farmStatus(stateFolder);
    if (already?.ready === true) {
      await showAlready(already, path, stateFolder, context);
      return exitCodes.done;
    }
    requireRoot();
    for (const warning of summary.warnings) context.io.err(`${context.style('yellow', 'warning')}: ${warning}\n`);
    const place = { configPath: path, subnet, stateFolder };
    const interrupted = new AbortController();
    const release = context.io.onInterrupt(() => interrupted.abort());
    let status: FarmStatus;
    try {
      if (already === undefined && !supervisorOf(stateFolder)) launchSupervisor(place);
      context.progress(`Bringing up ${summary.nodes.length} nodes on ${subnet} …`);
      status = await awaitReady(stateFolder, line => context.progress(`  ${line}`), interrupted.signal);
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      context.progress('Interrupted: bringing the farm down again.');
      await bringDown(place, line => context.progress(line));
      return exitCodes.failed;
    } finally {
      release();
    }
    showReady(status, summary, context);
    if (context.flag('detach')) return exitCodes.done;
    return stayUp(place, summary.logFile ?? statePaths(stateFolder).daemonLog, context);
  },
};

async function showAlready(
  status: FarmStatus,
  path: string,
  stateFolder: string,
  context: CommandContext,
): Promise<void> {
  context.show(status, () => `It is up already.\n${formatStatus(status, context.style, context.io.columns)}`);
  const used = (await readSupervisorNote(stateFolder))?.configPath;
  if (used !== undefined && used !== path) {
    context.io.err(`${context.style('yellow', 'warning')}: it runs on ${used}, not on ${path}\n`);
  }
}

/** As the newcomer can type it: `holdfast` where it is installed, through npm in a checkout. */
function ownCommand(command: string, subnet: string): string {
  const program = basename(process.argv[1] ?? '') === 'holdfast' ? 'holdfast' : 'npx holdfast';
  return `${program} ${command}${subnet === defaultSubnet ? '' : ` --subnet ${subnet}`}`;
}

function showReady(status: FarmStatus, { edge }: ConfigSummary, context: CommandContext): void {
  const own = (command: string): string => ownCommand(command, status.subnet);
  context.show(status, () =>
    [
      `\n${formatStatus(status, context.style, context.io.columns)}\n`,
      `Place a first call:  ${context.style('bold', own('demo call'))}\n`,
      `or let a SIP phone on this machine call ${context.style('bold', `sip:9001@${edge}`)}, the echo test.\n`,
      `See the calls with "${own('calls')}", end the farm with "${own('down')}".\n`,
    ].join(''),
  );
}

function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new HoldfastError(
    'HOST_FAILED',
    'up needs root: it starts each server as a user of its own and loads nftables rules',
    {
      remedy: 'run it as root, for example with sudo',
    },
  );
}
