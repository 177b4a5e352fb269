// Carries a call's actions out on its Asterisk, in ARI operations.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { EnterAnswer, RoomEntry } from '../conferences/conference-facts.js';
import { isRoomName } from '../conferences/conference-record.js';
import type { Conferences } from '../conferences/conferences.js';
import { heardUnlessDead } from '../conferences/node-deaths.js';
import { HoldfastError, messageOf } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Logger } from '../log.js';
import {
  dialVariable,
  ringVariable,
  sendEnd,
  stasisApp,
  trunkEndpointName,
  type AriClient,
  type AsteriskFarm,
} from '../ports/asterisk.js';
import type {
  DialAnswer,
  IncomingCall,
  Limits,
  OutgoingLeg,
  RedirectAnswer,
  Redirection,
  ReferAnswer,
  Referral,
  RejectAnswer,
} from './call-facts.js';
import type { AdmittedAnswer } from '../trunks/call-limits.js';
import { newFlowRun } from '../flows/flow-run.js';
import type { Flows } from '../flows/flows.js';
import { flowWorld } from './flow-world.js';
import type { CallEvent, Routed, TransferOutcome } from './call-events.js';
import {
  callerLeg,
  echoPeer,
  flowSchema,
  homeOf,
  incomingCall,
  targetOf,
  targetsSchema,
  type CallRecord,
  type LegRecord,
} from './call-record.js';
import { dialledUri } from './dialled-uri.js';
import type { HeaderField } from './leg-headers.js';
import { KeyedQueue } from './keyed-queue.js';
import { legVariables, outgoingLeg } from './outgoing-leg.js';
import type { CallWorld } from './call-world.js';
import type { PassingRules } from './passed-headers.js';
import { writeFields } from './sip-fields.js';
import { mergeCalls } from './merge-calls.js';
import { askTransfer, type CallLeg } from './transfer-question.js';

export interface AriWorldOptions extends Pick<CallWorld, 'save' | 'finish' | 'changed' | 'eventsOf'> {
  readonly asterisks: AsteriskFarm;
  readonly nodes: NodeStates;
  readonly conferences: Conferences;
  readonly log: Logger;
  /** True for a trunk that challenges our INVITEs: its legs are made on an endpoint of its own. */
  readonly hasCredentials: (trunk: string) => boolean;
  /** Routes to a gateway of a trunk, `host:port` with its transport, that is not reached like others. */
  readonly pathTo: (trunk: string, gateway: string) => readonly string[];
  /** Ends a leg that is being recovered, in its own way; false for any other. */
  readonly abandon: (legId: string) => boolean;
  readonly askRoute: (call: IncomingCall) => Promise<AdmittedAnswer | undefined>;
  readonly askDial: (leg: OutgoingLeg) => Promise<readonly DialAnswer[] | RejectAnswer>;
  readonly askRedirect: (redirection: Redirection) => Promise<RedirectAnswer | undefined>;
  readonly askRefer: (referral: Referral) => Promise<ReferAnswer | undefined>;
  readonly askEnter: (entry: RoomEntry) => Promise<EnterAnswer | undefined>;
  /** A leg of any call, by its SIP Call-ID. */
  readonly legOfDialog: (sipCallId: string) => CallLeg | undefined;
  /** Tells another call; resolves when it has acted upon it. */
  readonly tellOther: (callId: string, event: CallEvent) => Promise<void>;
  readonly flows: Flows;
  readonly passing: () => PassingRules;
  readonly limits: () => Limits;
  /** Transcoding policy of a leg to a trunk or subscriber. */
  readonly policyFor: (leg: { readonly trunk?: string; readonly subscriber?: string }) => string | undefined;
}

/** A NOTIFY passes another Kamailio than the one before it, and may overtake it. */
const notifyLeadMs = 100;

/** Answers come from plugins, which may be strangers: what they say is checked before it is acted upon. */
const routeAnswer = z.union([
  z.object({ flow: flowSchema, routeName: z.string(), maxCallSeconds: z.number().optional() }),
  z.object({ reject: z.int().min(400).max(699), reason: z.string(), routeName: z.string().optional() }),
  z.object({ flowName: z.string(), routeName: z.string(), maxCallSeconds: z.number().optional() }),
]);

