// The public plugin API: all that a plugin, built in or not, may import.
import type { ZodType } from 'zod';
import type {
  CallDetailRecord,
  ConferenceFacts,
  DialAnswer,
  IncomingCall,
  OutgoingLeg,
  Placement,
  RedirectAnswer,
  Redirection,
  ReferAnswer,
  Referral,
  RouteAnswer,
} from './calls/call-facts.js';
import type { CallControl } from './calls/call-control-facts.js';
import type { EnterAnswer, RoomControl, RoomEntry, RoomPolicy, SpeakerFacts } from './conferences/conference-facts.js';
import type { FlowAction } from './flows/flow-facts.js';
import type { Directory, Location, PluginConfigProblem, TrunkGateways } from './plugins/plugin-facts.js';
import type { TranscodingPolicy } from './ports/edge.js';
import type { TraceSource } from './ports/trace-source.js';
import type { LostCall, RecoverAnswer, RecoveryFacts, RecoveryPolicy } from './recovery/recovery-facts.js';

export type * from './calls/call-facts.js';
export type * from './calls/call-control-facts.js';
export type * from './conferences/conference-facts.js';
export type * from './recovery/recovery-facts.js';
export type * from './plugins/plugin-facts.js';
export type * from './flows/flow-facts.js';
export { defineAction } from './flows/flow-facts.js';
export type * from './ports/trace-source.js';
export type { SrtpUse, TranscodingPolicy } from './ports/edge.js';
export { compileDialPattern, type DialPattern } from './calls/dial-pattern.js';
export { headerName } from './calls/leg-headers.js';
export { sipUri, userOf } from './calls/sip-uri.js';
export { connectSteps, type ConnectWish, type TargetFacts } from './calls/connect-steps.js';
export { checkName, checkTarget, targetConfig, type TargetConfig } from './calls/target-config.js';
export { HoldfastError, messageOf } from './errors.js';
/** zod, for a plugin's config schema: the same copy as the host's. */
export { z } from 'zod';

/**
 * Version of this API; a plugin names the one it was written for. Raised when something is added or renamed; what was renamed
 * still works, and is named as deprecated, for plugins of the version before.
 */
export const pluginApiVersion = 2;

/**
 * The closed list of hooks. A hook is a question with a deadline, asked in config order; the first answer that is not
 * `undefined` wins, but for `dial`. A plugin that throws or is late fails that call, never the daemon.
 */
export interface Hooks {
  /** Where does this call go? No answer from anybody: 404. */
  route(call: IncomingCall, signal: AbortSignal): Promise<RouteAnswer | undefined> | RouteAnswer | undefined;
  /**
   * What does this leg's INVITE say? Asked of every plugin before each leg of a `connect` is dialled: all answers count, of two
   * about the same thing that of the plugin which comes first in the config. A plugin that fails here fails the leg: the next target is tried.
   */
  dial(leg: OutgoingLeg, signal: AbortSignal): Promise<DialAnswer | undefined> | DialAnswer | undefined;
  /** A target sends the call elsewhere (3xx): who is called in its place? No answer: nobody, the target has failed. */
  redirect(
    redirection: Redirection,
    signal: AbortSignal,
  ): Promise<RedirectAnswer | undefined> | RedirectAnswer | undefined;
  /** A party of a call transfers the other one (REFER): whom is it connected to? No answer: nobody, the transfer is declined. */
  refer(referral: Referral, signal: AbortSignal): Promise<ReferAnswer | undefined> | ReferAnswer | undefined;
  /** Where is this conference mixed? No answer: on the call node. */
  place(conference: ConferenceFacts, signal: AbortSignal): Promise<Placement | undefined> | Placement | undefined;
  /** May this call enter the room, and as what? Asked before it is answered. No answer: as a speaker. */
  enter(entry: RoomEntry, signal: AbortSignal): Promise<EnterAnswer | undefined> | EnterAnswer | undefined;
  /** How is this room kept, which is about to begin? What is left out is as in a plain room: open to all, without an end. */
  room(
    room: { readonly room: string },
    signal: AbortSignal,
  ): Promise<Partial<RoomPolicy> | undefined> | Partial<RoomPolicy> | undefined;
  /** Is this call, whose node died, to be recovered, and how? No answer: yes, as the recovery policy says. */
  recover(call: LostCall, signal: AbortSignal): Promise<RecoverAnswer | undefined> | RecoverAnswer | undefined;
}

/** The events: facts, told after they happened. A listener that throws is logged by name. */
export interface Events {
  /** An INVITE has reached a call node; its route has not been asked for yet. */
  'call.started': [IncomingCall];
  /** The caller was answered: by the leg to this URI, or into what this dialled number stands for. */
  'call.answered': [{ readonly id: string; readonly answeredBy: string }];
  /** It is over, and this is its record. */
  'call.ended': [CallDetailRecord];
  /** Somebody is in a bridge; a plain call is a conference too. */
  'conference.created': [ConferenceFacts & { readonly node: string }];
  /** Its last participant has left. */
  'conference.ended': [{ readonly id: string; readonly room?: string }];
  /** In a room that has `activeSpeaker`; one that is muted or leaves while it speaks has stopped, too. */
  'conference.startedSpeaking': [SpeakerFacts];
  'conference.stoppedSpeaking': [SpeakerFacts];
  /** The sessions of a dead node are all recovered, or have ended. */
  'recovery.done': [RecoveryFacts];
  /** A node of the farm is in another state: `up`, `suspect`, `dead`, `draining`. */
  'node.changed': [{ readonly node: string; readonly from: string; readonly to: string; readonly reason: string }];
}

