// What a call does next: the steps of its route one after the other, or what its flow says. Pure part of the call's state table.
import type { FlowActions } from '../flows/action-registry.js';
import type { ConnectOutcome } from '../flows/flow-facts.js';
import { messageOf } from '../errors.js';
import { stopPlayback } from '../flows/flow-playback.js';
import type { FlowRun } from '../flows/flow-run.js';
import { advanceFlow, wantsCallerBack as wantsBack, type RunCommand, type RunEvent } from '../flows/interpreter.js';
import { answerCaller, dialLegs, dialTargets, outboundLeg } from './call-dialling.js';
import { end, refuse, whyNobody } from './call-ending.js';
import { andThen, unchanged, type Transition } from './call-events.js';
import { callerLeg, echoPeer, flowSchema, incomingCall, type CallRecord } from './call-record.js';
import { outcomeOf } from './sip-status.js';

/** What the state table must know beside the call. */
export interface Around {
  readonly nowMs: number;
  /** Those of flows. */
  readonly actions: FlowActions;
  /** Those of other calls who are in its conference; a room is company enough. */
  readonly companions: number;
}

/** Begins the step after the present one; after the last one the call ends, with `status` where it was never answered. */
export function nextStep(call: CallRecord, status: number, around: Around): Transition {
  const step = call.flow[call.step + 1];
  const moved = { ...call, step: call.step + 1 };
  if (!step) {
    if (call.run !== null) return connectFailed(moved, status, around);
    const reason = call.answeredMs === null ? whyNobody(call) : 'flow done';
    return over(call, status, reason, around);
  }
  switch (step.action) {
    case 'connect':
      return step.targets.length === 0 ? nextStep(moved, 480, around) : dialTargets(moved, step, around.nowMs);
    case 'echo':
      return andThen(outOfFlow(moved, around.nowMs), silent =>
        dialLegs(silent, [outboundLeg(silent, { peer: echoPeer, targetIndex: null, ringUntilMs: null })]),
      );
    case 'conference_join':
      // The room has it from then on, and may take it back.
      return andThen(outOfFlow(moved, around.nowMs), silent => ({
        call: silent,
        actions: [...(moved.muted ? [{ do: 'mute', muted: false } as const] : []), { do: 'enter' }],
      }));
  }
}

/** Nothing follows. `status` is for a caller who was never answered. */
function over(call: CallRecord, status: number, reason: string, { nowMs }: Around): Transition {
  return call.answeredMs === null
    ? refuse(call, status, reason, nowMs)
    : end(call, { by: 'holdfast', reason }, nowMs, nowMs);
}

/** Nobody of a flow's connect has answered: the flow goes on. */
export function connectFailed(call: CallRecord, sipStatus: number, around: Around): Transition {
  const outcome: ConnectOutcome = connectOutcomes[outcomeOf(sipStatus)] ?? 'failed';
  return flowEvent({ ...call, step: call.flow.length }, { type: 'connectEnded', outcome, sipStatus }, around);
}

/** True where its flow goes on with the caller, who is alone now that this leg is gone. */
export function wantsCallerBack(call: CallRecord, around: Around): boolean {
  const { run, transfer, legs } = call;
  const caller = callerLeg(call);
  if (run === null || transfer !== null || caller.state !== 'confirmed' || caller.ending) return false;
  if (legs.some(leg => leg !== caller && leg.state === 'confirmed' && !leg.ending)) return false;
  return wantsBack(run, { ...around, call: incomingCall(call), answered: true });
}

/** The conference is over, and the flow has the caller again. */
export function backToFlow(call: CallRecord, around: Around): Transition {
  const alone = { ...call, step: call.flow.length, conferenceId: null };
  // Who is on hold, or left with one who was, hears what the conference has them hear.
  const left = { call: alone, actions: [{ do: 'unhold' }, { do: 'leave' }] } as const;
  return andThen(left, next => flowEvent(next, { type: 'parted' }, around));
}

const connectOutcomes: Readonly<Record<string, ConnectOutcome>> = {
  busy: 'busy',
  'no-answer': 'no-answer',
  declined: 'declined',
};

/** Tells the flow that runs for this call, and does what it says. An action may be a stranger's: what it throws ends this call alone. */
export function flowEvent(call: CallRecord, event: RunEvent, around: Around): Transition {
  const { run } = call;
  if (run === null || call.ending) return unchanged(call);
  try {
    return flowTurn(call, run, event, around);
  } catch (error) {
    const action = run.entries[run.at]?.action ?? '?';
    const reason = `flow ${run.name} failed at ${action} (step ${run.at + 1}) or after it: ${messageOf(error)}`;
    return refuse(call, 500, reason, around.nowMs);
  }
}

function flowTurn(call: CallRecord, before: FlowRun, event: RunEvent, around: Around): Transition {
  const { actions, nowMs } = around;
  const answered = call.answeredMs !== null;
  const { run, commands, ended } = advanceFlow(before, event, { actions, call: incomingCall(call), answered, nowMs });
  if (run === before && commands.length === 0 && ended === undefined) return unchanged(call);
  const done = commands.reduce<Transition>(
    (first, command) => andThen(first, next => (next.ending ? unchanged(next) : carriedOut(next, command, around))),
    { call: { ...call, run }, actions: [] },
  );
  if (ended === undefined || done.call.ending) return done;
  return andThen(done, last => over(last, refusalOf(Number(last.run?.variables['connect_status'])), ended, around));
}

/** What may be said to a caller: a flow may have put anything in its place. */
function refusalOf(status: number): number {
  return Number.isInteger(status) && status >= 400 && status <= 699 ? status : 480;
}

function carriedOut(call: CallRecord, command: RunCommand, around: Around): Transition {
  switch (command.do) {
    case 'answer':
      return answerCaller(call, around.nowMs);
    case 'ring':
      return call.state === 'trying'
        ? { call: { ...call, state: 'proceeding' }, actions: [{ do: 'ring' }] }
        : unchanged(call);
    case 'mute': {
      const { muted } = command;
      return call.muted === muted ? unchanged(call) : { call: { ...call, muted }, actions: [{ do: 'mute', muted }] };
    }
    case 'hangup':
      return refuse(call, refusalOf(command.sipStatus), command.reason, around.nowMs);
    case 'run': {
      const before = { ...call, flow: [...call.flow, ...flowSchema.parse(command.steps)], step: call.flow.length - 1 };
      return nextStep(before, 480, around);
    }
    case 'play':
    case 'stopPlay':
    case 'lookPlay':
    case 'ask':
      return { call, actions: [command] };
  }
}

/** Again, where what was told to the caller's channel is gone. */
export function mutedAgain(call: CallRecord): Transition {
  const isInRoom = call.flow[call.step]?.action === 'conference_join';
  return { call, actions: call.muted && !isInRoom ? [{ do: 'mute', muted: true }] : [] };
}

/** Somebody else has the caller's ears now. */
export function outOfFlow(call: CallRecord, nowMs: number): Transition {
  if (call.run === null) return unchanged(call);
  const { run, commands } = stopPlayback(call.run, nowMs);
  return { call: { ...call, run: { ...run, timer: null, asking: null, music: null } }, actions: commands };
}
