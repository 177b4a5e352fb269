// `holdfast call show|hangup|transfer ID`: one call, with its legs and the way of every message; its end; another party for it.
import { writeFileSync } from 'node:fs';
import { HoldfastError, messageOf } from '../../errors.js';
import type { ShownCall } from '../../inspect/call-view.js';
import { writePcap } from '../../trace/pcap.js';
import { formatCall } from '../call-text.js';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';

export const callCommand: Command = {
  usage: 'call <action> <id> [number]',
  summary:
    'Show a call with its legs, times and messages, also one that is over (show), end it (hangup), or give one of its parties another one (transfer)',
  actions: [
    ['show', 'its legs, times and messages'],
    ['hangup', 'end it'],
    ['transfer', 'call this number, and connect whoever stays with it'],
  ],
  options: [
    ['--pcap <file>', 'show: also write its SIP messages, as the Kamailios received and sent them'],
    ['--replace <party>', 'transfer: who is replaced, caller or callee (default)'],
  ],
  examples: [
    'holdfast call show 1m85e2qacqcfkeb09',
    'holdfast call show e806b2b89e6c@192.0.2.7 --pcap call.pcap',
    'holdfast call hangup 1m85e2qacqcfkeb09',
    'holdfast call transfer 1m85e2qacqcfkeb09 1002',
  ],
  run([action, id = '', number], context) {
    if (action === 'show') return show(id, context);
    return action === 'hangup' ? hangup(id, context) : transfer(id, number, context);
  },
};

async function show(id: string, context: CommandContext): Promise<number> {
  const file = context.text('pcap');
  const call = await context.ask('callShow', { id, whole: file !== undefined });
  const note = file === undefined ? '' : writeCapture(file, call);
  context.show(call, () => `${formatCall(call, context.style, context.io.columns)}${note}`);
  return exitCodes.done;
}

async function hangup(id: string, context: CommandContext): Promise<number> {
  const hungUp = await context.ask('callHangup', { id });
  context.show(hungUp, () => `Call ${hungUp.id} ${hungUp.over ? 'is over' : 'is being hung up'}.\n`);
  return exitCodes.done;
}

async function transfer(id: string, to: string | undefined, context: CommandContext): Promise<number> {
  const replaced = context.text('replace') ?? 'callee';
  if (to === undefined) throw usage('call transfer needs a number', 'for example: holdfast call transfer ID 1002');
  if (replaced !== 'caller' && replaced !== 'callee') {
    throw usage(`--replace ${replaced} is neither caller nor callee`, 'name the party that leaves the call');
  }
  const done = await context.ask('callTransfer', { id, to, replaced });
  context.show(done, () => `Call ${done.id} is with ${done.to} now.\n`);
  return exitCodes.done;
}

/** Says what is in the file, and what is no longer kept. */
function writeCapture(file: string, { messages }: ShownCall): string {
  const packets = messages.flatMap(({ raw, atMs, source, destination }) =>
    raw === undefined ? [] : [{ atMs, source, destination, payload: Buffer.from(raw, 'base64') }],
  );
  if (packets.length === 0) {
    throw new HoldfastError('CALL_NOT_FOUND', 'no whole message of this call is kept any more', {
      remedy: 'keep more of them: trace.rawMegabytes in the config',
    });
  }
  try {
    // What people say to each other's phones is nobody's business.
    writeFileSync(file, writePcap(packets), { mode: 0o600 });
  } catch (cause) {
    throw new HoldfastError('HOST_FAILED', `cannot write ${file}: ${messageOf(cause)}`, { cause });
  }
  const lost = messages.length - packets.length;
  return `\n${packets.length} messages are in ${file}${lost === 0 ? '' : `; ${lost} are no longer kept whole`}.\n`;
}
