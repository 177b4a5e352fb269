// An example plugin to copy: bars numbers with 603, answers one with the echo test, and greets every call in the log.
import { definePlugin, z } from 'holdfast/plugin-api';

export default definePlugin({
  // The key of its block in the config file.
  name: 'hello-plugin',
  // The version of the plugin API that it was written for.
  apiVersion: 2,

  // Its block, strictly: an unknown key is reported with file, line and column. Editors show what describe() says.
  config: z.strictObject({
    barred: z.array(z.string()).default([]).describe('Numbers that are refused with 603 Decline.'),
    echo: z.string().optional().describe('The number that is answered with an echo.'),
    greeting: z.string().default('hello').describe('What the log says to a caller.'),
  }),

  setup({ config, log, hook, on, onStop }) {
    // A hook is a question. Answer it, or return undefined for "not mine": then the next plugin is asked.
    hook('route', call => {
      if (config.barred.includes(call.dialled)) return { reject: 603, reason: `${call.dialled} is barred` };
      if (call.dialled === config.echo) return { flow: [{ action: 'echo' }], routeName: 'hello' };
      return undefined;
    });

    // An event is a fact, told after it happened. Listeners are removed by the host when the plugin stops.
    on('call.started', call => log.info({ call: call.id }, `${config.greeting}, ${call.callerNumber}`));
    on('call.ended', record => log.info({ call: record.callId }, `goodbye after ${record.durationSeconds} s`));

    // Whatever you open, close here.
    onStop(() => log.info({}, 'hello-plugin stopped'));
  },
});
