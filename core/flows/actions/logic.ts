// Where a flow goes, and what it remembers: goto, branch, condition, variable_set.
import { z } from 'zod';
import { defineAction } from '../flow-facts.js';
import { exitsOf, label, text, variableName, way } from './parts.js';

export const goto = defineAction({
  name: 'goto',
  summary: 'Goes on at a label; with `atMost` only so often in one call.',
  step: z.strictObject({
    to: label.describe('Where to go on.'),
    atMost: z.int().min(1).max(1000).optional().describe('How often in one call.'),
    otherwise: label.optional().describe('Where to go on after that; default: the step below.'),
  }),
  exits: ({ to, atMost, otherwise }) => ({
    labels: [
      { path: ['to'], label: to },
      ...(otherwise === undefined ? [] : [{ path: ['otherwise'], label: otherwise }]),
    ],
    next: atMost !== undefined && otherwise === undefined,
  }),
  check: ({ atMost, otherwise }) =>
    atMost === undefined && otherwise !== undefined
      ? [{ path: ['otherwise'], message: 'never comes without atMost' }]
      : [],
  goesOnAtOnce: ({ atMost }) => atMost === undefined,
  begin: ({ to, atMost = Infinity, otherwise }, { visits }) => ({
    go: visits <= atMost ? { label: to } : way(otherwise),
  }),
});

export const branch = defineAction({
  name: 'branch',
  summary: 'Goes on where the case says that a text equals.',
  step: z.strictObject({
    on: text.describe('The text, with variables: `${source}`.'),
    cases: z.record(z.string(), label).describe('Values, and the label where the flow goes on.'),
    otherwise: label.optional().describe('Where to go on with any other; default: the step below.'),
  }),
  exits: ({ cases, otherwise }) => ({
    labels: [
      ...Object.entries(cases).map(([value, name]) => ({ path: ['cases', value], label: name })),
      ...(otherwise === undefined ? [] : [{ path: ['otherwise'], label: otherwise }]),
    ],
    next: otherwise === undefined,
  }),
  goesOnAtOnce: () => true,
  begin({ on, cases, otherwise }, scene) {
    const value = scene.text(on);
    return { go: way(Object.hasOwn(cases, value) ? cases[value] : otherwise) };
  },
});

export const condition = defineAction({
  name: 'condition',
  summary: 'Goes on at one label or another: all that is said of the text must hold.',
  step: z.strictObject({
    if: text.describe('The text, with variables: `${time}`.'),
    is: text.optional().describe('It equals this.'),
    in: z.array(text).min(1).optional().describe('It equals one of these.'),
    from: text.optional().describe('It is this or more: as numbers where both are, else as text.'),
    to: text.optional().describe('It is this or less.'),
    then: label.optional().describe('Where to go on when it holds; default: the step below.'),
    else: label.optional().describe('Where to go on when it does not; default: the step below.'),
  }),
  exits: step => exitsOf(step, ['then', 'else']),
  check(step) {
    const says = step.is ?? step.in ?? step.from ?? step.to;
    if (says === undefined) return [{ path: [], message: 'says nothing of the text: add is, in, from or to' }];
    return step.then === undefined && step.else === undefined
      ? [{ path: [], message: 'goes nowhere else: add then or else' }]
      : [];
  },
  goesOnAtOnce: () => true,
  begin(step, scene) {
    const value = scene.text(step.if);
    const holds =
      (step.is === undefined || value === scene.text(step.is)) &&
      (step.in?.some(one => value === scene.text(one)) ?? true) &&
      (step.from === undefined || compare(value, scene.text(step.from)) >= 0) &&
      (step.to === undefined || compare(value, scene.text(step.to)) <= 0);
    return { go: way(holds ? step.then : step.else) };
  },
});

function compare(a: string, b: string): number {
  const [left, right] = [Number(a), Number(b)];
  if (a !== '' && b !== '' && !Number.isNaN(left) && !Number.isNaN(right)) return left - right;
  return a < b ? -1 : a > b ? 1 : 0;
}

export const variableSet = defineAction({
  name: 'variable_set',
  summary: 'Sets variables.',
  step: z.strictObject({
    set: z.record(variableName, text).describe('Names, and their texts with variables.'),
  }),
  goesOnAtOnce: () => true,
  begin: ({ set }, scene) => ({
    go: 'next',
    variables: Object.fromEntries(Object.entries(set).map(([name, value]) => [name, scene.text(value)])),
  }),
});
