// The CSV files that a routing config names.
import { readFileSync } from 'node:fs';
import { HoldfastError, messageOf, type Directory, type PluginConfigProblem } from '../../core/plugin-api.js';
import { readPrefixTable, type PrefixTable } from './prefix-table.js';
import type { RoutingConfig } from './route-config.js';

/** By the name that the config has for it. */
export type PrefixTables = ReadonlyMap<string, PrefixTable>;

/** Of one file; more of the same kind would only hide them. */
const mostTold = 10;

interface Named {
  readonly file: string;
  /** Where the config names it first. */
  readonly path: readonly (string | number)[];
}

function named({ routes }: RoutingConfig): readonly Named[] {
  const all = routes.flatMap(({ to = [] }, i) =>
    to.flatMap(({ table }, j) => (table === undefined ? [] : [{ file: table, path: ['routes', i, 'to', j, 'table'] }])),
  );
  return all.filter(({ file }, i) => all.findIndex(one => one.file === file) === i);
}

/** What is wrong in the files, each line by its number. */
export function checkTables(config: RoutingConfig, directory: Directory): readonly PluginConfigProblem[] {
  return named(config).flatMap(({ file, path }) => {
    try {
      const { problems } = read(file, directory);
      const told = problems
        .slice(0, mostTold)
        .map(({ line, message }) => ({ path, message: `${file}:${line}: ${message}` }));
      const rest = problems.length - told.length;
      return rest > 0 ? [...told, { path, message: `${file}: ${rest} more lines are wrong` }] : told;
    } catch (error) {
      return [{ path, message: `${file} cannot be read: ${messageOf(error)}` }];
    }
  });
}

/** Throws CONFIG_INVALID: a file may have changed since it was checked. */
export function loadTables(config: RoutingConfig, directory: Directory): PrefixTables {
  return new Map(
    named(config).map(({ file }) => {
      const { table, problems } = read(file, directory);
      const [first] = problems;
      if (first) throw new HoldfastError('CONFIG_INVALID', `${file}:${first.line}: ${first.message}`);
      return [file, table];
    }),
  );
}

function read(file: string, directory: Directory): ReturnType<typeof readPrefixTable> {
  const trunks = new Set(directory.trunks.map(({ name }) => name));
  return readPrefixTable(readFileSync(directory.file(file), 'utf8'), name => trunks.has(name));
}
