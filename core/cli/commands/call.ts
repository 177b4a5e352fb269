// `holdfast call ACTION ID`: one call, with its legs and the way of every message; its end; music for a party, or another one in its place.
import { HoldfastError } from '../../errors.js';
import type { ShownCall } from '../../inspect/call-view.js';
import { writePcap } from '../../trace/pcap.js';
import { writeCaptureFile } from '../capture-file.js';
import { formatCall } from '../call-text.js';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';

export const callCommand: Command = {
  usage: 'call <action> <id> [number]',
  summary:
    'Show a call with its legs, times and messages, also one that is over (show), end it (hangup), put a party of it on hold, or give one another party (transfer)',
  actions: [
    ['show', 'its legs, times and messages'],
    ['hangup', 'end it'],
    ['add', 'call this number, and let whoever answers in'],
    ['hold', 'let one party hear music, and nobody hear it; no phone is told'],
    ['unhold', 'let it take part again'],
    ['transfer', 'call this number, and connect whoever stays with it'],
  ],
  options: [
    ['--pcap <file>', 'show: also write its SIP messages, as the Kamailios received and sent them'],
    ['--party <party>', 'hold, unhold: caller (default of hold), callee, or a leg by its SIP Call-ID'],
    ['--replace <party>', 'transfer: who is replaced, caller or callee (default)'],
    ['--to-call <id>', 'transfer: leave the others of both calls to each other, in place of a number'],
    ['--replace-other <party>', 'transfer --to-call: who leaves that call; default: the same party'],
    ['--by <party>', 'add: as who the number is called, caller (default) or callee'],
  ],
  examples: [
    'holdfast call show 1m85e2qacqcfkeb09',
    'holdfast call show e806b2b89e6c@192.0.2.7 --pcap call.pcap',
    'holdfast call hangup 1m85e2qacqcfkeb09',
    'holdfast call hold 1m85e2qacqcfkeb09 --party callee',
    'holdfast call transfer 1m85e2qacqcfkeb09 1002',
    'holdfast call transfer 1m85e2qacqcfkeb09 --to-call 1m85e2qacqd0aa111',
    'holdfast call add 1m85e2qacqcfkeb09 1002',
  ],
  run([action, id = '', number], context) {
    if (action === 'show') return show(id, context);
    if (action === 'hangup') return hangup(id, context);
    if (action === 'add') return add(id, number, context);
    return action === 'transfer' ? transfer(id, number, context) : hold(action === 'hold', id, context);
  },
};

async function show(id: string, context: CommandContext): Promise<number> {
  const file = context.text('pcap');
  const call = await context.ask('callShow', { id, whole: file !== undefined });
  const note = file === undefined ? '' : writeCapture(file, call);
  // Whole messages are for the file: they may hold the keys of a call's audio.
  const shown = { ...call, messages: call.messages.map(message => ({ ...message, raw: undefined })) };
  context.show(shown, () => `${formatCall(call, context.style, context.io.columns)}${note}`);
  return exitCodes.done;
}

async function hangup(id: string, context: CommandContext): Promise<number> {
  const hungUp = await context.ask('callHangup', { id });
  context.show(hungUp, () => `Call ${hungUp.id} ${hungUp.over ? 'is over' : 'is being hung up'}.\n`);
  return exitCodes.done;
}

async function transfer(id: string, to: string | undefined, context: CommandContext): Promise<number> {
  const replaced = sideOf(context, 'replace') ?? 'callee';
  const other = context.text('toCall');
  if (other !== undefined && to === undefined) return transferToCall(id, other, replaced, context);
  if (to === undefined) throw usage('call transfer needs a number', 'for example: holdfast call transfer ID 1002');
  const done = await context.ask('callTransfer', { id, to, replaced });
  context.show(done, () => `Call ${done.id} is with ${done.to} now.\n`);
  return exitCodes.done;
}

async function transferToCall(
  id: string,
  other: string,
  replaced: 'caller' | 'callee',
  context: CommandContext,
): Promise<number> {
  const replacedOther = sideOf(context, 'replaceOther');
  const which = { id, other, replaced, ...(replacedOther === undefined ? {} : { replacedOther }) };
  const done = await context.ask('callTransferToCall', which);
  context.show(done, () => `The others of ${done.id} and ${done.other} are with each other now.\n`);
  return exitCodes.done;
}

/** Throws USAGE for what is neither. */
function sideOf(context: CommandContext, option: 'replace' | 'replaceOther'): 'caller' | 'callee' | undefined {
  const side = context.text(option);
  if (side === undefined || side === 'caller' || side === 'callee') return side;
  throw usage(
    `--${option === 'replace' ? option : 'replace-other'} ${side} is neither caller nor callee`,
    'name the party that leaves the call',
  );
}

async function add(id: string, number: string | undefined, context: CommandContext): Promise<number> {
  const by = context.text('by');
  if (number === undefined) throw usage('call add needs a number', 'for example: holdfast call add ID 1002');
  const call = await context.ask('callAdd', { id, number, ...(by === undefined ? {} : { by }) });
  context.show(call, () => `${number} is in call ${call.id}, with ${call.parties.length - 1} others.\n`);
  return exitCodes.done;
}

async function hold(onHold: boolean, id: string, context: CommandContext): Promise<number> {
  const party = context.text('party');
  const which = { id, ...(party === undefined ? {} : { party }) };
  const call = await (onHold ? context.ask('callHold', which) : context.ask('callUnhold', which));
  const held = call.parties.filter(one => one.onHold).map(({ side, peer }) => `${side} ${peer} is on hold`);
  context.show(call, () => `Call ${call.id}: ${held.join(', ') || 'nobody is on hold'}.\n`);
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
  writeCaptureFile(file, writePcap(packets));
  const lost = messages.length - packets.length;
  return `\n${packets.length} messages are in ${file}${lost === 0 ? '' : `; ${lost} are no longer kept whole`}.\n`;
}
