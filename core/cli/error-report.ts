// How an error is told on the command line: code, place, remedy.
import { toErrorShape } from '../control/messages.js';
import { HoldfastError, messageOf } from '../errors.js';
import { printable } from './table.js';
import type { Style } from './style.js';

export function formatError(error: unknown, style: Style): string {
  if (!HoldfastError.is(error)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
    return `${style('red', 'error')}: this should not have happened: ${stack}\n`;
  }
  const [first = '', ...rest] = error.message.split('\n').map(printable);
  const lines = [`${style('red', 'error')} ${style('bold', error.code)}: ${first}`, ...rest];
  if (error.remedy !== undefined) lines.push(`${style('cyan', 'what to do')}: ${printable(error.remedy)}`);
  return `${lines.join('\n')}\n`;
}

/** The same for scripts: one JSON object. */
export function formatErrorJson(error: unknown): string {
  return `${JSON.stringify({ error: toErrorShape(error) })}\n`;
}
