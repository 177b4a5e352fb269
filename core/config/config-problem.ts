// What is wrong in a config file, with its place, and the error that carries all of it.
import { editDistance } from './edit-distance.js';
import { HoldfastError } from '../errors.js';

/** Keys and indexes from the top of the file to the place. */
export type ConfigPath = readonly (string | number)[];

export interface ConfigProblem {
  readonly file: string;
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
  /** e.g. `trunks.lab.sources[2]`; empty for the file itself. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

/** `file:line:column: path: what is wrong (hint)` */
export function formatProblem({ file, line, column, path, message, hint }: ConfigProblem): string {
  return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}${hint === undefined ? '' : ` (${hint})`}`;
}

/** CONFIG_INVALID with every problem on a line of its own; `details.problems` has them as values. */
export function configInvalid(problems: readonly ConfigProblem[]): HoldfastError {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  return new HoldfastError('CONFIG_INVALID', sorted.map(formatProblem).join('\n'), {
    details: { problems: sorted },
    remedy: 'mend the lines named, then try `holdfast check`',
  });
}

/** `['trunks', 'lab', 'sources', 2]` → `trunks.lab.sources[2]`. */
export function formatPath(path: ConfigPath): string {
  return path
    .map((step, i) =>
      typeof step === 'number'
        ? `[${step}]`
        : `${i === 0 ? '' : '.'}${/[.\s]/.test(step) ? JSON.stringify(step) : step}`,
    )
    .join('');
}

/** `did you mean "…"?` for the closest of the words there are, or undefined where none is close. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  const near = candidates
    .map(candidate => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(
      ({ candidate, distance }) => distance <= Math.max(1, Math.floor(Math.max(word.length, candidate.length) / 3)),
    )
    .sort((a, b) => a.distance - b.distance)[0];
  return near && `did you mean "${near.candidate}"?`;
}
