// Conference: every call is a conference, and this says where it is mixed.
import { definePlugin, pluginApiVersion, z } from '../../core/plugin-api.js';
import { placeConference } from './place-conference.js';

export default definePlugin({
  name: 'conference',
  apiVersion: pluginApiVersion,
  config: z
    .strictObject({
      twoParty: z
        .enum(['call-node', 'conference-farm'])
        .default('call-node')
        .describe('Where two-party calls are mixed while both parties sit on one call node.'),
    })
    .describe('Where each conference, also that of a plain call, is mixed.'),
  setup({ config, hook }) {
    hook('place', conference => placeConference(conference, config.twoParty));
  },
});
