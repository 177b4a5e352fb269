// What a plugin may know of a call and answer about it: plain values, part of the public plugin API.

/** Where an initial INVITE came from, as the edge established it (source address or digest). */
export type CallSource =
  { readonly kind: 'trunk'; readonly trunk: string } | { readonly kind: 'subscriber'; readonly subscriber: string };

/** Header fields of a SIP message by lower-case name, each with its values in the order of the message. */
export type SipHeaders = Readonly<Record<string, readonly string[]>>;

/**
 * How the headers of an outgoing INVITE are to differ from those that Holdfast would send. Headers that SIP itself works by (From,
 * Via, Contact, …), and `X-Holdfast-…`, cannot be changed.
 */
export interface HeaderChanges {
  /** Sent with exactly this value, in place of what would be passed on from the caller. */
  readonly set?: Readonly<Record<string, string>>;
  /** Not passed on from the caller. */
  readonly remove?: readonly string[];
}

/** An inbound call at the moment it asks for a route. */
export interface IncomingCall {
  /** The call's one id of ours. */
  readonly id: string;
  /** Call-ID of its INVITE. */
  readonly sipCallId: string;
  readonly source: CallSource;
  /** User part of the Request-URI: what was dialled. */
  readonly dialled: string;
  /** User part of who calls: what a trusted trunk asserts (RFC 3325), else what the INVITE's From says. */
  readonly callerNumber: string;
  /** Display name, empty where there is none. */
  readonly callerName: string;
  /** What its Privacy header asks for, in lower case: `id`, `user`, `header`, `history`, `none`, … */
  readonly privacy: readonly string[];
  /** Those headers of its INVITE that are passed on; nothing else of the message is kept. */
  readonly headers: SipHeaders;
}

/** One place a call may be connected to: a SIP URI, one leg. */
export interface ConnectTarget {
  /** Request-URI of the INVITE, e.g. `sip:70001@192.0.2.8:5060`. */
  readonly uri: string;
  /** What the INVITE passes on its way there, in this order: Route values, as a registration's Path has them (RFC 3327). */
  readonly path?: readonly string[];
  /** Trunk or subscriber this leg belongs to: decides its transcoding policy and its Asterisk endpoint. */
  readonly trunk?: string;
  readonly subscriber?: string;
  /** Seconds it may ring before it is cancelled (CANCEL) and the next one is tried. */
  readonly ringTimeoutSeconds?: number;
  /** For this target alone; goes before the step's own. */
  readonly headers?: HeaderChanges;
}

/** Connect the caller to the first target that answers. When none does, the flow's next step follows. */
export interface ConnectStep {
  readonly action: 'connect';
  readonly targets: readonly ConnectTarget[];
  /** One after the other, or all at once: then the first answer wins, and the others are cancelled. */
  readonly strategy: 'in-order' | 'at-once';
  /** Seconds for each target that has none of its own. Default 30. */
  readonly ringTimeoutSeconds?: number;
  /** Number presented to the targets; default: the caller's. */
  readonly callerNumber?: string;
  /** Name presented to the targets; default: the caller's. */
  readonly callerName?: string;
  /** Headers of the INVITE to each target. */
  readonly headers?: HeaderChanges;
}

/** Join a room: a conference that others may be in already. */
export interface ConferenceJoinStep {
  readonly action: 'conference_join';
  /** Its name; the room is there as long as somebody is in it. */
  readonly room: string;
  /** Default: what the `enter` hook says, else `speaker`. */
  readonly role?: 'moderator' | 'speaker' | 'listener';
}

/** Answer and send the caller's audio back to them. */
export interface EchoStep {
  readonly action: 'echo';
}

/** What to do with a call. Run in order; a call whose steps are done is hung up. */
export type FlowStep = ConnectStep | ConferenceJoinStep | EchoStep;

/** Refuse with exactly this SIP status (400-699). */
export interface RejectAnswer {
  readonly reject: number;
  /** For the log and the CDR. */
  readonly reason: string;
  /** When the caller may try again (RFC 3261 §20.33), as 503 says that it may. */
  readonly retryAfterSeconds?: number;
  /** What refuses, for the log and the call record. */
  readonly routeName?: string;
}

/** Run these steps. */
export interface FlowAnswer {
  readonly flow: readonly FlowStep[];
  /** For the log and the call record. */
  readonly routeName: string;
  /** Seconds from the answer after which the call is ended; 0: never. Default: `limits.maxCallSeconds` of the config. */
  readonly maxCallSeconds?: number;
}

/** Run the flow that has this name in the config. */
export interface NamedFlowAnswer extends Omit<FlowAnswer, 'flow'> {
  readonly flowName: string;
}

/** What a `route` hook answers: a refusal, or a flow. */
export type RouteAnswer = RejectAnswer | FlowAnswer | NamedFlowAnswer;

/** The config's `limits`: after how many seconds something is ended that does not end by itself. 0: never. */
export interface Limits {
  /** A call that is not answered, from its INVITE. */
  readonly maxSetupSeconds: number;
  /** A call, from its answer. */
  readonly maxCallSeconds: number;
  /** A leg from which no RTP and no RTCP comes. */
  readonly rtpTimeoutSeconds: number;
  /** The same of a leg that is on hold, by its phone or by us. */
  readonly rtpTimeoutOnHoldSeconds: number;
  /** Channels, bridges, media sessions and the like that belong to no call. */
  readonly strayGraceSeconds: number;
}

/** A leg that is about to be dialled: the INVITE to one target, as it would be sent. */
export interface OutgoingLeg {
  readonly call: IncomingCall;
  /** What routed the call. */
  readonly routeName: string;
  readonly target: ConnectTarget;
  /** As the callee would see them: of a caller who wants privacy, `anonymous`. */
  readonly callerNumber: string;
  readonly callerName: string;
  /** Passed on from the caller, and changed as the route said. */
  readonly headers: SipHeaders;
}

