// `holdfast demo call` and `holdfast demo recovery`: calls with audio through the farm, and what became of them.
import { exitCodes, type Command } from '../command.js';
import { formatDemoCall, formatDemoSummary } from '../ladder.js';
import { formatRecoveryDemo } from '../tables.js';

export const demoCommand: Command = {
  usage: 'demo <what>',
  summary:
    'Place calls with audio through the farm: show where each message went (call), or kill their node (recovery)',
  actions: [
    ['call', 'show, message by message, which Kamailio carried it'],
    ['recovery', 'kill their call node, and show what each phone noticed'],
  ],
  options: [
    ['--calls <n>', 'how many (default: 3, for recovery 5)'],
    ['--seconds <n>', 'how long each is up, before the kill (default: 2)'],
  ],
  examples: ['holdfast demo call', 'holdfast demo call --calls 1 --seconds 5', 'holdfast demo recovery'],
  async run([what], context) {
    const [calls, seconds] = [context.count('calls', what === 'call' ? 3 : 5, 100), context.count('seconds', 2, 3600)];
    // Says that no daemon is up before anything is tried.
    const { subnet } = await context.ask('status', {});
    const composition = await context.composition();
    const options = { subnet, stateFolder: context.stateFolder, calls, seconds };
    if (what === 'recovery') {
      const report = await composition.demoRecovery(options, line => context.progress(line));
      context.show(report, () => formatRecoveryDemo(report));
      return report.alive === report.silencesMs.length ? exitCodes.done : exitCodes.failed;
    }
    const report = await composition.demoCall(options, line => context.progress(line));
    context.show(report, () => {
      const ladders = report.calls.map(call => `${formatDemoCall(call, context.style, context.io.columns)}\n`);
      return `${ladders.join('')}${formatDemoSummary(report)}`;
    });
    return report.calls.length > 0 && report.calls.every(({ ok }) => ok) ? exitCodes.done : exitCodes.failed;
  },
};
