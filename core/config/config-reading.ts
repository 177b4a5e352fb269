// A config file while it is read: its values, and the problems and warnings that were found in them so far.
import type { AddressReading } from './config-address.js';
import type { ConfigPath, ConfigProblem } from './config-problem.js';
import type { ConfigFile } from './config-schema.js';
import type { ConfigSource } from './config-source.js';

export class ConfigReading {
  readonly problems: ConfigProblem[] = [];
  readonly warnings: string[] = [];
  /** What is wrong, and stands in for what it was when it was right. */
  readonly faults: string[] = [];
  /** By path: what files of authorities hold that are right. */
  readonly authorities: Record<string, string> = {};

  constructor(
    readonly source: ConfigSource,
    readonly file: ConfigFile,
    /** The file's, or the one that takes its place. */
    readonly subnet: string,
    /** What a file of authorities held when it was right. */
    readonly lastAuthorities: (file: string) => string | undefined = () => undefined,
  ) {}

  /** Undefined, and a problem more, where the text is not what it should be. */
  read<T>(path: ConfigPath, text: string, read: (text: string, subnet: string) => AddressReading<T>): T | undefined {
    const reading = read(text, this.subnet);
    if ('value' in reading) return reading.value;
    this.problem(path, reading.wrong);
    return undefined;
  }

  problem(path: ConfigPath, message: string, hint?: string): void {
    this.problems.push(this.source.problem(path, message, hint));
  }
}

type Known<T> = { readonly [Key in keyof T]: Exclude<T[Key], undefined> };

/** Without the keys that are undefined: to be left out is to be left out. */
export function known<T extends object>(value: T): Known<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Known<T>;
}
