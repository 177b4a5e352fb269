// What the schema cannot see in a transcoding config: names that do not exist, codecs listed twice.
import type { Directory, PluginConfigProblem } from '../../core/plugin-api.js';
import type { PolicyConfig } from './policy-table.js';

/** Pure. */
export function checkPolicies(config: PolicyConfig, directory: Directory): readonly PluginConfigProblem[] {
  const unknown = (['trunks', 'subscribers'] as const).flatMap(kind => {
    const names = directory[kind].map(({ name }) => name);
    return Object.keys(config[kind])
      .filter(name => !names.includes(name))
      .map(name => ({
        path: [kind, name],
        message: `there is no ${kind === 'trunks' ? 'trunk' : 'subscriber'} "${name}"`,
        hint: names.length === 0 ? 'there is none' : `there are: ${names.slice(0, 10).join(', ')}`,
      }));
  });
  const lists: readonly (readonly [path: readonly string[], codecs: readonly string[]])[] = [
    [['default'], config.default],
    ...(['trunks', 'subscribers'] as const).flatMap(kind =>
      Object.entries(config[kind]).map(([name, codecs]) => [[kind, name], codecs] as const),
    ),
  ];
  const twice = lists.flatMap(([path, codecs]) =>
    codecs.flatMap((codec, i) =>
      codecs.indexOf(codec) < i ? [{ path: [...path, i], message: `${codec} is there twice` }] : [],
    ),
  );
  return [...unknown, ...twice];
}
