// Rejects calls to blocked numbers, and callers who call too often.
import { definePlugin, z } from 'holdfast/plugin-api';
import { CallRate } from './call-rate.js';

export default definePlugin({
  name: 'fraud-check',
  apiVersion: 2,
  config: z.strictObject({
    blockedPrefixes: z
      .array(z.string().regex(/^\+?\d+$/, 'must be digits, with or without a + before them'))
      .default([]),
    callsPerMinute: z.int().min(1).default(30),
  }),
  setup({ config, hook, log, onStop }) {
    const rate = new CallRate(config.callsPerMinute);
    const sweeping = setInterval(() => rate.sweep(), 60_000);
    onStop(() => clearInterval(sweeping));

    hook('route', call => {
      const prefix = config.blockedPrefixes.find(one => international(call.dialled).startsWith(one));
      if (prefix !== undefined) return { reject: 603, reason: `${prefix} is blocked` };
      const caller = callerOf(call);
      if (rate.allows(caller)) return undefined;
      log.warn({ call: call.id, caller }, 'more calls a minute than one caller may make');
      return { reject: 603, reason: `${caller} called too often` };
    });
  },
});

/** `00881…` is `+881…`, said otherwise. */
function international(number) {
  return number.replace(/^00/, '+');
}

/** A subscriber is who the edge says it is; of a trunk's caller we know what the trunk says. */
function callerOf({ source, callerNumber }) {
  return source.kind === 'subscriber' ? source.subscriber : `${source.trunk}/${callerNumber}`;
}
