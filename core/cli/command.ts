// What a command is, and what it is given to run.
import { resolve } from 'node:path';
import { callDaemon, type CallOptions } from '../control/control-client.js';
import type { OperationName, ParamsOf, ResultOf } from '../control/operations.js';
import { HoldfastError } from '../errors.js';
import { defaultStateFolder, defaultSubnet, serviceStateFolder, statePaths } from '../host/state-folder.js';
import type { CliIo } from './cli-io.js';
import type { Composition } from './composition.js';
import { readSupervisorNote } from './supervisor-note.js';
import { terminalStyle, type Style } from './style.js';

/** The process's exit status. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** A word of the command line (a flag in cac's notation: `--out <folder>`), and what it is for. */
export type Described = readonly [word: string, description: string];

export interface Command {
  /** With its arguments, in cac's notation: `drain <node>`. */
  readonly usage: string;
  readonly summary: string;
  /** What its first argument may be; checked before `run`. */
  readonly actions?: readonly Described[];
  /** What comes after an action, where it is something else than in `usage`: in the same words, or words to choose from. */
  readonly afterAction?: Readonly<Record<string, readonly (string | readonly Described[])[]>>;
  readonly options?: readonly Described[];
  readonly examples?: readonly string[];
  /** Beside 0, 1 and 2, which every command has. */
  readonly exitCodes?: readonly (readonly [code: number, meaning: string])[];
  /** Started by Holdfast itself, not shown in the help. */
  readonly internal?: boolean;
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/** `drain` of `drain <node>`. */
export function commandName(text: string): string {
  return text.split(' ')[0] ?? '';
}

export type OptionValues = Readonly<Record<string, unknown>>;

/** One run of one command: its options, and the farm it is about. */
export class CommandContext {
  readonly io: CliIo;
  readonly style: Style;
  readonly json: boolean;
  readonly #options: OptionValues;
  readonly #loadComposition: () => Promise<Composition>;

  constructor(io: CliIo, options: OptionValues, loadComposition: () => Promise<Composition>) {
    this.io = io;
    this.json = options['json'] === true;
    this.style = terminalStyle(io.colours && !this.json);
    this.#options = options;
    this.#loadComposition = loadComposition;
  }

  composition(): Promise<Composition> {
    return this.#loadComposition();
  }

  flag(name: string): boolean {
    return this.#options[name] === true;
  }

  /** An option's text, or undefined where it was not given. Throws USAGE where it was given twice or without a value. */
  text(name: string): string | undefined {
    const value = this.#options[name];
    if (value === undefined) return undefined;
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    throw usage(Array.isArray(value) ? `--${name} was given more than once` : `--${name} needs a value`);
  }

  /** A whole number of at least 1. Throws USAGE. */
  count(name: string, fallback: number, most: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw usage(`--${name} ${text}: a whole number from 1 to ${most} is needed`);
  }

  /** The state folder of the farm that the command is about: the one named, else the service's, else the default. */
  get stateFolder(): string {
    const [state, subnet] = [this.text('state'), this.text('subnet')];
    if (state !== undefined) return resolve(state);
    if (subnet !== undefined) return defaultStateFolder(subnet);
    return serviceStateFolder() ?? defaultStateFolder(defaultSubnet);
  }

  /** The subnet of that farm: as given, as it was started with, or the default; undefined for a foreign state folder. */
  async subnet(): Promise<string | undefined> {
    const known = this.text('subnet') ?? (await readSupervisorNote(this.stateFolder))?.subnet;
    return known ?? (this.text('state') === undefined ? defaultSubnet : undefined);
  }

  /** Asks the farm's daemon; its progress lines are shown unless JSON is wanted. */
  ask<Op extends OperationName>(op: Op, params: ParamsOf<Op>, options: CallOptions = {}): Promise<ResultOf<Op>> {
    const progress = (line: string): void => this.progress(line);
    return callDaemon(statePaths(this.stateFolder).controlSocket, op, params, { progress, ...options });
  }

  progress(line: string): void {
    if (!this.json) this.io.out(`${this.style('dim', line)}\n`);
  }

  /** The result as JSON where that is wanted, else as text. */
  show(result: unknown, text: () => string): void {
    this.io.out(this.json ? `${JSON.stringify(result, null, 2)}\n` : text());
  }
}

export function usage(message: string, remedy = 'see: holdfast --help'): HoldfastError {
  return new HoldfastError('USAGE', message, { remedy });
}
