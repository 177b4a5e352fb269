// `holdfast man`: the manual page, from what `--help` shows.
import { exitCodes, usage, type Command } from '../command.js';
import { formatManPage } from '../man-page.js';
import { programVersion } from '../version.js';

export function manCommand(commands: () => readonly Command[]): Command {
  return {
    usage: 'man',
    summary: 'Print the manual page',
    examples: ['holdfast man | man -l -', 'holdfast man > holdfast.8'],
    async run(_args, context) {
      context.io.out(formatManPage(commands(), programVersion(), pageDate(context.io.env)));
      return exitCodes.done;
    },
  };
}

/** A package that is built twice from the same sources is to be the same (reproducible-builds.org). Throws USAGE. */
function pageDate({ SOURCE_DATE_EPOCH: epoch }: Readonly<Record<string, string | undefined>>): Date {
  if (epoch === undefined) return new Date();
  if (/^\d{1,11}$/.test(epoch)) return new Date(Number(epoch) * 1000);
  throw usage(`SOURCE_DATE_EPOCH=${epoch} is no time in seconds`, 'set it to seconds since 1970, or unset it');
}
