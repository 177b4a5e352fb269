// What the schema cannot see in a routing config: patterns that are none, names that do not exist, actions too many.
import { messageOf, type Directory, type PluginConfigProblem } from '../../core/plugin-api.js';
import { compileDialPattern } from './dial-pattern.js';
import type { RouteConfig, RoutingConfig, TargetConfig } from './route-config.js';

type Path = readonly (string | number)[];

/** Pure. */
export function checkRoutes({ routes }: RoutingConfig, directory: Directory): readonly PluginConfigProblem[] {
  return routes.flatMap((route, i) => {
    const path: Path = ['routes', i];
    return [
      ...checkAction(route, path),
      ...checkPatterns(route, path),
      ...checkFrom(route, directory, path),
      ...(route.to ?? []).flatMap((target, j) => checkTarget(target, directory, [...path, 'to', j])),
    ];
  });
}

const actions = ['to', 'room', 'echo', 'reject'] as const;

function checkAction(route: RouteConfig, path: Path): readonly PluginConfigProblem[] {
  const chosen = actions.filter(action => route[action] !== undefined);
  if (chosen.length === 1) return [];
  const found = chosen.length === 0 ? 'says nothing to do' : `says ${chosen.join(' and ')}`;
  return [{ path, message: `${found}: exactly one of ${actions.join(', ')}` }];
}

function checkPatterns({ dial }: RouteConfig, path: Path): readonly PluginConfigProblem[] {
  const patterns = Array.isArray(dial) ? dial : [dial];
  return patterns.flatMap((pattern, i) => {
    try {
      compileDialPattern(pattern);
      return [];
    } catch (error) {
      return [{ path: [...path, 'dial', ...(Array.isArray(dial) ? [i] : [])], message: messageOf(error) }];
    }
  });
}

function checkFrom({ from }: RouteConfig, directory: Directory, path: Path): readonly PluginConfigProblem[] {
  return (['trunks', 'subscribers'] as const).flatMap(kind => {
    const names = from?.[kind];
    if (names === undefined || names === 'any') return [];
    return names.flatMap((name, i) => checkName(kind, name, directory, [...path, 'from', kind, i]));
  });
}

function checkTarget(target: TargetConfig, directory: Directory, path: Path): readonly PluginConfigProblem[] {
  const kinds = (['trunk', 'subscriber', 'uri'] as const).filter(kind => target[kind] !== undefined);
  if (kinds.length !== 1) return [{ path, message: 'must name exactly one of trunk, subscriber, uri' }];
  const { trunk, subscriber } = target;
  if (trunk !== undefined) {
    const gateways = directory.trunks.find(({ name }) => name === trunk)?.gateways;
    if (gateways?.length === 0) return [{ path: [...path, 'trunk'], message: `trunk ${trunk} has no gateways` }];
    return checkName('trunks', trunk, directory, [...path, 'trunk']);
  }
  const rewritten = (['number', 'strip', 'prefix'] as const).find(key => target[key] !== undefined);
  if (rewritten !== undefined) return [{ path: [...path, rewritten], message: 'is for a trunk only' }];
  if (subscriber === undefined || subscriber === 'dialled') return [];
  return checkName('subscribers', subscriber, directory, [...path, 'subscriber']);
}

function checkName(
  kind: 'trunks' | 'subscribers',
  name: string,
  directory: Directory,
  path: Path,
): readonly PluginConfigProblem[] {
  const names = directory[kind].map(entry => entry.name);
  if (names.includes(name)) return [];
  const known = names.length === 0 ? 'there is none' : `there are: ${names.slice(0, 10).join(', ')}`;
  return [{ path, message: `there is no ${kind === 'trunks' ? 'trunk' : 'subscriber'} "${name}"`, hint: known }];
}
