// What a call acts upon: its Asterisk, the hooks, its conference, its flow and its record. `ari-world.ts` is the real one.
import type { NewEvent } from '../events/event-log.js';
import type { FlowActions } from '../flows/action-registry.js';
import type { CallEvent, TransferOutcome } from './call-events.js';
import type { DialAnswer, RejectAnswer } from './call-facts.js';
import type { CallRecord, OtherCall } from './call-record.js';
import type { HeaderField } from './leg-headers.js';

/** Each method throws HoldfastError when the server refused or did not answer. */
export interface CallWorld {
  /** Asks for the route; its answer comes back as an event. */
  route(call: CallRecord): Promise<CallEvent>;
  /** Asks what the leg's INVITE is to say, in order of precedence; or it is not to be dialled now. */
  askDial(call: CallRecord, legId: string): Promise<readonly DialAnswer[] | RejectAnswer>;
  dial(call: CallRecord, legId: string, answers: readonly DialAnswer[]): Promise<void>;
  /** Asks what becomes of a redirection; its answer comes back as an event. */
  redirect(call: CallRecord, legId: string): Promise<CallEvent>;
  /** Asks what becomes of a transfer; its answer comes back as an event. */
  refer(call: CallRecord, legId: string): Promise<CallEvent>;
  tellReferrer(call: CallRecord, legId: string, outcome: TransferOutcome): Promise<void>;
  ring(call: CallRecord): Promise<void>;
  progress(call: CallRecord): Promise<void>;
  answer(call: CallRecord): Promise<void>;
  /** Whether what the caller says is heard by anybody. */
  mute(call: CallRecord, muted: boolean): Promise<void>;
  /** Asks for a place in the room of the call's step; the answer comes back as an event. */
  enter(call: CallRecord): Promise<CallEvent>;
  /** Resolves with the conference's id. `answer`: the caller is answered first. */
  join(call: CallRecord, legIds: readonly string[], answer: boolean): Promise<string>;
  /** `headers` are added to what ends the leg, a BYE or a CANCEL; those of `reject` to the response. */
  hangup(call: CallRecord, legId: string, cause: number, headers: readonly HeaderField[]): Promise<void>;
  reject(call: CallRecord, sipStatus: number, headers: readonly HeaderField[]): Promise<void>;
  /** Does once more what the node has not answered: a moment later, in its turn. */
  again(node: string, work: () => Promise<void>): void;
  /** Takes one leg that is gone out of the conference; with `orEnd` the last one that is left of it is hung up. */
  part(call: CallRecord, legId: string, orEnd: boolean): Promise<void>;
  /** Takes all of the call off hold. */
  unhold(call: CallRecord): Promise<void>;
  leave(call: CallRecord): Promise<void>;
  /** How many of other calls are in its conference; Infinity in a room. */
  companions(call: CallRecord): number;
  /** Brings it together with another call; what came of it is an event. */
  merge(call: CallRecord, other: OtherCall): Promise<CallEvent>;
  /** Those that flows may have now. */
  flowActions(): FlowActions;
  /** Plays to the caller; its end comes as an event. */
  play(call: CallRecord, id: string, media: string, offsetMs: number): Promise<void>;
  stopPlay(call: CallRecord, id: string): Promise<void>;
  /** False for a playback that has ended, or never was. */
  lookPlay(call: CallRecord, id: string): Promise<boolean>;
  /** Asks what the flow's step asks; what comes of it is an event. */
  ask(call: CallRecord, asking: number): Promise<CallEvent>;
  /** What the event stream is told of a change; `before` is undefined for a call that begins. */
  eventsOf(before: CallRecord | undefined, after: CallRecord): readonly NewEvent[];
  /** In one transaction: the record, and what is told of its changes. */
  save(call: CallRecord, events: readonly NewEvent[]): Promise<void>;
  /** Writes the CDR and forgets the call. */
  finish(call: CallRecord, events: readonly NewEvent[]): Promise<void>;
  /** Told of each change of the record, at once. */
  changed(before: CallRecord, after: CallRecord): void;
}
