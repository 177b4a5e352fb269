// Where a conference is mixed: a pure function of the conference and the config.
import type { ConferenceFacts, Placement } from '../../core/plugin-api.js';

/** Rooms, and calls whose participants sit on several nodes, need the conference farm; two on one node may stay there. */
export function placeConference(conference: ConferenceFacts, twoParty: Placement['mixing']): Placement {
  const needsFarm = conference.room !== undefined || new Set(conference.callNodes).size > 1;
  return { mixing: needsFarm ? 'conference-farm' : twoParty };
}
