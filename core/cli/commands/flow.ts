// `holdfast flow simulate FLOW --events …`: what a flow would do, step by step, without a server.
import { didYouMean } from '../../config/config-problem.js';
import { loadConfig } from '../../config/load-config.js';
import { HoldfastError } from '../../errors.js';
import { readEvents, simulateFlow } from '../../flows/simulate.js';
import { silentLogger } from '../../log.js';
import { PluginHost } from '../../plugins/plugin-host.js';
import { exitCodes, usage, type Command, type CommandContext } from '../command.js';
import { configPath } from '../config-path.js';

export const flowCommand: Command = {
  usage: 'flow <action> <flow>',
  summary: 'Run a flow of the config against scripted events (simulate), without a server',
  actions: [['simulate', 'print the steps that it takes, what it does, and how it ends or what it waits for']],
  options: [
    ['--events <events>', "what happens, with spaces between: 'played digits:12# wait:5 busy …' (docs/flows.md)"],
    ['--caller <number>', 'who calls (default: +15550100)'],
    ['--dialled <number>', 'what was dialled (default: 9000)'],
    ['--from <name>', 'the trunk or subscriber of the call (default: the first trunk)'],
    ['--at <time>', 'when, as in 2026-01-05T17:30 (default: now)'],
  ],
  examples: ["holdfast flow simulate reception --config holdfast.yaml --events 'digits:1 busy played'"],
  async run([, name = ''], context) {
    const events = readEvents(context.text('events') ?? '');
    const config = loadConfig(configPath(undefined, context));
    const { actions, named } = await new PluginHost({ log: silentLogger }).readFlows(config);
    const entries = named.get(name);
    if (entries === undefined) throw noFlow(name, [...named.keys()]);
    const { startMs, call } = callOf(context, config.trunks[0]?.name ?? '');
    const simulation = simulateFlow({ name, entries, actions, call, startMs }, events);
    context.show(simulation, () =>
      [...simulation.lines, `path: ${simulation.path.join(' > ')}`, `end: ${simulation.end}`, ''].join('\n'),
    );
    return exitCodes.done;
  },
};

function noFlow(name: string, names: readonly string[]): HoldfastError {
  const known = names.length === 0 ? 'the config has none' : `there are: ${names.join(', ')}`;
  const remedy = didYouMean(name, names) ?? known;
  return new HoldfastError('FLOW_NOT_FOUND', `there is no flow "${name}"`, { remedy });
}

function callOf(
  context: CommandContext,
  firstTrunk: string,
): { readonly startMs: number; readonly call: Parameters<typeof simulateFlow>[0]['call'] } {
  const at = context.text('at');
  const startMs = at === undefined ? Date.now() : new Date(at).getTime();
  if (Number.isNaN(startMs)) throw usage(`--at ${at ?? ''}: a time is needed, as in 2026-01-05T17:30`);
  const call = {
    ...{ id: 'simulated', sipCallId: 'simulated', callerName: '', privacy: [], headers: {} },
    callerNumber: context.text('caller') ?? '+15550100',
    dialled: context.text('dialled') ?? '9000',
    source: { kind: 'trunk', trunk: context.text('from') ?? firstTrunk } as const,
  };
  return { startMs, call };
}
