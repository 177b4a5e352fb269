// `holdfast demo call`: places calls with audio through the farm and shows where each message went.
import { exitCodes, usage, type Command } from '../command.js';
import { formatDemoSummary, formatLadder } from '../ladder.js';

export const demoCommand: Command = {
  usage: 'demo <what>',
  summary: 'Place calls with audio through the farm and show where each message went (demo call)',
  options: [
    ['--calls <n>', 'how many, one after the other (default: 3)'],
    ['--seconds <n>', 'how long each is up (default: 2)'],
  ],
  examples: ['holdfast demo call', 'holdfast demo call --calls 1 --seconds 5'],
  async run([what = ''], context) {
    if (what !== 'call') throw usage(`unknown demo "${what}": there is only call`, 'try: holdfast demo call');
    const [calls, seconds] = [context.count('calls', 3, 100), context.count('seconds', 2, 60)];
    // Says that no farm is up before anything is tried.
    const { subnet } = await context.ask('status', {});
    const composition = await context.composition();
    const options = { subnet, stateFolder: context.stateFolder, calls, seconds };
    const report = await composition.demoCall(options, line => context.progress(line));
    context.show(report, () => {
      const ladders = report.calls.map(call => `${formatLadder(call, context.style)}\n`);
      return `${ladders.join('')}${formatDemoSummary(report)}`;
    });
    return report.calls.length > 0 && report.calls.every(({ ok }) => ok) ? exitCodes.done : exitCodes.failed;
  },
};
