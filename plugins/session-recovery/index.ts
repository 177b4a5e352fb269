// Session recovery: how the sessions of a dead Asterisk are re-created on another one, and in which order.
import { definePlugin, pluginApiVersion, recoveryPolicy } from '../../core/plugin-api.js';
import { checkRecovery, policyOf, recoveryConfig } from './recovery-config.js';

export default definePlugin({
  name: 'session-recovery',
  apiVersion: pluginApiVersion,
  config: recoveryConfig,
  provides: [recoveryPolicy],
  check: checkRecovery,
  setup({ config, provide }) {
    provide(recoveryPolicy, policyOf(config));
  },
});
