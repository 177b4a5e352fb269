// Transcoding policy: which codecs the outside may speak, and whether encrypted, by trunk and subscriber. Inside is plain PCMU.
import { definePlugin, directory, pluginApiVersion, transcodingPolicies, z } from '../../core/plugin-api.js';
import { checkPolicies } from './check-policies.js';
import { codecNames, policyTable, srtpUses } from './policy-table.js';

const codecs = z.array(z.enum(codecNames)).min(1);
const srtp = z.enum(srtpUses);

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
      srtp: z
        .strictObject({
          default: srtp.default('off').describe('Of every leg that nothing below names.'),
          trunks: z.record(z.string(), srtp).default({}).describe('By trunk.'),
          subscribers: z.record(z.string(), srtp).default({}).describe('By subscriber.'),
        })
        .prefault({})
        .describe('SRTP with keys in SDP: off; optional, where the other side can; required, or there is no call.'),
    })
    .describe('Which codecs the outside may speak, and whether encrypted. Inside is always plain PCMU.'),
  needs: [directory],
  provides: [transcodingPolicies],
  check: checkPolicies,
  setup({ config, provide }) {
    provide(transcodingPolicies, policyTable(config));
  },
});
