// `up` in the foreground: shows the daemon's log until Ctrl-C, asks once while calls are up, then brings the farm down.
import { setTimeout as delay } from 'node:timers/promises';
import { exitCodes, type CommandContext } from './command.js';
import type { FarmPlace } from './composition.js';
import { bringDown } from './farm-down.js';
import { farmStatus } from './farm-launch.js';
import { followLog, formatLogLine } from './log-follower.js';
import { supervisorOf } from './supervisor-note.js';

const lookMs = 500;

export async function stayUp(
  place: FarmPlace & { readonly subnet: string },
  logPath: string,
  context: CommandContext,
): Promise<number> {
  context.progress('Ctrl-C brings it down. Its log:');
  const stopFollowing = followLog(logPath, line => {
    const text = context.json ? undefined : formatLogLine(line, context.style);
    if (text !== undefined) context.io.out(`${text}\n`);
  });
  try {
    if (!(await interruptedOrGone(place.stateFolder, context))) {
      context.progress('The farm was brought down.');
      return exitCodes.done;
    }
    const ended = await bringDown(place, line => context.progress(line));
    context.progress(`The farm is down (${ended.length} ended).`);
    return exitCodes.done;
  } finally {
    stopFollowing();
  }
}

/** Resolves to true when the farm is to be brought down, to false when somebody else did it. */
export async function interruptedOrGone(stateFolder: string, context: CommandContext): Promise<boolean> {
  let presses = 0;
  let pressed = new AbortController();
  const release = context.io.onInterrupt(signal => {
    // Only Ctrl-C is a question's matter: a closed terminal and a SIGTERM are answers.
    presses += signal === 'SIGINT' ? 1 : 2;
    pressed.abort();
  });
  try {
    for (;;) {
      await delay(lookMs, undefined, { signal: pressed.signal }).catch(() => undefined);
      if (presses === 0) {
        if (!supervisorOf(stateFolder) && !(await farmStatus(stateFolder))) return false;
        continue;
      }
      if (presses > 1) return true;
      pressed = new AbortController();
      if (await confirmed(stateFolder, context, pressed.signal)) return true;
      // A second Ctrl-C at the question is a yes.
      if (presses > 1) return true;
      presses = 0;
    }
  } finally {
    release();
  }
}

async function confirmed(stateFolder: string, context: CommandContext, signal: AbortSignal): Promise<boolean> {
  const active = await farmStatus(stateFolder).then(
    status => status?.calls.active ?? 0,
    () => 0,
  );
  if (active === 0 || !context.io.interactive) return true;
  const calls = active === 1 ? '1 call is' : `${active} calls are`;
  const answer = await context.io.ask(`\n${calls} up: end ${active === 1 ? 'it' : 'them'}? [y/N] `, signal);
  return answer !== undefined && /^y(es)?$/i.test(answer.trim());
}
