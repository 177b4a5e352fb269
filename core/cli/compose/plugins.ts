// The plugins: the services they are given, and those that a reload tries before it takes them.
import type { HoldfastConfig } from '../../config/holdfast-config.js';
import { edgeSettings } from '../../farm/edge-settings.js';
import type { EdgeSettings } from '../../farm/edge-sync.js';
import type { TrialSettings } from '../../farm/reload-planner.js';
import { httpExchange } from '../../flows/http-exchange.js';
import { silentLogger } from '../../log.js';
import { bindings, callControl, roomControl, transcodingPolicies, trunkGateways } from '../../plugin-api.js';
import { PluginHost } from '../../plugins/plugin-host.js';
import type { Given, Make } from './graph.js';
import { tokens } from './tokens.js';

export function wirePlugins({ log }: Given, make: Make): void {
  make(tokens.plugins, get => {
    const services = new Map<string, unknown>([
      [bindings.name, get(tokens.bindings)],
      [roomControl.name, get(tokens.rooms)],
      [callControl.name, get(tokens.callOperations)],
      [trunkGateways.name, get(tokens.gateways)],
    ]);
    return new PluginHost({
      log,
      services,
      flowServices: {
        exchange: httpExchange(),
        notify: (name, notice) => get(tokens.notices).add(name, notice),
        recorder: {
          start: async (callId, wish) => (await get(tokens.callRecordings).start(callId, wish)).id,
          stop: callId => get(tokens.callRecordings).stop(callId),
        },
        admit: (call, steps) => get(tokens.admission).connected(call, steps),
      },
    });
  });
}

/** What the edge is to be told under this config, as these plugins see it. */
export function settingsUnder(config: HoldfastConfig, plugins: PluginHost): EdgeSettings {
  return edgeSettings(config, plugins.service(transcodingPolicies), plugins.answers('refer'));
}

/** Plugins beside those that run, as a reload has them for a moment too; these are asked nothing and told nothing. */
export async function tryPlugins(
  running: HoldfastConfig,
  next: HoldfastConfig,
  plugins: PluginHost,
): Promise<TrialSettings> {
  const trial = new PluginHost({ log: silentLogger });
  await trial.start(next);
  try {
    const providers = [plugins, trial].map(host => host.providerOf(transcodingPolicies));
    return {
      settings: settingsUnder(next, trial),
      underNew: settingsUnder(running, trial),
      providers: providers.filter(name => name !== undefined),
    };
  } finally {
    await trial.stop();
  }
}
