// The actions that flows may have: the built-in ones, and those that plugins bring, by the same door.
import { answer, hangup, reject, ring, sleep } from './actions/signalling.js';
import { branch, condition, goto, variableSet } from './actions/logic.js';
import { conferenceJoin, connectAction, echo, type FindTargets } from './actions/connect.js';
import { digitsReceive } from './actions/digits-receive.js';
import { fetchAction, type HttpExchange, type ReadEntries } from './actions/fetch.js';
import { hold, mute, unhold, unmute } from './actions/hold.js';
import { notifyAction, type Notify } from './actions/notify.js';
import { play } from './actions/play.js';
import { recordStart, recordStop, type CallRecorder } from './actions/record.js';
import { transferAction, type FindRoute } from './actions/transfer.js';
import { readEntries } from './check-flows.js';
import type { FlowAction } from './flow-facts.js';

/** By name. */
export type FlowActions = ReadonlyMap<string, FlowAction>;

/** What actions need of the daemon. */
export interface FlowServices {
  readonly findTargets: FindTargets;
  readonly findRoute: FindRoute;
  readonly exchange: HttpExchange;
  readonly notify: Notify;
  readonly recorder: CallRecorder;
}

/** Of a check or a simulation: nothing is asked. */
export const noServices: FlowServices = {
  findTargets: () => [],
  findRoute: () => Promise.reject(new Error('nothing is asked here')),
  exchange: () => Promise.reject(new Error('nothing is asked here')),
  notify: () => Promise.resolve(),
  recorder: { start: () => Promise.reject(new Error('nothing is recorded here')), stop: () => Promise.resolve() },
};

/** The built-in actions, and these. A plugin's action does not take the place of a built-in one. */
export function flowActions(services: FlowServices, added: readonly FlowAction[] = []): FlowActions {
  const actions = new Map<string, FlowAction>();
  const read: ReadEntries = written => readEntries(written, actions);
  const builtIn: readonly FlowAction[] = [
    ...[answer, ring, reject, hangup, play, digitsReceive],
    ...[connectAction(services.findTargets), transferAction(services.findRoute), conferenceJoin, echo],
    ...[hold, unhold, mute, unmute],
    ...[recordStart(services.recorder), recordStop(services.recorder)],
    ...[goto, branch, condition, variableSet, sleep, fetchAction(services.exchange, read)],
    notifyAction(services.notify),
  ];
  for (const action of [...added, ...builtIn]) actions.set(action.name, action);
  return actions;
}

/** Names that plugins cannot give to their own. */
export const builtInActions: ReadonlySet<string> = new Set(flowActions(noServices).keys());
