// The log line of one session of a dead node: when what happened to it, in ms since the node's death. Pure.
import type { LegOutcome, LegRecovery } from './leg-recovery.js';
import type { NodeDeath } from './recovery-ports.js';
import type { LostSession } from './recovery-record.js';

export interface SessionLine {
  readonly level: 'info' | 'warn';
  readonly fields: object;
  readonly message: string;
}

export interface SessionFacts {
  readonly session: LostSession;
  readonly death: NodeDeath;
  /** Where it is now, or was last tried. */
  readonly node: string | undefined;
  readonly leg: Pick<LegRecovery, 'invitedMs' | 'attempts' | 'refusals' | 'lastCseq'>;
  readonly outcome: LegOutcome;
  /** When it was up again, or given up; ms since 1970. */
  readonly upMs: number;
}

export function sessionLine({ session, death, node, leg, outcome, upMs }: SessionFacts): SessionLine {
  const since = (ms: number): number => Math.round(ms - death.firstSignMs);
  const fields = {
    ...{ call: session.callId, leg: session.legId, sipCallId: session.dialog?.callId, epoch: session.epoch },
    ...{ from: death.node, node, declared: since(death.declaredMs) },
    ...{ invited: leg.invitedMs ? since(leg.invitedMs) : null, done: since(upMs), attempts: leg.attempts },
    ...(leg.refusals.length === 0 ? {} : { refusals: leg.refusals }),
  };
  const what = `session of ${session.legId} is`;
  return outcome.result === 'recovered'
    ? {
        level: 'info',
        fields,
        message: `${what} recovered on ${node ?? '?'} ${fields.done} ms after ${death.node} died`,
      }
    : {
        level: 'warn',
        fields: { ...fields, reason: outcome.reason },
        message: `${what} not recovered: ${outcome.reason}`,
      };
}
