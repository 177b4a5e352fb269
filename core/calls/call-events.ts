// What can happen to a call, and what can be done for it: the words of its state table.
import type { Refusal } from '../trunks/call-limits.js';
import type { RunEvent } from '../flows/interpreter.js';
import type { FlowRun } from '../flows/flow-run.js';
import type { ConnectStep, ConnectTarget, FlowAnswer, RejectAnswer } from './call-facts.js';
import type { CallRecord, OtherCall, ReplacedDialog } from './call-record.js';
import type { HeaderField } from './leg-headers.js';

/** A flow as it is run: steps that are ready, or a flow with its first step to come. */
export type Routed = RejectAnswer | Refusal | (FlowAnswer & { readonly run?: FlowRun });

/** What can happen to a call. */
export type CallEvent =
  | { readonly type: 'started' }
  /** `maxCallSeconds`: of a call whose route says nothing of it. */
  | { readonly type: 'routed'; readonly answer: Routed | undefined; readonly maxCallSeconds?: number }
  | { readonly type: 'routeFailed'; readonly reason: string }
  | { readonly type: 'legRinging'; readonly leg: string }
  | { readonly type: 'legProgress'; readonly leg: string }
  | { readonly type: 'legAnswered'; readonly leg: string }
  | { readonly type: 'legHeld'; readonly leg: string; readonly held: boolean }
  | { readonly type: 'legCallId'; readonly leg: string; readonly sipCallId: string }
  /** `notBeforeMs`: earliest time it can have ended, where we were blind meanwhile. */
  | {
      readonly type: 'legEnded';
      readonly leg: string;
      readonly sipStatus: number;
      readonly notBeforeMs?: number;
      /** Of the message that ended it, for the other legs. */
      readonly headers?: readonly HeaderField[];
      /** Whom a 3xx named. */
      readonly contacts?: readonly string[];
      /** Its Asterisk has ended it, as no RTP came from its phone for as long as the call's `rtpTimeouts` say. */
      readonly silent?: boolean;
      /** It was found gone when the daemon came back, or looked. */
      readonly unseen?: boolean;
      /** Nobody hung up: why its session is gone, in words. */
      readonly lost?: string;
      /** Its Asterisk has given the far end up, which had not said a word. */
      readonly givenUp?: boolean;
      /** Its CANCEL came before any answer of ours, whatever the record says: that Asterisk's own INVITE session was never up. */
      readonly cancelled?: boolean;
      /** Its node died before the caller was answered, whatever the record says: the caller was sent `sipStatus` instead. */
      readonly unanswered?: boolean;
      /** Its node died with it. */
      readonly nodeDied?: boolean;
    }
  | { readonly type: 'redirected'; readonly leg: string; readonly targets: readonly ConnectTarget[] }
  /** The leg's far end, or with `commanded` an operator, wants the other one connected to this number. */
  | {
      readonly type: 'referred';
      readonly leg: string;
      readonly dialled: string;
      readonly commanded?: boolean;
      /** Nobody is replaced: whoever is at this number comes in as well. */
      readonly adds?: boolean;
      /** Whoever asks talks to somebody in this dialog, too, who is to be connected. */
      readonly replaces?: ReplacedDialog;
      /** The same by command: the leg of the other call that is replaced. */
      readonly other?: OtherCall;
    }
  /** An attended one is allowed: that leg of the other call is whoever asks. */
  | { readonly type: 'consulted'; readonly leg: string; readonly other: OtherCall }
  /** Those who are left of both calls are in this conference, or are not. */
  | { readonly type: 'merged'; readonly conferenceId: string }
  | { readonly type: 'mergeFailed'; readonly reason: string }
  /** Told to the other call: this leg of it is about to be replaced by that call, has been, or is not. */
  | { readonly type: 'givesWay'; readonly leg: string }
  | { readonly type: 'gaveWay'; readonly leg: string; readonly conferenceId: string; readonly to: string }
  | { readonly type: 'staysAfterAll'; readonly leg: string }
  /** What a plugin makes of that; nothing: it is declined. */
  | { readonly type: 'transferred'; readonly leg: string; readonly step: ConnectStep | undefined }
  | { readonly type: 'ringTimeout'; readonly leg: string }
  /** Its gateway has not said a word for too long. */
  | { readonly type: 'legSilent'; readonly leg: string }
  /** The call's deadline has come. */
  | { readonly type: 'deadline'; readonly atMs: number }
  /** The node of these legs died: they are recovered on `node`, or wait there until one is found. */
  /** Their node was last heard at `sinceMs`: what it was to play since then nobody has heard. */
  | {
      readonly type: 'legsMoved';
      readonly legs: readonly string[];
      readonly node: string;
      readonly epoch: string;
      readonly sinceMs?: number;
    }
  | { readonly type: 'legRecovered'; readonly leg: string }
  /** It has a place in the room of its step, or has not. */
  | { readonly type: 'entered' }
  | { readonly type: 'notEntered'; readonly sipStatus: number; readonly reason: string }
  /** Of the flow that runs: a digit, the end of a playback, a timer, an answer. */
  | { readonly type: 'flow'; readonly event: RunEvent }
  | { readonly type: 'joined'; readonly conferenceId: string }
  | { readonly type: 'joinFailed'; readonly reason: string }
  | { readonly type: 'hangup'; readonly reason: string };

