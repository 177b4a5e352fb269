// A plugin for tests: by the number that was dialled it says what becomes of a call when its node dies.
import { definePlugin, pluginApiVersion, z } from '../../core/plugin-api.js';

export default definePlugin({
  name: 'recovery-by-number',
  apiVersion: pluginApiVersion,
  config: z.strictObject({
    skip: z.record(z.string(), z.string()).describe('Number → why its calls are not recovered.'),
    node: z.record(z.string(), z.string()).describe('Number → where its calls are recovered.'),
  }),
  setup({ config, hook }) {
    hook('recover', ({ dialled }) => {
      const [skip, node] = [config.skip[dialled], config.node[dialled]];
      if (skip !== undefined) return { skip };
      return node === undefined ? undefined : { node };
    });
  },
});
