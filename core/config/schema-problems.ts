// Turns what zod says about a config into sentences for its writer, each with its place in the file.
import type { ZodType } from 'zod';
import { didYouMean, type ConfigPath, type ConfigProblem } from './config-problem.js';
import type { ConfigSource } from './config-source.js';

type Issue = NonNullable<ReturnType<ZodType['safeParse']>['error']>['issues'][number];

/** Problems of `issues`, which `schema` found in the part of `source` that begins at `base`. */
export function schemaProblems(
  issues: readonly Issue[],
  schema: unknown,
  source: ConfigSource,
  base: ConfigPath = [],
): readonly ConfigProblem[] {
  return issues.flatMap(issue => {
    const path = issue.path.map(step => (typeof step === 'number' ? step : String(step)));
    const at = [...base, ...path];
    if (issue.code === 'invalid_union') {
      const kinds = wantedKinds(issue);
      if (kinds !== undefined) {
        const value = valueAt(source.value, at);
        const message = value === undefined ? 'is missing' : `must be ${kinds.join(' or ')}, is ${kindOf(value)}`;
        return [source.problem(at, message)];
      }
      const inner = bestOption(issue.errors).map((option): Issue => ({
        ...option,
        path: [...issue.path, ...option.path],
      }));
      if (inner.length > 0) return schemaProblems(inner, schema, source, base);
    }
    if (issue.code === 'unrecognized_keys') {
      const known = knownKeys(schema, path);
      return issue.keys.map(key => source.problem([...at, key], 'unknown key', hintFor(key, known), true));
    }
    const value = valueAt(source.value, at);
    const [message, hint] = sentence(issue, value);
    return [source.problem(at, message, hint, issue.code === 'invalid_key')];
  });
}

function hintFor(key: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined;
  return didYouMean(key, known) ?? `known here: ${known.join(', ')}`;
}

function sentence(issue: Issue, value: unknown): readonly [message: string, hint?: string] {
  if (issue.code === 'invalid_type') {
    if (value === undefined) return ['is missing'];
    return [`must be ${kindNames[issue.expected] ?? issue.expected}, is ${kindOf(value)}`];
  }
  if (issue.code === 'invalid_value') {
    const values = issue.values.map(String);
    const hint = typeof value === 'string' ? didYouMean(value, values) : undefined;
    const message = value === undefined ? 'is missing' : `must be one of ${values.join(', ')}`;
    return hint === undefined ? [message] : [message, hint];
  }
  if (issue.code === 'too_small' || issue.code === 'too_big') {
    const [word, limit] = issue.code === 'too_small' ? ['at least', issue.minimum] : ['at most', issue.maximum];
    const unit = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' entries' : '';
    return [`must ${unit === '' ? 'be' : 'have'} ${word} ${limit}${unit}`];
  }
  if (issue.code === 'invalid_key') return [issue.issues[0]?.message ?? issue.message];
  return [issue.message];
}

const kindNames: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map (key: value)',
  record: 'a map (key: value)',
  array: 'a list',
};

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number' && !Number.isInteger(value)) return 'a number with a fraction';
  return kindNames[typeof value] ?? typeof value;
}

/** The union's option that came closest: what is written is of its kind, and has most of its keys. */
function bestOption(options: readonly (readonly Issue[])[]): readonly Issue[] {
  return [...options].sort((a, b) => distance(a) - distance(b))[0] ?? [];
}

/** More than any number of keys. */
const otherKind = 1000;

function distance(option: readonly Issue[]): number {
  return option.reduce((sum, issue) => sum + distanceOf(issue), 0);
}

function distanceOf(issue: Issue): number {
  if (issue.code === 'invalid_union') return Math.min(otherKind, ...issue.errors.map(distance));
  if (issue.code === 'unrecognized_keys') return issue.keys.length;
  if (issue.path.length > 0) return 1;
  // Of one word that is the only right one, and a pattern, the pattern's message says more.
  return issue.code === 'invalid_type' ? otherKind : issue.code === 'invalid_value' ? 2 : 1;
}

/** What the value could be, where it is of no kind that any option takes. */
function wantedKinds(union: Issue): readonly string[] | undefined {
  if (union.code !== 'invalid_union') return undefined;
  const kinds = union.errors.map(([first, ...more]) => {
    if (first?.path.length !== 0 || more.length > 0) return undefined;
    if (first.code === 'invalid_type') return [kindNames[first.expected] ?? first.expected];
    return wantedKinds(first);
  });
  return kinds.some(one => one === undefined) ? undefined : [...new Set(kinds.flatMap(one => one ?? []))];
}

function valueAt(value: unknown, path: ConfigPath): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<string | number, unknown> | null | undefined)?.[step], value);
}

/** The part of a zod schema's definition that leads to the keys of its objects. */
interface SchemaLike {
  readonly def?: {
    readonly type: string;
    readonly shape?: Readonly<Record<string, SchemaLike>>;
    readonly innerType?: SchemaLike;
    readonly in?: SchemaLike;
    readonly valueType?: SchemaLike;
    readonly element?: SchemaLike;
    readonly options?: readonly SchemaLike[];
  };
}

/** Keys that `schema` knows at `path`. */
function knownKeys(schema: unknown, path: ConfigPath): readonly string[] {
  const def = (schema as SchemaLike | undefined)?.def;
  if (def === undefined) return [];
  const inner = def.innerType ?? def.in;
  if (inner !== undefined) return knownKeys(inner, path);
  if (def.options !== undefined) return def.options.flatMap(option => knownKeys(option, path));
  const [step, ...rest] = path;
  if (step === undefined) return Object.keys(def.shape ?? {});
  return knownKeys(def.shape?.[step] ?? def.valueType ?? def.element, rest);
}
