// Whom a party of a call is transferred to: a pure function of the transfer, the routes, and what is known of contacts.
import type { ReferAnswer, Referral } from '../../core/plugin-api.js';
import { routeCall, routeOf, sourceOf, type CompiledRoute, type RoutingFacts } from './route-call.js';

/** As if whoever transfers had dialled the number: it is they who may, or may not, call there, also where it is commanded. Undefined: it is declined. */
export function referCall(
  { call, by, dialled, consulted, commanded = false }: Referral,
  routes: readonly CompiledRoute[],
  facts: RoutingFacts,
): ReferAnswer | undefined {
  const transfers = routeOf(call, routes)?.config.transfers;
  const source = sourceOf(by);
  const may = commanded || transfers === 'both' || transfers === by.side;
  if (!may || source === undefined) return undefined;
  // Whoever transfers is in a call with them already.
  if (consulted !== undefined) return { action: 'join' };
  const answer = routeCall({ ...call, source, dialled }, routes, facts);
  const [step] = answer !== undefined && 'flow' in answer ? answer.flow : [];
  return step?.action === 'connect' ? step : undefined;
}