/** A typed name under which plugins offer services to each other. */
export interface ServiceToken<T> {
  /** By this name providers and users find each other. */
  readonly name: string;
  /** Type only; never set. */
  readonly service?: T;
}

/** Makes a token. Two of the same name are the same service, so a provider and a user need not share a module. */
export function serviceToken<T>(name: string): ServiceToken<T> {
  return { name };
}

/** Decides codecs: a pure function over trunk and subscriber, and the policies it may answer with. */
export interface TranscodingPolicies {
  /** All that `policyFor` may name. */
  readonly policies: readonly TranscodingPolicy[];
  /** Name of the one for callers that nothing is known of. */
  readonly defaultPolicy: string;
  /** Name of the policy of a leg to or from a trunk or a subscriber. */
  policyFor(leg: { readonly trunk?: string; readonly subscriber?: string }): string;
}
/** Who may use which codecs; the transcoding-policy plugin provides it. */
export const transcodingPolicies = serviceToken<TranscodingPolicies>('transcoding-policies');

/** How lost sessions are recovered; the session-recovery plugin provides it. */
export const recoveryPolicy = serviceToken<RecoveryPolicy>('recovery-policy');

/** Where dialogs are read that the daemon's own observation lacks. */
export const traceSource = serviceToken<TraceSource>('trace-source');

/** What phones have registered now; Holdfast itself provides it. */
export const bindings = serviceToken<Location>('bindings');
/** Where a subscriber is reached: registered and fixed contacts; the registrar plugin provides it. */
export const location = serviceToken<Location>('location');

/** Rooms and those who are in them; Holdfast itself provides it. */
export const roomControl = serviceToken<RoomControl>('room-control');

/** Calls that are up; Holdfast itself provides it. */
export const callControl = serviceToken<CallControl>('call-control');

/** Trunks and subscribers of the config; Holdfast itself provides it. */
export const directory = serviceToken<Directory>('directory');

/** The gateways of the trunks by their health; Holdfast itself provides it. */
export const trunkGateways = serviceToken<TrunkGateways>('trunk-gateways');

/** A logger of the plugin's own; its name is in each line. Fields first, then the message, as in pino. */
export interface PluginLogger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** What a plugin's `setup` is given. Everything registered here is undone by the host when the plugin stops. */
export interface PluginContext<Config> {
  /** What the plugin's schema made of its block, defaults filled in. */
  readonly config: Config;
  /** Put the call's id in as `call`: every line of a call has it there. */
  readonly log: PluginLogger;
  /** Answers a hook; once for each. */
  readonly hook: <Name extends keyof Hooks>(name: Name, answer: Hooks[Name]) => void;
  /** Listens to an event. */
  readonly on: <Name extends keyof Events>(name: Name, listener: (...facts: Events[Name]) => void) => void;
  /** Provides a service that this plugin named in `provides`. */
  readonly provide: <T>(token: ServiceToken<T>, service: T) => void;
  /** A service that this plugin named in `needs`; throws SERVICE_MISSING for any other. */
  readonly use: <T>(token: ServiceToken<T>) => T;
  /** A service that this plugin named in `needs` or `wants`; undefined when no plugin provides it. */
  readonly find: <T>(token: ServiceToken<T>) => T | undefined;
  /** Run at stop, last registered first, each with a deadline. */
  readonly onStop: (cleanUp: () => Promise<void> | void) => void;
}

/** What a plugin's module exports by default. */
export interface Plugin<Config = unknown> {
  /** The plugin's name: its config key and, for a built-in, its folder. */
  readonly name: string;
  /** `pluginApiVersion` it was written for. */
  readonly apiVersion: number;
  /** Strict schema of its config block; unknown keys are reported with file and line. */
  readonly config: ZodType<Config>;
  /** Tokens it uses; their providers are set up first. */
  readonly needs?: readonly ServiceToken<unknown>[];
  /** Tokens it uses where somebody provides them; those providers are set up first. */
  readonly wants?: readonly ServiceToken<unknown>[];
  /** Tokens it provides. */
  readonly provides?: readonly ServiceToken<unknown>[];
  /** Actions that it adds to flows; none of them has the name of a built-in one. */
  readonly actions?: readonly FlowAction[];
  /** How long its `setup` may take. Default 5000. */
  readonly setupTimeoutMs?: number;
  /**
   * What the schema cannot see: names of the config that must exist, and the like. Asked by `holdfast check` too, so
   * it changes nothing, and opens nothing but files that the config names.
   */
  check?(config: Config, directory: Directory): readonly PluginConfigProblem[];
  /** Registers hooks, events and services. */
  setup(context: PluginContext<Config>): Promise<void> | void;
}

/** Gives a plugin its types; the host checks it when it is loaded. */
export function definePlugin<Config>(plugin: Plugin<Config>): Plugin<Config> {
  return plugin;
}
