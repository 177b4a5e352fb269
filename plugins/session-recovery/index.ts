// Session recovery: how the sessions of a dead Asterisk are re-created on another one, and in which order.
import { definePlugin, pluginApiVersion, recoveryPolicy } from '../../core/plugin-api.js';
import { HomerSource } from './homer/homer-source.js';
import { checkRecovery, policyOf, recoveryConfig } from './recovery-config.js';

export default definePlugin({
  name: 'session-recovery',
  apiVersion: pluginApiVersion,
  config: recoveryConfig,
  provides: [recoveryPolicy],
  check: checkRecovery,
  setup({ config, log, provide, onStop }) {
    const homer = config.homer && new HomerSource(config.homer, log);
    provide(recoveryPolicy, { ...policyOf(config), traceSource: homer });
    onStop(() => homer?.close());
  },
});
