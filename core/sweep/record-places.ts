// Records of calls that are over: participants of conferences, conferences without any, dialogs of the ledger.
import type { Conferences } from '../conferences/conferences.js';
import type { Stray, SweptPlace } from './sweep.js';

const everyMs = 10_000;

/** `isCall`: whether there is such a call. */
export function conferencePlace(
  conferences: Pick<Conferences, 'list' | 'leave' | 'endIfEmpty'>,
  isCall: (callId: string) => boolean,
): SweptPlace {
  const participant = (conference: string, call: string): Stray => ({
    id: `${conference} ${call}`,
    what: `the place of call ${call}, which is over, in conference ${conference}`,
    fields: { call, conference },
    end: async () => {
      if (isCall(call)) return false;
      await conferences.leave(call, false);
      return true;
    },
  });
  const empty = (conference: string): Stray => ({
    id: conference,
    what: `conference ${conference} without participants`,
    fields: { conference },
    end: () => conferences.endIfEmpty(conference),
  });
  return {
    name: 'conferences',
    everyMs,
    look: () =>
      Promise.resolve(
        conferences.list().flatMap(({ id, participants }) => {
          const callIds = [...new Set(participants.map(one => one.callId))];
          if (callIds.length === 0) return [empty(id)];
          return callIds.filter(callId => !isCall(callId)).map(callId => participant(id, callId));
        }),
      ),
  };
}

/** The ledger's dialogs, which end with a BYE that somebody saw. */
export interface SweptDialogs {
  /** Call-IDs of all that are in the store. */
  callIds(): readonly string[];
  forget(callId: string): Promise<void>;
}

/** `callIds`: of every leg there is; undefined while one of them is not known yet. */
export function dialogPlace(dialogs: SweptDialogs, callIds: () => ReadonlySet<string> | undefined): SweptPlace {
  const stray = (callId: string): Stray => ({
    id: callId,
    what: `the dialog of ${callId} in the ledger, which no leg has`,
    fields: { sipCallId: callId },
    end: async () => {
      if (callIds()?.has(callId) !== false) return false;
      await dialogs.forget(callId);
      return true;
    },
  });
  return {
    name: 'dialogs',
    everyMs,
    look: () => {
      const known = callIds();
      return Promise.resolve(known ? dialogs.callIds().flatMap(id => (known.has(id) ? [] : [stray(id)])) : []);
    },
  };
}