/** What is to be otherwise in a leg's INVITE. */
export interface DialAnswer {
  readonly callerNumber?: string;
  readonly callerName?: string;
  readonly headers?: HeaderChanges;
}

/** A target has answered with a 3xx: it names others to be called in its place. */
export interface Redirection {
  readonly call: IncomingCall;
  /** Who redirects. */
  readonly target: ConnectTarget;
  /** 301, 302, … */
  readonly sipStatus: number;
  /** SIP URIs, best first, as it named them: they may point anywhere. */
  readonly contacts: readonly string[];
}

/** Who is called in its place, next or, in a step that rings all at once, now. None: the target has failed. */
export interface RedirectAnswer {
  readonly targets: readonly ConnectTarget[];
}

/** Somebody at the far end of a leg of a call. */
export interface Party {
  readonly side: 'caller' | 'callee';
  /** The caller's number, or the URI that was called. */
  readonly peer: string;
  readonly trunk?: string;
  readonly subscriber?: string;
}

/** A transfer: one party of a call, or an operator, asks that the other one be connected elsewhere (REFER, RFC 3515). */
export interface Referral {
  readonly call: IncomingCall;
  /** Who asks, and is replaced. */
  readonly by: Party;
  /** Who is to be connected. */
  readonly transferee: Party;
  /** User part of the Refer-To. */
  readonly dialled: string;
  /** An attended transfer: who is to be connected with the transferee, in a call of their own with `by`. Answered with {@link JoinStep}, or any step. */
  readonly consulted?: Party;
  /** Nobody is replaced: `by` has somebody else come in, and is the transferee too. */
  readonly adds?: boolean;
  /** An operator or a program orders it, and `by` is replaced: whether they may transfer is not the question. */
  readonly commanded?: boolean;
}

/**
 * Whom the transferee is connected to. Whoever asked for it is told what becomes of it, and is hung up when somebody answers. The
 * new party sees the transferee, unless the step says otherwise.
 */
export type ReferAnswer = ConnectStep | JoinStep;

/** Allows an attended transfer: both are there already, and are brought together. */
export interface JoinStep {
  readonly action: 'join';
}

/** Where a conference is to be mixed: on its call node, or on the conference farm. */
export interface Placement {
  readonly mixing: 'call-node' | 'conference-farm';
}

/** A conference: who hears whom. A plain call is one of two. */
export interface ConferenceFacts {
  /** Of a plain call, the call's id with `-conf` behind it. */
  readonly id: string;
  /** Room name; two-party calls have none. */
  readonly room?: string;
  /** Names of the call nodes its participants are on. */
  readonly callNodes: readonly string[];
}

/** One SIP dialog of a call: the caller's, or one to a target that was tried. Times as in the record. */
export interface LegFacts {
  readonly direction: 'inbound' | 'outbound';
  /** The caller's number, or the target's URI. */
  readonly peer: string;
  readonly sipCallId: string | null;
  /** Call node that had it last. */
  readonly node: string;
  /** Final status of one that was not answered; null for an answered one. */
  readonly sipStatus: number | null;
  readonly startedAt: string | null;
  readonly ringingAt: string | null;
  readonly answeredAt: string | null;
  readonly endedAt: string | null;
}

/** A transfer that was done. */
export interface TransferFacts {
  /** ISO 8601. */
  readonly at: string;
  /** Who was replaced. */
  readonly by: 'caller' | 'callee';
  /** `attended`: `by` had the other party in a call of its own, and both calls go on as one. */
  readonly kind: 'blind' | 'attended';
  /** User part of the Refer-To; empty in the call that was consulted. */
  readonly to: string;
  /** Id of the other call of an attended one, else null. */
  readonly call: string | null;
}

/** Why and how a call ended: one per call, exactly once. Times are ISO 8601 in UTC with milliseconds. */
export interface CallDetailRecord {
  /** The call's id, as in every log line of it. */
  readonly callId: string;
  /** Call-IDs of its legs, the caller's first. */
  readonly sipCallIds: readonly string[];
  readonly source: CallSource;
  readonly callerNumber: string;
  readonly dialled: string;
  /** What routed or refused it; null where nothing did. */
  readonly route: string | null;
  /** URI of the target that answered. */
  readonly answeredBy: string | null;
  readonly startedAt: string;
  readonly answeredAt: string | null;
  readonly endedAt: string;
  /** Earliest possible end where the daemon was away at the time; equals endedAt otherwise. */
  readonly endedNotBefore: string;
  /** From start to end, whole seconds rounded up. */
  readonly durationSeconds: number;
  /** From answer to end, whole seconds rounded up. */
  readonly billSeconds: number;
  readonly outcome: CallOutcome;
  /** Final SIP status sent to the caller; 200 where answered. */
  readonly sipStatus: number;
  readonly endedBy: 'caller' | 'callee' | 'holdfast';
  /** Why it ended, in words: the log's, or a plugin's that rejected it. */
  readonly reason: string;
  /** Key of the config's `limits` that ended it, null where none did. */
  readonly limit: string | null;
  /** Every call node that it was on. */
  readonly nodes: readonly string[];
  /** How many times a node died under the call and its sessions were recovered on another. */
  readonly recoveries: number;
  /** In their order. */
  readonly transfers: readonly TransferFacts[];
  /** The caller's leg first, then one for each target that was tried. */
  readonly legs: readonly LegFacts[];
}

/** How a call ended, in one word. */
export type CallOutcome = 'answered' | 'busy' | 'no-answer' | 'declined' | 'cancelled' | 'failed' | 'rejected';
