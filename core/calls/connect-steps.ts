// From targets as configs write them to steps that connect to them: a pure function of what is known of trunks and contacts.
import type { Contact, Directory, Location, TrunkGateways } from '../plugins/plugin-facts.js';
import type { ConnectStep, ConnectTarget } from './call-facts.js';
import { sipUri } from './sip-uri.js';
import type { TargetConfig } from './target-config.js';

/** Whom to connect to, and how. */
export interface ConnectWish {
  readonly to: readonly TargetConfig[];
  /** Default: only where the one target is a subscriber, who may have several phones. */
  readonly atOnce?: boolean | undefined;
  readonly ringTimeoutSeconds?: number | undefined;
  readonly callerNumber?: string | undefined;
  readonly callerName?: string | undefined;
}

/** What is known of those who may be called. */
export interface TargetFacts {
  readonly directory: Directory;
  /** Undefined where no plugin knows contacts. */
  readonly location: Location | undefined;
  /** Undefined where nobody knows which gateways live: then all are tried, best first. */
  readonly gateways?: TrunkGateways | undefined;
}

/**
 * The steps that connect a call which dialled this number to these targets, one after the other: those who are wanted alike ring
 * together. None where nobody can be reached now.
 */
export function connectSteps(wish: ConnectWish, dialled: string, facts: TargetFacts): readonly ConnectStep[] {
  const { to, ringTimeoutSeconds, callerNumber, callerName } = wish;
  const targets = to.flatMap(target => connectTargets(dialled, target, facts));
  if (targets.length === 0) return [];
  const atOnce = wish.atOnce ?? (to.length === 1 && to[0]?.subscriber !== undefined);
  return (atOnce ? byPreference(targets) : [targets]).map(group => ({
    action: 'connect',
    targets: group.map(({ target }) => target),
    strategy: atOnce ? 'at-once' : 'in-order',
    ...(ringTimeoutSeconds === undefined ? {} : { ringTimeoutSeconds }),
    ...(callerNumber === undefined ? {} : { callerNumber }),
    ...(callerName === undefined ? {} : { callerName }),
  }));
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

function connectTargets(dialled: string, target: TargetConfig, facts: TargetFacts): readonly Candidate[] {
  const { trunk, uri, ringTimeoutSeconds } = target;
  const timeout = ringTimeoutSeconds === undefined ? {} : { ringTimeoutSeconds };
  if (uri !== undefined) return [{ target: { uri, ...timeout } }];
  if (trunk !== undefined) {
    const listed = facts.directory.trunks.find(({ name }) => name === trunk)?.gateways;
    const gateways = facts.gateways?.gateways(trunk) ?? listed ?? [];
    const number = numberFor(dialled, target);
    return gateways.map(gateway => ({ target: { uri: sipUri(number, gateway), trunk, ...timeout } }));
  }
  const subscriber = target.subscriber === 'dialled' ? dialled : (target.subscriber ?? '');
  return contactsOf(subscriber, facts).map(({ uri: contact, path, q = 1 }) => ({
    q,
    target: { uri: contact, subscriber, ...(path === undefined ? {} : { path }), ...timeout },
  }));
}

function contactsOf(subscriber: string, { location }: TargetFacts): readonly Contact[] {
  return location?.bound?.(subscriber) ?? (location?.contacts(subscriber) ?? []).map(uri => ({ uri }));
}

function numberFor(dialled: string, { number, strip, prefix }: TargetConfig): string {
  return `${prefix ?? ''}${number ?? dialled.slice(strip ?? 0)}`;
}
