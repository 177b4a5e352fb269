// `holdfast bans`: whom the edge does not hear; lifted and added by hand.
import { isIPv4 } from 'node:net';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';
import { formatBans } from '../tables.js';

const mostSeconds = 31_536_000;

export const bansCommand: Command = {
  usage: 'bans <action> [source]',
  summary: 'Show whom the edge does not hear (list), hear somebody again (lift), ban an address (add)',
  actions: [
    ['list', 'every ban, why and until when'],
    ['lift', 'take one back, on every Kamailio'],
    ['add', 'ban an address, on every Kamailio'],
  ],
  options: [
    ['--seconds <seconds>', 'how long; default 3600'],
    ['--reason <text>', 'why, for the list and the log'],
  ],
  examples: ['holdfast bans list', 'holdfast bans lift 192.0.2.7', 'holdfast bans add 192.0.2.7 --seconds 86400'],
  async run([action, source], context) {
    if (action === 'list') return list(context);
    if (source === undefined) throw usage(`bans ${action ?? ''}: which source?`);
    return action === 'lift' ? lift(source, context) : add(source, context);
  },
};

async function list(context: CommandContext): Promise<number> {
  const bans = await context.ask('bans', {});
  context.show(bans, () => formatBans(bans, context.io.columns));
  return exitCodes.done;
}

async function lift(source: string, context: CommandContext): Promise<number> {
  const lifted = await context.ask('banLift', { source });
  context.show(lifted, () => `${lifted.source} is heard again.\n`);
  return exitCodes.done;
}

async function add(address: string, context: CommandContext): Promise<number> {
  if (!isIPv4(address)) throw usage(`bans add: "${address}" is not an IPv4 address`);
  const seconds = context.count('seconds', 3_600, mostSeconds);
  const ban = await context.ask('banAdd', { address, seconds, reason: context.text('reason') ?? 'by the operator' });
  context.show(ban, () => `${ban.source} is banned until ${ban.until}.\n`);
  return exitCodes.done;
}
