// What can be completed on a command line, from the commands' own descriptions. Pure; the shells' scripts are written from it.
import { commandName, type Command, type Described } from './command.js';
import { globalOptions } from './help.js';

/** What a value can be completed with: files, folders, what the running farm has, or nothing. */
export type ValueKind = 'file' | 'folder' | 'node' | 'call' | 'room' | 'participant' | 'free';

export interface CompletedOption {
  /** `-h` and `--help`. */
  readonly flags: readonly string[];
  readonly summary: string;
  /** Of its value; undefined where it takes none. */
  readonly value: ValueKind | undefined;
}

/** Words to choose from, or a kind of value. */
export type Parameter = ValueKind | readonly Described[];

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** In their order. */
  readonly parameters: readonly Parameter[];
  /** What they are after some actions. */
  readonly afterAction: Readonly<Record<string, readonly Parameter[]>>;
}

export interface Completion {
  readonly commands: readonly CompletedCommand[];
  readonly globals: readonly CompletedOption[];
}

export function describeCompletion(commands: readonly Command[]): Completion {
  return {
    commands: commands.filter(({ internal }) => internal !== true).map(describeCommand),
    globals: globalOptions.map(describeOption),
  };
}

/** What stands between brackets in the usage of a command or an option. */
const kinds: ReadonlyMap<string, ValueKind> = new Map([
  ['config', 'file'],
  ['file', 'file'],
  ['folder', 'folder'],
  ['node', 'node'],
  ['id', 'call'],
  ['room', 'room'],
  ['participant', 'participant'],
]);

function describeCommand({ usage, summary, options = [], actions, afterAction = {} }: Command): CompletedCommand {
  const [first, ...rest] = [...usage.matchAll(/[<[]([a-z]+)[\]>]/g)].map(([, word = '']) => kindOf(word));
  const parameters = first === undefined ? [] : [actions ?? first, ...rest];
  const after = Object.entries(afterAction).map(([action, words]): [string, Parameter[]] => [
    action,
    [actions ?? 'free', ...words.map(word => (typeof word === 'string' ? kindOf(word) : word))],
  ]);
  return {
    ...{ name: commandName(usage), summary, options: options.map(describeOption) },
    ...{ parameters, afterAction: Object.fromEntries(after) },
  };
}

function kindOf(word: string): ValueKind {
  return kinds.get(word) ?? 'free';
}

function describeOption([flag, summary]: Described): CompletedOption {
  const word = /<([a-z]+)>/.exec(flag)?.[1];
  const value = word === undefined ? undefined : kindOf(word);
  return { flags: flag.match(/--?[a-z]+(-[a-z]+)*/g) ?? [], summary, value };
}
