// Where a call goes: a pure function of the call, the routes in their order, and what is known of trunks and contacts.
import {
  sipUri,
  type CallSource,
  type ConnectTarget,
  type Contact,
  type Directory,
  type IncomingCall,
  type Location,
  type RouteAnswer,
} from '../../core/plugin-api.js';
import { compileDialPattern, type DialPattern } from './dial-pattern.js';
import type { RouteConfig, TargetConfig } from './route-config.js';

export interface CompiledRoute {
  readonly name: string;
  readonly patterns: readonly DialPattern[];
  readonly config: RouteConfig;
}

export interface RoutingFacts {
  readonly directory: Directory;
  /** Undefined where no plugin knows contacts. */
  readonly location: Location | undefined;
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
  if (config.reject !== undefined) return { reject: config.reject, reason: config.reason ?? `route ${name}` };
  const { maxCallSeconds } = config;
  const route = { routeName: name, ...(maxCallSeconds === undefined ? {} : { maxCallSeconds }) };
  if (config.echo === true) return { flow: [{ action: 'echo' }], ...route };
  if (config.room !== undefined) {
    const room = config.room === 'dialled' ? call.dialled : config.room;
    return { flow: [{ action: 'conference_join', room }], ...route };
  }
  const targets = (config.to ?? []).flatMap(target => connectTargets(call, target, facts));
  const { ringTimeoutSeconds, callerNumber } = config;
  // RFC 3261 §21.4.18: the callee is known, and cannot be reached now.
  if (targets.length === 0) return { reject: 480, reason: `route ${name}: nobody is registered there` };
  const atOnce = config.atOnce ?? (config.to?.length === 1 && config.to[0]?.subscriber !== undefined);
  return {
    ...route,
    flow: (atOnce ? byPreference(targets) : [targets]).map(group => ({
      action: 'connect',
      targets: group.map(({ target }) => target),
      strategy: atOnce ? 'at-once' : 'in-order',
      ...(ringTimeoutSeconds === undefined ? {} : { ringTimeoutSeconds }),
      ...(callerNumber === undefined ? {} : { callerNumber }),
    })),
  };
}

interface Candidate {
  readonly target: ConnectTarget;
  /** Of a phone that registered with one. */
  readonly q?: number;
}

/** Those that are wanted alike ring together; those that are wanted less, when nobody has answered (RFC 3261 §16.6). */
function byPreference(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  const q = (one: Candidate): number => one.q ?? 1;
  const steps = [...new Set(candidates.map(q))].sort((a, b) => b - a);
  return steps.map(step => candidates.filter(one => q(one) === step));
}

function connectTargets(call: IncomingCall, target: TargetConfig, facts: RoutingFacts): readonly Candidate[] {
  const { trunk, uri, ringTimeoutSeconds } = target;
  const timeout = ringTimeoutSeconds === undefined ? {} : { ringTimeoutSeconds };
  if (uri !== undefined) return [{ target: { uri, ...timeout } }];
  if (trunk !== undefined) {
    const gateways = facts.directory.trunks.find(({ name }) => name === trunk)?.gateways ?? [];
    const number = numberFor(call.dialled, target);
    return gateways.map(gateway => ({ target: { uri: sipUri(number, gateway), trunk, ...timeout } }));
  }
  const subscriber = target.subscriber === 'dialled' ? call.dialled : (target.subscriber ?? '');
  return contactsOf(subscriber, facts).map(({ uri: contact, path, q = 1 }) => ({
    q,
    target: { uri: contact, subscriber, ...(path === undefined ? {} : { path }), ...timeout },
  }));
}

function contactsOf(subscriber: string, { location }: RoutingFacts): readonly Contact[] {
  return location?.bound?.(subscriber) ?? (location?.contacts(subscriber) ?? []).map(uri => ({ uri }));
}

function numberFor(dialled: string, { number, strip, prefix }: TargetConfig): string {
  return `${prefix ?? ''}${number ?? dialled.slice(strip ?? 0)}`;
}
