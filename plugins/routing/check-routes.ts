// What the schema cannot see in a routing config: patterns that are none, names that do not exist, actions too many.
import {
  compileDialPattern,
  checkName,
  checkTarget,
  messageOf,
  type Directory,
  type PluginConfigProblem,
} from '../../core/plugin-api.js';
import type { RouteConfig, RouteTarget, RoutingConfig } from './route-config.js';
import { checkTables } from './table-files.js';

type Path = readonly (string | number)[];

/** Reads the files that it names; opens nothing else. */
export function checkRoutes(config: RoutingConfig, directory: Directory): readonly PluginConfigProblem[] {
  const problems = config.routes.flatMap((route, i) => {
    const path: Path = ['routes', i];
    return [
      ...checkAction(route, path),
      ...checkPatterns(route, path),
      ...checkFrom(route, directory, path),
      ...checkFlow(route, directory, path),
      ...(route.to ?? []).flatMap((target, j) => checkRouteTarget(target, directory, [...path, 'to', j])),
    ];
  });
  return [...checkTables(config, directory), ...problems];
}

function checkRouteTarget(
  { table, ...target }: RouteTarget,
  directory: Directory,
  path: Path,
): readonly PluginConfigProblem[] {
  if (table === undefined) return checkTarget(target, directory, path);
  const other = (['trunk', 'subscriber', 'uri'] as const).find(kind => target[kind] !== undefined);
  return other === undefined ? [] : [{ path, message: `names a table and a ${other}: exactly one` }];
}

const actions = ['to', 'flow', 'room', 'echo', 'reject'] as const;

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

function checkFlow({ flow }: RouteConfig, { flows }: Directory, path: Path): readonly PluginConfigProblem[] {
  if (flow === undefined || flows.includes(flow)) return [];
  const known = flows.length === 0 ? 'there is none' : `there are: ${flows.slice(0, 10).join(', ')}`;
  return [{ path: [...path, 'flow'], message: `there is no flow "${flow}"`, hint: known }];
}
