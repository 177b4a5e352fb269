// Sets and removes headers of INVITEs, by the trunk that they go to.
import { definePlugin, headerName, z } from 'holdfast/plugin-api';
import { fillIn, unknownIn } from './template.js';

const template = z.string().refine(text => unknownIn(text).length === 0, {
  error: ({ input }) =>
    `there is no ${unknownIn(String(input)).join(', ')}: {callerNumber}, {callerName}, {dialled}, {header NAME}`,
});
const rule = z.strictObject({
  callerNumber: template.optional(),
  set: z.record(headerName, template).default({}),
  remove: z.array(headerName).default([]),
});

export default definePlugin({
  name: 'header-rewriter',
  apiVersion: 2,
  config: z.strictObject({ trunks: z.record(z.string(), rule) }),
  check({ trunks }, directory) {
    const unknown = Object.keys(trunks).filter(name => !directory.trunks.some(trunk => trunk.name === name));
    return unknown.map(name => ({ path: ['trunks', name], message: `there is no trunk "${name}"` }));
  },
  setup({ config, hook }) {
    hook('dial', leg => {
      const rule = config.trunks[leg.target.trunk ?? ''];
      if (rule === undefined) return undefined;
      const set = Object.entries(rule.set).map(([name, text]) => [name, fillIn(text, leg)]);
      return {
        headers: { set: Object.fromEntries(set), remove: rule.remove },
        ...(rule.callerNumber === undefined ? {} : { callerNumber: fillIn(rule.callerNumber, leg) }),
      };
    });
  },
});
