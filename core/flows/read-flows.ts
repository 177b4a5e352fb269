// The flows of a config, checked with the actions that there are, each problem at its line.
import { didYouMean, type ConfigProblem } from '../config/config-problem.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import type { Directory } from '../plugins/plugin-facts.js';
import type { FlowActions } from './action-registry.js';
import { checkFlow, type FlowCheckOptions } from './check-flows.js';
import type { NamedFlows } from './flows.js';
import { soundFile, soundNames, unplayable } from './sounds.js';

export interface ReadFlows {
  readonly named: NamedFlows;
  readonly problems: readonly ConfigProblem[];
}

export function readFlows(
  { flows, sounds }: Pick<HoldfastConfig, 'flows' | 'sounds'>,
  actions: FlowActions,
  directory: Directory,
): ReadFlows {
  const problems: ConfigProblem[] = [];
  const named = new Map<string, NamedFlows extends ReadonlyMap<string, infer Entries> ? Entries : never>();
  for (const block of flows) {
    const checked = checkFlow(block.written, { actions, directory, wrongSound: name => wrongSound(name, sounds) });
    for (const { path, message, hint } of checked.problems) problems.push(block.problem(path, message, hint));
    for (const { path, issues, schema } of checked.issues) problems.push(...block.schemaProblems(path, issues, schema));
    named.set(block.name, checked.entries);
  }
  return { named, problems };
}

/** Flows that no plugin's block names. A plugin may know one by itself, so this is no mistake. */
export function unusedFlows({ flows, plugins }: Pick<HoldfastConfig, 'flows' | 'plugins'>): readonly string[] {
  const named = new Set(plugins.flatMap(({ config }) => textsOf(config)));
  return flows.flatMap(({ name }) => (named.has(name) ? [] : [`nothing in the config leads to the flow ${name}`]));
}

function textsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsOf) : [];
}

const wrongSound = (
  name: string,
  folder: string | undefined,
): ReturnType<NonNullable<FlowCheckOptions['wrongSound']>> => {
  const file = soundFile(name, folder);
  if (file !== undefined) {
    const why = unplayable(file);
    return why === undefined ? undefined : { message: `the sound "${name}" cannot be played`, hint: why };
  }
  if (name.startsWith('/'))
    return { message: `there is no sound ${name}`, hint: 'leave its ending out: /path/name for /path/name.wav' };
  if (folder === undefined)
    return { message: `there is no sound "${name}"`, hint: 'say in `sounds` which folder has your files' };
  const hint =
    didYouMean(name, soundNames(folder)) ??
    `wanted is a file ${name}.wav (8 kHz, mono, 16 bit), .ulaw, .alaw or .sln in ${folder}`;
  return { message: `there is no sound "${name}"`, hint };
};