export function ariWorld(options: AriWorldOptions): CallWorld {
  const ariOf = (call: CallRecord): AriClient => options.asterisks.node(homeOf(call)).ari;
  // Legs that were recovered one by one may be on different nodes.
  const ariOfLeg = (call: CallRecord, legId: string): AriClient =>
    options.asterisks.node(call.legs.find(({ id }) => id === legId)?.node ?? homeOf(call)).ari;
  const caller = (call: CallRecord): { channelId: string } => ({ channelId: callerLeg(call).id });
  return {
    save: options.save,
    finish: options.finish,
    changed: options.changed,
    eventsOf: options.eventsOf,
    route: call => route(call, options),
    redirect: (call, legId) => redirect(call, legId, options),
    askDial: async (call, legId) => {
      const leg = outgoingLeg(call, legId, options.passing());
      return leg === undefined ? [] : options.askDial(leg);
    },
    dial: (call, legId, answers) => dial(call, legId, answers, ariOf(call), options),
    ring: call => ariOf(call).channels.ring(caller(call)),
    progress: call => ariOf(call).channels.progress(caller(call)),
    // Whom a dead node did not answer is refused, or recovered, with all that it had.
    answer: call => heardUnlessDead(options.nodes, homeOf(call), () => ariOf(call).channels.answer(caller(call))),
    mute: (call, muted) => mute(call, muted, ariOfLeg),
    join: (call, legIds, answer) => {
      const legs = call.legs.filter(leg => legIds.includes(leg.id)).map(leg => ({ id: leg.id, node: leg.node }));
      const step = call.flow[call.step];
      const room = step?.action === 'conference_join' ? { room: step.room } : {};
      const leaving = call.legs.filter(leg => leg.ending || leg.gaveWay).map(leg => leg.id);
      const { id, node } = callerLeg(call);
      const joining = { callId: call.id, legs, leaving, firstInnerLeg: firstInnerLeg(call) };
      return options.conferences.join({ ...joining, ...room, ...(answer && { unanswered: { id, node } }) });
    },
    refer: (call, legId) => askTransfer(call, legId, options),
    tellReferrer: async (call, legId, outcome) => {
      const tell = (state: Exclude<TransferOutcome, 'refused'>): Promise<void> =>
        ariOfLeg(call, legId).channels.transfer_progress({ channelId: legId, states: `channel_${state}` });
      // Asterisk sends its first NOTIFY, with 100, together with the one of the first state that it is told.
      if (outcome === 'refused') await tell('progress');
      if (outcome !== 'progress') await sleep(notifyLeadMs);
      await tell(outcome === 'refused' ? 'declined' : outcome);
    },
    unhold: async call => {
      const legs = call.legs.filter(leg => options.conferences.isOnHold(call.id, leg.id)).map(leg => leg.id);
      if (legs.length > 0) await options.conferences.hold(call.id, legs, false);
    },
    part: (call, legId, orEnd) => options.conferences.part(call.id, legId, orEnd),
    companions: call => options.conferences.companions(call.id),
    merge: (call, other) => mergeCalls(call, other, options),
    enter: call => enter(call, options),
    ...flowWorld(options, ariOf),
    leave: call => options.conferences.leave(call.id, call.ending !== null),
    hangup: async (call, legId, cause, headers) => {
      if (options.abandon(legId)) return;
      const ari = ariOfLeg(call, legId);
      await tellHeaders(ari, legId, headers);
      await ari.channels.hangup({ channelId: legId, reason_code: String(cause) });
    },
    // ARI's hang-up takes a cause and no SIP status: the dialplan's PJSIPHangup() sends exactly this one.
    reject: async (call, sipStatus, headers) => {
      await tellHeaders(ariOf(call), caller(call).channelId, headers);
      await ariOf(call).channels.continueInDialplan({
        ...caller(call),
        context: 'reject',
        extension: String(sipStatus),
      });
    },
    again: againIn(turns),
  };
}

/** So few of a node's connections are for what it has not answered before: what is new does not wait behind it. */
const turns = 2;
const againAfterMs = 1_000;

function againIn(turns: number): CallWorld['again'] {
  const queue = new KeyedQueue();
  let next = 0;
  return (node, work) => {
    setTimeout(() => void queue.run(`${node} ${next++ % turns}`, work), againAfterMs).unref();
  };
}

/** Headers for the BYE, CANCEL or response that ends a leg. Most end without any, and without this request. */
async function tellHeaders(ari: AriClient, channelId: string, headers: readonly HeaderField[]): Promise<void> {
  if (headers.length === 0) return;
  await ari.channels.setChannelVar({ channelId, variable: sendEnd, value: writeFields(headers) });
}

async function route(call: CallRecord, { askRoute, flows, limits, log }: AriWorldOptions): Promise<CallEvent> {
  try {
    const answer = await askRoute(incomingCall(call));
    if (answer === undefined) return { type: 'routed', answer };
    const checked = routeAnswer.safeParse(answer);
    if (checked.success)
      return { type: 'routed', answer: ready(answer, flows), maxCallSeconds: limits().maxCallSeconds };
    throw new HoldfastError('PLUGIN_FAILED', `the route hook's answer is not valid: ${z.prettifyError(checked.error)}`);
  } catch (error) {
    log.error({ call: call.id, error }, `no route: ${messageOf(error)}`);
    return { type: 'routeFailed', reason: messageOf(error) };
  }
}

