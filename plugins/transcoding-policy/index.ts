// Transcoding policy: which codecs the outside may speak, by trunk and subscriber. Inside is always PCMU.
import { definePlugin, directory, pluginApiVersion, transcodingPolicies, z } from '../../core/plugin-api.js';
import { checkPolicies } from './check-policies.js';
import { codecNames, policyTable } from './policy-table.js';

const codecs = z.array(z.enum(codecNames)).min(1);

export default definePlugin({
  name: 'transcoding-policy',
  apiVersion: pluginApiVersion,
  config: z.strictObject({
    /** For every leg that nothing below names; best first. */
    default: codecs.default(['opus', 'G722', 'PCMA', 'PCMU']),
    trunks: z.record(z.string(), codecs).default({}),
    subscribers: z.record(z.string(), codecs).default({}),
  }),
  needs: [directory],
  provides: [transcodingPolicies],
  check: checkPolicies,
  setup({ config, provide }) {
    provide(transcodingPolicies, policyTable(config));
  },
});
