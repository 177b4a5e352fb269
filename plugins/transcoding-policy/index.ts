// Transcoding policy: which codecs the outside may speak, by trunk and subscriber. Inside is always PCMU.
import { definePlugin, directory, pluginApiVersion, transcodingPolicies, z } from '../../core/plugin-api.js';
import { checkPolicies } from './check-policies.js';
import { codecNames, policyTable } from './policy-table.js';

const codecs = z.array(z.enum(codecNames)).min(1);

export default definePlugin({
  name: 'transcoding-policy',
  apiVersion: pluginApiVersion,
  config: z
    .strictObject({
      default: codecs
        .default(['opus', 'G722', 'PCMA', 'PCMU'])
        .describe('Codecs of every leg that nothing below names; best first.'),
      trunks: z.record(z.string(), codecs).default({}).describe('Codecs by trunk.'),
      subscribers: z.record(z.string(), codecs).default({}).describe('Codecs by subscriber.'),
    })
    .describe('Which codecs the outside may speak. Inside is always PCMU.'),
  needs: [directory],
  provides: [transcodingPolicies],
  check: checkPolicies,
  setup({ config, provide }) {
    provide(transcodingPolicies, policyTable(config));
  },
});
