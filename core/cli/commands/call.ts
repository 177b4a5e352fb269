// `holdfast call show ID` and `holdfast call hangup ID`: one call, with its legs and the way of every message.
import { writeFileSync } from 'node:fs';
import { HoldfastError, messageOf } from '../../errors.js';
import type { ShownCall } from '../../inspect/call-view.js';
import { writePcap } from '../../trace/pcap.js';
import { formatCall } from '../call-text.js';
import { exitCodes, type Command, type CommandContext } from '../command.js';

export const callCommand: Command = {
  usage: 'call <action> <id>',
  summary: 'Show a call with its legs, times and messages, also one that is over (show), or end it (hangup)',
  actions: [
    ['show', 'its legs, times and messages'],
    ['hangup', 'end it'],
  ],
  options: [['--pcap <file>', 'show: also write its SIP messages, as the Kamailios received and sent them']],
  examples: [
    'holdfast call show 1m85e2qacqcfkeb09',
    'holdfast call show e806b2b89e6c@192.0.2.7 --pcap call.pcap',
    'holdfast call hangup 1m85e2qacqcfkeb09',
  ],
  run([action, id = ''], context) {
    return action === 'show' ? show(id, context) : hangup(id, context);
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
