// Least cost routing: an HTTP service says which trunks carry a call, cheapest first.
import { definePlugin, directory, z } from 'holdfast/plugin-api';
import { AnswerCache } from './answer-cache.js';
import { askRates } from './rates.js';
import { targetsOf } from './targets.js';

export default definePlugin({
  name: 'least-cost',
  apiVersion: 2,
  config: z.strictObject({
    url: z.url(),
    prefixes: z.array(z.string()).min(1),
    timeoutMs: z.int().min(10).max(1500).default(1000),
    fallback: z.array(z.string()).default([]),
    cacheSeconds: z.int().min(0).default(60),
  }),
  needs: [directory],
  check({ fallback }, { trunks }) {
    const unknown = fallback.filter(name => !has(trunks, name));
    return unknown.map(name => ({
      path: ['fallback', fallback.indexOf(name)],
      message: `there is no trunk "${name}"`,
    }));
  },
  setup({ config, hook, log, use }) {
    const { trunks } = use(directory);
    const answers = new AnswerCache(config.cacheSeconds * 1000);

    hook('route', async (call, signal) => {
      if (!config.prefixes.some(prefix => call.dialled.startsWith(prefix))) return undefined;
      const names = answers.fresh(call.dialled) ?? (await ask(call, signal));
      const targets = targetsOf(names, call.dialled, trunks);
      if (targets.length === 0) return undefined;
      return { routeName: 'least-cost', flow: [{ action: 'connect', strategy: 'in-order', targets }] };
    });

    async function ask({ id, dialled }, signal) {
      try {
        const deadline = AbortSignal.timeout(config.timeoutMs);
        const names = await askRates(config.url, dialled, AbortSignal.any([signal, deadline]));
        for (const name of names) {
          if (!has(trunks, name)) log.warn({ call: id, trunk: name }, 'the rate service names an unknown trunk');
        }
        answers.put(dialled, names);
        return names;
      } catch (error) {
        log.warn({ call: id, error }, 'the rate service did not answer');
        return answers.last(dialled) ?? config.fallback;
      }
    }
  },
});

function has(trunks, name) {
  return trunks.some(trunk => trunk.name === name);
}
