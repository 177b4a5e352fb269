// What is wrong with a flow before any call runs it: keys, labels, sounds, and steps that nothing leads to. Pure.
import { z } from 'zod';
import { didYouMean, type ConfigPath } from '../config/config-problem.js';
import type { Directory } from '../plugins/plugin-facts.js';
import { label } from './actions/parts.js';
import type { FlowAction, FlowEntry, FlowExits } from './flow-facts.js';
import { keysOf } from './interpreter.js';

/** A problem at a place in a flow. */
export interface FlowProblem {
  /** From the flow's list on: the index of the step, then its keys. */
  readonly path: ConfigPath;
  readonly message: string;
  readonly hint?: string | undefined;
}

/** What a step's own schema says, for whoever turns issues into sentences. */
export interface FlowIssues {
  readonly path: ConfigPath;
  readonly issues: readonly z.core.$ZodIssue[];
  readonly schema: unknown;
}

export interface FlowCheck {
  readonly problems: readonly FlowProblem[];
  readonly issues: readonly FlowIssues[];
  /** The flow with its defaults filled in. */
  readonly entries: readonly FlowEntry[];
}

interface ReadStep {
  readonly index: number;
  readonly label: string | undefined;
  readonly action: FlowAction | undefined;
  /** Undefined where it does not fit its schema. */
  readonly keys: unknown;
}

export interface FlowCheckOptions {
  readonly actions: ReadonlyMap<string, FlowAction>;
  readonly directory?: Directory;
  /** Why a sound cannot be played, in words; undefined where it can. */
  readonly wrongSound?: (name: string) => { readonly message: string; readonly hint?: string | undefined } | undefined;
}

const listSchema = z.array(z.looseObject({ action: z.string(), label: label.optional() })).min(1);

/** Checks one flow as it is written. */
export function checkFlow(written: unknown, options: FlowCheckOptions): FlowCheck {
  const list = listSchema.safeParse(written);
  if (!list.success) {
    return { problems: [], issues: [{ path: [], issues: list.error.issues, schema: listSchema }], entries: [] };
  }
  const problems: FlowProblem[] = [];
  const issues: FlowIssues[] = [];
  const steps = list.data.map((entry, index): ReadStep => {
    const action = options.actions.get(entry.action);
    const read = { index, label: entry.label, action };
    if (!action) {
      problems.push(unknownAction(entry.action, index, options.actions));
      return { ...read, keys: undefined };
    }
    const parsed = action.step.safeParse(keysOf(entry as FlowEntry));
    if (parsed.success) return { ...read, keys: parsed.data };
    issues.push({ path: [index], issues: parsed.error.issues, schema: action.step });
    return { ...read, keys: undefined };
  });
  problems.push(...labelProblems(steps), ...steps.flatMap(step => ownProblems(step, options)));
  // What can be reached is known only where every step can be read.
  if (problems.length === 0 && issues.length === 0) problems.push(...unreachable(steps), ...circles(steps));
  const entries = list.data.map(
    (entry, index) => ({ ...entry, ...(steps[index]?.keys as object | undefined) }) as FlowEntry,
  );
  return { problems, issues, entries };
}

/** A flow that came from elsewhere than a config file, with its defaults filled in; or what is wrong with it first, in a sentence. */
export function readEntries(
  written: unknown,
  actions: ReadonlyMap<string, FlowAction>,
): { readonly entries: readonly FlowEntry[] } | { readonly wrong: string } {
  const { problems, issues, entries } = checkFlow(written, { actions });
  const place = (path: readonly PropertyKey[]): string =>
    path.length === 0 ? '' : `${path.map(key => String(key)).join('.')}: `;
  const [wrong] = [
    ...problems.map(({ path, message }) => `${place(path)}${message}`),
    ...issues.flatMap(({ path, issues: found }) =>
      found.map(issue => `${place([...path, ...issue.path])}${issue.message}`),
    ),
  ];
  return wrong === undefined ? { entries } : { wrong };
}

function unknownAction(name: string, index: number, actions: ReadonlyMap<string, FlowAction>): FlowProblem {
  const names = [...actions.keys()];
  const hint = didYouMean(name, names) ?? `there are: ${names.join(', ')}`;
  return { path: [index, 'action'], message: `there is no action "${name}"`, hint };
}

