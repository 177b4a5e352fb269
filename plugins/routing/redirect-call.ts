// Where a call goes that a target has redirected: a pure function of the redirection, the routes, and what is known of contacts.
import { userOf, type ConnectTarget, type RedirectAnswer, type Redirection } from '../../core/plugin-api.js';
import { routeCall, routeOf, sourceOf, type CompiledRoute, type RoutingFacts } from './route-call.js';

/** Undefined where the route of the call is not ours, or does not follow. */
export function redirectCall(
  redirection: Redirection,
  routes: readonly CompiledRoute[],
  facts: RoutingFacts,
): RedirectAnswer | undefined {
  const { call, target, contacts } = redirection;
  const redirects = routeOf(call, routes)?.config.redirects;
  if (redirects === undefined || redirects === 'refuse') return undefined;
  const found =
    redirects === 'uri'
      ? contacts.map((uri): ConnectTarget => ({ uri }))
      : contacts.flatMap(uri => byNumber(uri, redirection, routes, facts));
  const headers = { set: { Diversion: diversion(redirection, facts.directory.domain) } };
  const { ringTimeoutSeconds } = target;
  return {
    targets: found.map(one => ({
      ...(ringTimeoutSeconds === undefined ? {} : { ringTimeoutSeconds }),
      ...one,
      headers,
    })),
  };
}

/** As if whoever redirects had dialled it: it is they who may, or may not, call there. */
function byNumber(
  uri: string,
  { call, target }: Redirection,
  routes: readonly CompiledRoute[],
  facts: RoutingFacts,
): readonly ConnectTarget[] {
  const source = sourceOf(target);
  const dialled = userOf(uri);
  if (source === undefined || dialled === '') return [];
  const answer = routeCall({ ...call, source, dialled }, routes, facts);
  // A named flow answers and asks, which is not for a call that rings somewhere.
  const flow = answer !== undefined && 'flow' in answer ? answer.flow : [];
  return flow.flatMap(step => (step.action === 'connect' ? step.targets : []));
}

/** RFC 5806: who sends the call on goes before those who did it earlier. A 3xx does not say why. */
function diversion({ call, target }: Redirection, domain: string): string {
  const by = target.subscriber ?? userOf(target.uri);
  return [`<sip:${by}@${domain}>;reason=unknown`, ...(call.headers['diversion'] ?? [])].join(', ');
}
