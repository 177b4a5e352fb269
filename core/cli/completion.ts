// What can be completed on a command line, from the commands' own descriptions. Pure; the shells' scripts are written from it.
import { commandName, type Command, type Described } from './command.js';
import { globalOptions } from './help.js';

/** What a value can be completed with: files, folders, what the running farm has, or nothing. */
export type ValueKind = 'file' | 'folder' | 'node' | 'call' | 'free';

export interface CompletedOption {
  /** `-h` and `--help`. */
  readonly flags: readonly string[];
  readonly summary: string;
  /** Of its value; undefined where it takes none. */
  readonly value: ValueKind | undefined;
}

export interface CompletedCommand {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  /** In their order: words to choose from, or a kind of value. */
  readonly parameters: readonly (ValueKind | readonly Described[])[];
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
]);

function describeCommand({ usage, summary, options = [], actions }: Command): CompletedCommand {
  const [first, ...rest] = [...usage.matchAll(/[<[]([a-z]+)[\]>]/g)].map(([, word = '']) => kinds.get(word) ?? 'free');
  const parameters = first === undefined ? [] : [actions ?? first, ...rest];
  return { name: commandName(usage), summary, options: options.map(describeOption), parameters };
}

function describeOption([flag, summary]: Described): CompletedOption {
  const word = /<([a-z]+)>/.exec(flag)?.[1];
  const value = word === undefined ? undefined : (kinds.get(word) ?? 'free');
  return { flags: flag.match(/--?[a-z]+(-[a-z]+)*/g) ?? [], summary, value };
}