function labelProblems(steps: readonly ReadStep[]): readonly FlowProblem[] {
  const first = new Map<string, number>();
  const problems: FlowProblem[] = [];
  for (const { index, label: name } of steps) {
    const before = name === undefined ? undefined : first.get(name);
    if (before !== undefined) {
      problems.push({ path: [index, 'label'], message: `step ${before + 1} has the label "${name ?? ''}" already` });
    } else if (name !== undefined) first.set(name, index);
  }
  const names = [...first.keys()];
  for (const { index, action, keys } of steps) {
    for (const { path, label: name } of exitsOfStep(action, keys).labels) {
      if (first.has(name)) continue;
      const hint =
        didYouMean(name, names) ?? (names.length === 0 ? 'no step has a label' : `there are: ${names.join(', ')}`);
      problems.push({ path: [index, ...path], message: `no step of this flow has the label "${name}"`, hint });
    }
  }
  return problems;
}

function ownProblems(
  { index, action, keys }: ReadStep,
  { directory, wrongSound }: FlowCheckOptions,
): readonly FlowProblem[] {
  if (!action || keys === undefined) return [];
  const own = directory === undefined ? [] : (action.check?.(keys, directory) ?? []);
  const sounds = (action.sounds?.(keys) ?? []).flatMap(({ path, items }) =>
    items.flatMap((item, i) => {
      const name = typeof item === 'string' ? item : 'sound' in item ? item.sound : undefined;
      const wrong = name === undefined || name.includes('${') ? undefined : wrongSound?.(name);
      return wrong === undefined ? [] : [{ path: items.length === 1 ? path : [...path, i], ...wrong }];
    }),
  );
  return [...own, ...sounds].map(problem => ({ ...problem, path: [index, ...problem.path] }));
}

function exitsOfStep(action: FlowAction | undefined, keys: unknown): FlowExits {
  if (!action || keys === undefined) return { labels: [], next: true };
  return action.exits?.(keys) ?? { labels: [], next: true };
}

function byLabels(steps: readonly ReadStep[]): ReadonlyMap<string, number> {
  return new Map(steps.flatMap(({ label: name, index }) => (name === undefined ? [] : [[name, index] as const])));
}

/** The first step of each stretch that nothing leads to. */
function unreachable(steps: readonly ReadStep[]): readonly FlowProblem[] {
  const byLabel = byLabels(steps);
  const reached = new Set<number>();
  const open = [0];
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    const step = steps[index];
    if (!step || reached.has(index)) continue;
    reached.add(index);
    const { labels, next } = exitsOfStep(step.action, step.keys);
    open.push(...labels.flatMap(({ label: name }) => byLabel.get(name) ?? []), ...(next ? [index + 1] : []));
  }
  return steps
    .filter(({ index }) => !reached.has(index) && (index === 0 || reached.has(index - 1)))
    .map(({ index, label: name }) => ({
      path: [index],
      message: 'nothing leads to this step',
      hint:
        name === undefined
          ? 'give it a label and name that in another step, or remove it'
          : `no step goes to "${name}"`,
    }));
}

/** Where a flow goes back, over steps of which none waits for anything: a circle, once it has begun, has no end. */
function circles(steps: readonly ReadStep[]): readonly FlowProblem[] {
  const byLabel = byLabels(steps);
  const atOnce = (index: number): boolean => {
    const { action, keys } = steps[index] ?? {};
    return action?.goesOnAtOnce?.(keys) ?? false;
  };
  const ways = steps.map(({ action, keys, index }) => {
    const { labels, next } = exitsOfStep(action, keys);
    const named = labels.map(({ path, label: name }) => ({ path, to: byLabel.get(name) ?? -1 }));
    return atOnce(index) ? [...named, ...(next ? [{ path: [], to: index + 1 }] : [])] : [];
  });
  return steps.flatMap(({ index }) =>
    (ways[index] ?? [])
      .filter(({ to }) => to <= index && leadsTo(to, index, ways))
      .slice(0, 1)
      .map(({ path, to }) => ({
        path: [index, ...path],
        message: `the flow runs in a circle from here to step ${to + 1}, and no step of it waits for anything`,
        hint: 'add a sleep, or atMost to a goto',
      })),
  );
}

function leadsTo(from: number, wanted: number, ways: readonly (readonly { readonly to: number }[])[]): boolean {
  const seen = new Set<number>();
  const open = [from];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === wanted) return true;
    if (seen.has(at)) continue;
    seen.add(at);
    open.push(...(ways[at] ?? []).map(({ to }) => to));
  }
  return false;
}
