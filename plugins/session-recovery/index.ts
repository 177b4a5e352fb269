// Session recovery: hears of nodes that die, and says so with what it means for their calls.
import { definePlugin, pluginApiVersion, z } from '../../core/plugin-api.js';

export default definePlugin({
  name: 'session-recovery',
  apiVersion: pluginApiVersion,
  config: z.strictObject({}),
  setup({ log, on }) {
    on('node.changed', ({ node, from, to, reason }) => {
      if (to === 'dead') log.warn({ node, from, reason }, 'node died: its calls end, new ones go to the others');
      else if (from === 'dead') log.info({ node, to, reason }, 'node is back');
    });
  },
});
