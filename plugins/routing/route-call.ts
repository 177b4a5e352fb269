// Where a call goes: a pure function of the call, the routes in their order, and what is known of trunks and contacts.
import {
  compileDialPattern,
  type DialPattern,
  connectSteps,
  type CallSource,
  type IncomingCall,
  type RouteAnswer,
  type TargetConfig,
  type TargetFacts,
} from '../../core/plugin-api.js';
import type { RouteConfig, RouteTarget } from './route-config.js';
import type { PrefixTables } from './table-files.js';

export interface CompiledRoute {
  readonly name: string;
  readonly patterns: readonly DialPattern[];
  readonly config: RouteConfig;
}

/** What is known of those who may be called, and the tables that the config names. */
export interface RoutingFacts extends TargetFacts {
  readonly tables?: PrefixTables;
}

/** Compiles the patterns once; throws DialPatternError. */
export function compileRoutes(routes: readonly RouteConfig[]): readonly CompiledRoute[] {
  return routes.map(config => {
    const patterns = Array.isArray(config.dial) ? config.dial : [config.dial];
    return { name: config.name ?? patterns.join(' '), patterns: patterns.map(compileDialPattern), config };
  });
}

/** The first route that fits says what to do; undefined where none does. */
export function routeCall(
  call: IncomingCall,
  routes: readonly CompiledRoute[],
  facts: RoutingFacts,
): RouteAnswer | undefined {
  const route = routeOf(call, routes);
  return route && answer(call, route, facts);
}

/** The first route that fits. */
export function routeOf(call: IncomingCall, routes: readonly CompiledRoute[]): CompiledRoute | undefined {
  return routes.find(({ patterns, config }) => mayUse(call, config) && patterns.some(fits => fits(call.dialled)));
}

/** A party of a call as if it called itself; undefined for one that is neither trunk nor subscriber. */
export function sourceOf(party: { readonly trunk?: string; readonly subscriber?: string }): CallSource | undefined {
  const { trunk, subscriber } = party;
  if (subscriber !== undefined) return { kind: 'subscriber', subscriber };
  return trunk === undefined ? undefined : { kind: 'trunk', trunk };
}

function mayUse({ source }: IncomingCall, { from }: RouteConfig): boolean {
  if (from === undefined) return true;
  const [allowed, name] = source.kind === 'trunk' ? [from.trunks, source.trunk] : [from.subscribers, source.subscriber];
  return allowed === 'any' || (allowed?.includes(name) ?? false);
}

function answer(call: IncomingCall, { name, config }: CompiledRoute, facts: RoutingFacts): RouteAnswer {
  if (config.reject !== undefined)
    return { reject: config.reject, reason: config.reason ?? `route ${name}`, routeName: name };
  const { maxCallSeconds } = config;
  const route = { routeName: name, ...(maxCallSeconds === undefined ? {} : { maxCallSeconds }) };
  if (config.echo === true) return { flow: [{ action: 'echo' }], ...route };
  if (config.room !== undefined) {
    const room = config.room === 'dialled' ? call.dialled : config.room;
    return { flow: [{ action: 'conference_join', room }], ...route };
  }
  if (config.flow !== undefined) return { flowName: config.flow, ...route };
  const flow = connectSteps(
    { ...config, to: (config.to ?? []).flatMap(one => inTables(one, call.dialled, facts)) },
    call.dialled,
    facts,
  );
  // RFC 3261 §21.4.18: the callee is known, and cannot be reached now.
  if (flow.length === 0) return { reject: 480, reason: `route ${name}: ${whyNobody(config)}`, routeName: name };
  return { ...route, flow };
}

function whyNobody({ to = [] }: RouteConfig): string {
  return to.some(({ table }) => table !== undefined) ? 'no prefix of its tables fits' : 'nobody is registered there';
}

/** A table stands for the trunks of the longest prefix: of the number as it was dialled, else of what that is in E.164. */
function inTables({ table, ...target }: RouteTarget, dialled: string, facts: RoutingFacts): readonly TargetConfig[] {
  if (table === undefined) return [target];
  const prefixes = facts.tables?.get(table);
  const e164 = (): string => facts.directory.e164(dialled) ?? '';
  const trunks = prefixes?.trunksFor(dialled) ?? prefixes?.trunksFor(e164()) ?? [];
  return trunks.map(trunk => ({ ...target, trunk }));
}
