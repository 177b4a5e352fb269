// What a `route` hook says of a number that a flow hands its caller over to: steps that the call may have, or another flow. Pure.
import type { ConnectStep, FlowStep, RejectAnswer, RouteAnswer } from '../calls/call-facts.js';
import type { FoundRoute } from './actions/transfer.js';
import type { NamedFlows } from './flows.js';

export interface RouteSurroundings {
  readonly flows: NamedFlows;
  /** Those of these steps that the call may have, or why it may have none. */
  readonly admit: (steps: readonly ConnectStep[]) => readonly ConnectStep[] | RejectAnswer;
}

export function foundRoute(answer: RouteAnswer | undefined, dialled: string, around: RouteSurroundings): FoundRoute {
  if (answer === undefined) return { reject: 404, reason: `no route to ${dialled}` };
  if ('reject' in answer) return answer;
  if ('flowName' in answer) {
    const entries = around.flows.get(answer.flowName);
    return entries === undefined ? { reject: 500, reason: `there is no flow "${answer.flowName}"` } : { entries };
  }
  const judged = answer.flow.map(step => (step.action === 'connect' ? around.admit([step]) : [step]));
  const steps = judged.flatMap((one): readonly FlowStep[] => ('reject' in one ? [] : one));
  const refused = judged.find(one => 'reject' in one);
  return steps.length === 0 && refused !== undefined && 'reject' in refused ? refused : { steps };
}
