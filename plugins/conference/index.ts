// Conference: every call is a conference; this says where it is mixed, how rooms are kept, and who is what in them.
import { definePlugin, pluginApiVersion, z } from '../../core/plugin-api.js';
import { checkRooms } from './check-rooms.js';
import { placeConference } from './place-conference.js';
import { rooms } from './room-config.js';
import { compileRooms, enterRoom, policyOf } from './room-policies.js';

export default definePlugin({
  name: 'conference',
  apiVersion: pluginApiVersion,
  config: z
    .strictObject({
      twoParty: z
        .enum(['call-node', 'conference-farm'])
        .default('call-node')
        .describe('Where two-party calls are mixed while both parties sit on one call node.'),
      rooms,
    })
    .describe('Where each conference, also that of a plain call, is mixed, and how rooms are kept.'),
  check: (config, directory) => checkRooms(config.rooms, directory),
  setup({ config, hook }) {
    const compiled = compileRooms(config.rooms);
    hook('place', conference => placeConference(conference, config.twoParty));
    hook('room', ({ room }) => policyOf(room, compiled));
    hook('enter', entry => enterRoom(entry, compiled));
  },
});