export type LegEnded = Extract<CallEvent, { type: 'legEnded' }>;

/** What is to be done for a call, in this order, after the record is in the store. */
export type CallAction =
  | { readonly do: 'route' }
  | { readonly do: 'dial'; readonly legs: readonly string[] }
  | { readonly do: 'redirect'; readonly leg: string }
  | { readonly do: 'refer'; readonly leg: string }
  | { readonly do: 'tellReferrer'; readonly leg: string; readonly outcome: TransferOutcome }
  /** A leg has left, and the call goes on without it; with `orEnd` unless nobody but one is left. */
  | { readonly do: 'part'; readonly leg: string; readonly orEnd?: boolean }
  /** Brings this call and another together, without whoever is in both. */
  | { readonly do: 'merge'; readonly other: OtherCall }
  /** Nobody of it is on hold any more. */
  | { readonly do: 'unhold' }
  | { readonly do: 'ring' }
  | { readonly do: 'progress' }
  | { readonly do: 'answer' }
  /** What the caller says, or says again. */
  | { readonly do: 'mute'; readonly muted: boolean }
  | { readonly do: 'enter' }
  /** `answer`: the caller has not been answered yet, and is. */
  | { readonly do: 'join'; readonly legs: readonly string[]; readonly answer?: true }
  /** `afterMs`: unless it has ended by itself by then. */
  | {
      readonly do: 'hangup';
      readonly leg: string;
      readonly cause: number;
      readonly headers?: readonly HeaderField[];
      readonly afterMs?: number;
    }
  | { readonly do: 'reject'; readonly sipStatus: number; readonly headers?: readonly HeaderField[] }
  | { readonly do: 'play'; readonly id: string; readonly media: string; readonly offsetMs: number }
  | { readonly do: 'stopPlay'; readonly id: string }
  | { readonly do: 'lookPlay'; readonly id: string; readonly sinceMs: number }
  | { readonly do: 'ask'; readonly asking: number }
  | { readonly do: 'leave' }
  | { readonly do: 'finish' };

/** What whoever asked for a transfer is told of it: `refused` before it was in progress, `declined` after. */
export type TransferOutcome = 'progress' | 'answered' | 'declined' | 'unavailable' | 'refused';

export interface Transition {
  readonly call: CallRecord;
  readonly actions: readonly CallAction[];
}

export function unchanged(call: CallRecord): Transition {
  return { call, actions: [] };
}

/** This first, then what it leads to. */
export function andThen(first: Transition, then: (call: CallRecord) => Transition): Transition {
  const next = then(first.call);
  return { call: next.call, actions: [...first.actions, ...next.actions] };
}
