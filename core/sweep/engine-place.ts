// RTPEngine sessions without a leg: a BYE that nobody answered leaves one, as the edge deletes only on answers.
import type { MediaEngines } from '../ports/media.js';
import type { SweptPlace } from './sweep.js';

/** Sessions asked for per look. */
const mostSessions = 10_000;

/** `callIds`: SIP Call-IDs of every leg there is; undefined while one of them is not known yet. */
export function enginePlace(
  node: string,
  media: MediaEngines,
  callIds: () => ReadonlySet<string> | undefined,
): SweptPlace {
  return {
    name: node,
    everyMs: 5_000,
    look: async () => {
      const sessions = await media.list(node, mostSessions);
      // After the list: a call that has begun meanwhile is known.
      const known = callIds();
      const strays = known ? sessions.filter(callId => !known.has(callId)) : [];
      return strays.map(callId => ({
        id: callId,
        what: `the media session of ${callId} on ${node}, which no leg has`,
        fields: { node, sipCallId: callId },
        end: async () => !callIds()?.has(callId) && media.delete(node, callId),
      }));
    },
  };
}
