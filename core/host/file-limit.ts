// How many files the servers may open: what an Asterisk runs out of first, long before CPU or memory on a large machine.
import { readFileSync } from 'node:fs';

/** Seen at 3,300 channels of Asterisk 22: two sockets of RTP, and three descriptors for its timer and alerts. */
const filesOfChannel = 5;
/** A call is two channels. Fewer calls than this is a limit that nobody has chosen. */
const fewCalls = 1_000;

/** What to tell the operator, or undefined where the limit is high enough. Node has raised the soft limit to the hard one, and the servers inherit it. */
export function fileLimitWarning(limits = readFileSync('/proc/self/limits', 'utf8')): string | undefined {
  const most = /^Max open files +\S+ +(\d+)/m.exec(limits)?.[1];
  if (most === undefined) return undefined;
  const calls = Math.floor(Number(most) / filesOfChannel / 2);
  if (calls >= fewCalls) return undefined;
  return (
    `a process may open ${most} files here, which an Asterisk has used up with about ${calls} calls; ` +
    'raise the hard limit (ulimit -Hn, or LimitNOFILE= of the systemd unit) and start again'
  );
}
