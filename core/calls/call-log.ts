// What the log tells of a call: one info line per transition of it or of a leg, from which its life can be told.
import type { Logger } from '../log.js';
import type { CallEvent } from './call-events.js';
import type { CallRecord } from './call-record.js';
import { sideOf } from './transfers.js';

export function logChange(log: Logger, before: CallRecord, call: CallRecord, event: CallEvent): void {
  if (event.type === 'routed' && call.routeName !== null) {
    log.info(
      { route: call.routeName },
      `${call.ending && call.ending.limit === null ? 'refused' : 'routed'} by ${call.routeName}`,
    );
  }
  if (event.type === 'legSilent') log.info({ leg: event.leg }, 'its gateway does not respond: it is given up');
  if (event.type === 'ringTimeout') log.info({ leg: event.leg }, 'not answered in time');
  if (event.type === 'legHeld') log.info({ leg: event.leg, held: event.held }, heldWords(call, event));
  for (const leg of call.legs) {
    const was = before.legs.find(one => one.id === leg.id);
    if (was?.state === leg.state) continue;
    const status = leg.state === 'terminated' && leg.sipStatus !== null ? { sipStatus: leg.sipStatus } : {};
    log.info(
      { leg: leg.id, node: leg.node, peer: leg.peer, state: leg.state, sipCallId: leg.sipCallId, ...status },
      `${leg.direction} leg ${leg.peer} is ${leg.state}`,
    );
  }
  if (event.type === 'referred' || event.type === 'transferred') logTransfer(log, before, call, event);
  logTransferEnd(log, before, call, event);
  const { run } = call;
  const begun = run?.entries[run.at];
  if (run && begun && !call.ending && run.visits[run.at] !== before.run?.visits[run.at]) {
    const { action, label } = begun;
    log.info(
      { flow: run.name, step: run.at + 1, label },
      `flow ${run.name}: ${action}${label === undefined ? '' : ` (${label})`}`,
    );
  }
  if (call.ending && !before.ending) {
    const { by, outcome, sipStatus, reason, limit } = call.ending;
    log.info({ by, outcome, sipStatus, reason, limit: limit ?? undefined }, `call ends: ${reason}`);
  }
}

function heldWords({ legs }: CallRecord, { leg: legId, held }: Extract<CallEvent, { type: 'legHeld' }>): string {
  const leg = legs.find(one => one.id === legId);
  return `${leg?.direction} leg ${leg?.peer} ${held ? 'holds the call' : 'is back from its hold'}`;
}

function logTransfer(
  log: Logger,
  before: CallRecord,
  call: CallRecord,
  event: Extract<CallEvent, { type: 'referred' | 'transferred' }>,
): void {
  const { leg } = event;
  const asked = event.type === 'referred' ? event : before.transfer;
  if (!asked || asked.dialled === '') return;
  const { dialled, commanded = false, adds = false } = asked;
  const what = `${adds ? 'adding' : 'transfer to'} ${dialled} by ${commanded ? 'command' : `the ${sideOf(call, leg)}`}`;
  if (event.type === 'referred') {
    const how =
      call.transfer === before.transfer ? 'is refused: it is no call of two, or one is under way' : 'is asked for';
    log.info({ leg, dialled }, `${what} ${how}`);
  } else if (!call.transfer) {
    log.info({ leg, dialled }, `${what} is refused: no plugin allows it, or it leads nowhere`);
  }
}

function logTransferEnd(log: Logger, before: CallRecord, call: CallRecord, event: CallEvent): void {
  const done = call.transfers.slice(before.transfers.length);
  for (const { by, kind, to } of done)
    log.info({ by, kind, to }, `${kind} transfer${to === '' ? '' : ` to ${to}`} is done: the ${by} is replaced`);
  const { transfer } = before;
  // One that no plugin allows is said to be refused.
  if (!transfer || transfer.adds || call.transfer || call.ending || done.length > 0 || event.type === 'transferred')
    return;
  log.info({ dialled: transfer.dialled }, 'the transfer came to nothing: the call goes on as it was');
}