async function enter(call: CallRecord, { conferences, askEnter, log }: AriWorldOptions): Promise<CallEvent> {
  const step = call.flow[call.step];
  const room = step?.action === 'conference_join' ? step.room : '';
  const chosen = step?.action === 'conference_join' ? step.role : undefined;
  // A flow may have made it of anything, as digits or a server's answer.
  if (!isRoomName(room))
    return { type: 'notEntered', sipStatus: 404, reason: `no room can have the name "${room.slice(0, 128)}"` };
  try {
    const answer = chosen === undefined ? await askEnter({ room, call: incomingCall(call) }) : { role: chosen };
    if (answer && 'reject' in answer) return { type: 'notEntered', sipStatus: answer.reject, reason: answer.reason };
    const { id: callId, callerNumber, callerName } = call;
    const { id, node } = callerLeg(call);
    const who = { role: answer?.role ?? 'speaker', callerNumber, callerName } as const;
    const place = { callId, room, muted: call.muted, leg: { id, node }, firstInnerLeg: firstInnerLeg(call) };
    const refusal = await conferences.enter({ ...place, ...who });
    return refusal ? { type: 'notEntered', ...refusal } : { type: 'entered' };
  } catch (error) {
    log.error({ call: call.id, room, error }, `no place in room ${room}: ${messageOf(error)}`);
    const sipStatus = HoldfastError.is(error, 'NO_CONFERENCE_NODE') ? 503 : 500;
    return { type: 'notEntered', sipStatus, reason: messageOf(error) };
  }
}

/** A muted channel gives nothing, and phones and trunks take no RTP for the end of a call: the others are sent silence meanwhile. */
async function mute(
  call: CallRecord,
  muted: boolean,
  ariOfLeg: (call: CallRecord, legId: string) => AriClient,
): Promise<void> {
  const caller = callerLeg(call);
  const { channels } = ariOfLeg(call, caller.id);
  const said = { channelId: caller.id, direction: 'in' } as const;
  await (muted ? channels.mute(said) : channels.unmute(said));
  const others = call.legs.filter(leg => leg !== caller && leg.state === 'confirmed' && !leg.ending);
  await Promise.allSettled(
    others.map(async ({ id: channelId }) => {
      const other = ariOfLeg(call, channelId).channels;
      await (muted ? other.startSilence({ channelId }) : other.stopSilence({ channelId }));
    }),
  );
}

/** A flow may connect and join more than once; each time has numbers of its own, as many as nodes could ever die under it. */
function firstInnerLeg({ step }: CallRecord): number {
  return step * 1000;
}

/** The answer with its flow, where it names one. Throws FLOW_NOT_FOUND. */
function ready(answer: AdmittedAnswer, flows: Flows): Routed {
  if (!('flowName' in answer)) return answer;
  const { flowName, ...rest } = answer;
  return { ...rest, flow: [], run: newFlowRun(flowName, flows.entries(flowName)) };
}

/** A plugin that fails has not answered: the target has failed, and the call may go on to the next one. */
async function redirect(call: CallRecord, legId: string, options: AriWorldOptions): Promise<CallEvent> {
  const leg = call.legs.find(one => one.id === legId);
  const target = leg && targetOf(call, leg);
  const nobody = { type: 'redirected', leg: legId, targets: [] } as const;
  if (!target) return nobody;
  try {
    const { sipStatus, redirect: contacts } = leg;
    const question = { call: incomingCall(call), target, sipStatus: sipStatus ?? 302, contacts: contacts ?? [] };
    const answer = await options.askRedirect(question);
    return { ...nobody, targets: targetsSchema.parse(answer?.targets ?? []) };
  } catch (error) {
    options.log.error({ call: call.id, leg: legId, error }, `redirection not followed: ${messageOf(error)}`);
    return nobody;
  }
}

async function dial(
  call: CallRecord,
  legId: string,
  answers: readonly DialAnswer[],
  ari: AriClient,
  options: AriWorldOptions,
): Promise<void> {
  const leg = call.legs.find(one => one.id === legId);
  if (!leg) return;
  const endpoint = endpointOf(call, leg, options);
  try {
    await ari.channels.create({
      ...{ endpoint, app: stasisApp, appArgs: 'leg', channelId: leg.id, formats: 'ulaw' },
      variables: {
        ...(leg.peer === echoPeer ? {} : legVariables(call, leg, answers, options.policyFor, options.passing())),
        [dialVariable]: endpoint.slice(endpoint.indexOf('/') + 1),
        // Who has heard ringing, from a flow or an earlier target, has heard it.
        ...(call.state === 'trying' && { [ringVariable]: callerLeg(call).id }),
      },
    });
  } catch (error) {
    // It may have been made all the same, and answered to nobody: it must not stay.
    await ari.channels.hangup({ channelId: leg.id }).catch(() => undefined);
    throw error;
  }
}

/** The echo test is a party of its own: the far end of a Local channel runs Echo() in the dialplan. */
function endpointOf(call: CallRecord, leg: LegRecord, { hasCredentials, pathTo }: AriWorldOptions): string {
  if (leg.peer === echoPeer) return 'Local/s@echo/n';
  const { trunk, path } = targetOf(call, leg) ?? {};
  if (trunk === undefined) return `PJSIP/edge/${dialledUri(leg.peer, path)}`;
  const gateway = leg.peer.slice(leg.peer.lastIndexOf('@') + 1);
  const endpoint = hasCredentials(trunk) ? trunkEndpointName(trunk) : 'edge';
  return `PJSIP/${endpoint}/${dialledUri(leg.peer, path ?? pathTo(trunk, gateway))}`;
}
