// `holdfast find TEXT`: from a Call-ID, a number or a part of one to the calls that have it, over or up.
import { formatFound } from '../call-text.js';
import { exitCodes, usage, type Command } from '../command.js';

export const findCommand: Command = {
  usage: 'find <text>',
  summary: 'Find calls by a SIP Call-ID, an id or a number, or a part of one; also calls that are over',
  options: [['--most <n>', 'how many to show, the latest first (default: 20)']],
  examples: ['holdfast find e806b2b89e6c@192.0.2.7', 'holdfast find 70001 --most 5'],
  async run([text = ''], context) {
    if (text.trim() === '') throw usage('find needs a text', 'for example: holdfast find 70001');
    const calls = await context.ask('find', { text, most: context.count('most', 20, 200) });
    context.show(calls, () => formatFound(calls, context.style, context.io.columns));
    return calls.length > 0 ? exitCodes.done : exitCodes.failed;
  },
};
