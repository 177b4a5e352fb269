// What the schema cannot see in a transcoding config: names that do not exist, codecs listed twice.
import type { Directory, PluginConfigProblem } from '../../core/plugin-api.js';
import type { ByLeg, PolicyConfig } from './policy-table.js';

/** Pure. */
export function checkPolicies(config: PolicyConfig, directory: Directory): readonly PluginConfigProblem[] {
  const lists: readonly (readonly [path: readonly string[], codecs: readonly string[]])[] = [
    [['default'], config.default],
    ...kinds.flatMap(kind => Object.entries(config[kind]).map(([name, codecs]) => [[kind, name], codecs] as const)),
  ];
  const twice = lists.flatMap(([path, codecs]) =>
    codecs.flatMap((codec, i) =>
      codecs.indexOf(codec) < i ? [{ path: [...path, i], message: `${codec} is there twice` }] : [],
    ),
  );
  return [...unknownNames(config, [], directory), ...unknownNames(config.srtp, ['srtp'], directory), ...twice];
}

const kinds = ['trunks', 'subscribers'] as const;

function unknownNames(
  byLeg: Pick<ByLeg<unknown>, (typeof kinds)[number]>,
  at: readonly string[],
  directory: Directory,
): readonly PluginConfigProblem[] {
  return kinds.flatMap(kind => {
    const names = directory[kind].map(({ name }) => name);
    return Object.keys(byLeg[kind])
      .filter(name => !names.includes(name))
      .map(name => ({
        path: [...at, kind, name],
        message: `there is no ${kind === 'trunks' ? 'trunk' : 'subscriber'} "${name}"`,
        hint: names.length === 0 ? 'there is none' : `there are: ${names.slice(0, 10).join(', ')}`,
      }));
  });
}
