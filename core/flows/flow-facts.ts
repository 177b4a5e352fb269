// What the actions of flows are made of: plain values and interfaces, part of the public plugin API.
import type { ZodType } from 'zod';
import type { ConferenceJoinStep, ConnectStep, EchoStep, IncomingCall } from '../calls/call-facts.js';
import type { Directory, PluginConfigProblem } from '../plugins/plugin-facts.js';

/** One action of a flow as a list has it: its name, a label that others may go to, and the action's own keys. */
export interface FlowEntry {
  readonly action: string;
  readonly label?: string;
  readonly [key: string]: unknown;
}

/** What a caller is given to hear: the name of a sound, a tone for so long, or silence. */
export type MediaItem =
  | string
  | { readonly sound: string }
  /** An indication (`ring`, `busy`, `congestion`) or frequencies as in `440+480/2000,0/4000`. */
  | { readonly tone: string; readonly seconds: number }
  | { readonly silence: number };

/** What a step may hear while it runs. */
export type FlowEvent =
  | { readonly type: 'digit'; readonly digit: string }
  /** All that was to be played has been. */
  | { readonly type: 'played' }
  /** The step's timer has run out. */
  | { readonly type: 'timeout' }
  /** What its `ask` resolved with. */
  | { readonly type: 'answer'; readonly value: unknown }
  | { readonly type: 'askFailed'; readonly reason: string }
  /** Nobody of a `connect` has answered; with the best of their final responses. Or a room has not let the caller in. */
  | { readonly type: 'connectEnded'; readonly outcome: ConnectOutcome; readonly sipStatus: number }
  /** Whoever the caller was connected to has hung up. Where a step does not hear this, the call is over. */
  | { readonly type: 'parted' };

/** Why nobody has answered. */
export type ConnectOutcome = 'busy' | 'no-answer' | 'declined' | 'failed';

/** What a step has done with the call itself. */
export type FlowCommand =
  | { readonly do: 'answer' }
  | { readonly do: 'ring' }
  /** Nobody whom the caller is connected to hears them; in a room: they enter it muted. */
  | { readonly do: 'mute'; readonly muted: boolean }
  /** `sipStatus` where it was not answered yet; an answered one is hung up. */
  | { readonly do: 'hangup'; readonly sipStatus: number; readonly reason: string }
  /** Connects, joins or echoes; of several the next one follows where one has reached nobody. */
  | { readonly do: 'run'; readonly steps: readonly (ConnectStep | ConferenceJoinStep | EchoStep)[] };

/** Where a flow goes on: with the step below, or with the one of a label. */
export type FlowWay = 'next' | { readonly label: string };

/** What a step does at its beginning, or about something that it hears. Whatever is left out stays as it is. */
export interface FlowTurn<State = unknown> {
  /** The step is done; what it plays and its timer end with it. Left out: it waits. */
  readonly go?: FlowWay;
  /** What it must know later on: plain values, kept in the call's record. */
  readonly state?: State;
  readonly variables?: Readonly<Record<string, string>>;
  /** In place of what is playing; `times` 0: over and over. */
  readonly play?: { readonly items: readonly MediaItem[]; readonly times?: number } | 'stop';
  /** What the caller hears whenever no step plays anything, over and over; null: nothing any more. */
  readonly music?: readonly MediaItem[] | null;
  /** In place of the timer that runs; null: none. `forCaller`: time in which the caller cannot be heard does not count. */
  readonly timer?: { readonly seconds: number; readonly forCaller?: boolean } | null;
  /** Has `ask` run; its result comes as an event. */
  readonly ask?: true;
  readonly commands?: readonly FlowCommand[];
  /** These entries take the place of the whole flow, from their first one on. */
  readonly follow?: readonly FlowEntry[];
}

/** What a step may know of the call that it runs for. */
export interface FlowScene {
  readonly call: IncomingCall;
  /** The caller was answered. */
  readonly answered: boolean;
  /** They hear music whenever no step plays anything. */
  readonly isOnHold: boolean;
  readonly nowMs: number;
  readonly variables: Readonly<Record<string, string>>;
  /** How often this step has begun in this call, with this time. */
  readonly visits: number;
  /** The text with its `${name}` filled in; `encode` is applied to each value. */
  readonly text: (template: string, encode?: (value: string) => string) => string;
}

/** Where a step may go on, for the check of a flow. */
export interface FlowExits {
  /** Labels it names, each with the keys that lead to the place. */
  readonly labels: readonly { readonly path: readonly (string | number)[]; readonly label: string }[];
  /** It may go on with the step below. */
  readonly next: boolean;
}

/**
 * An action of flows. All but `ask` are pure functions of what they are given: a call's position is in the store before anything is
 * done, and another daemon may go on from there.
 */
export interface FlowAction<Step = unknown, State = unknown> {
  /** As flows name it, e.g. `digits_receive`. */
  readonly name: string;
  /** What it does, in a sentence, for the reference. */
  readonly summary: string;
  /** Strict schema of its keys, without `action` and `label`. */
  readonly step: ZodType<Step>;
  /** Left out: the step below. */
  exits?(step: Step): FlowExits;
  /** True for a step that goes on at once, whatever happens: a circle of such steps has no end. Left out: it waits for something. */
  goesOnAtOnce?(step: Step): boolean;
  /** What the schema cannot see. Opens nothing. */
  check?(step: Step, directory: Directory): readonly PluginConfigProblem[];
  /** Sounds that it plays. */
  sounds?(step: Step): readonly { readonly path: readonly (string | number)[]; readonly items: readonly MediaItem[] }[];
  begin(step: Step, scene: FlowScene): FlowTurn<State>;
  /** Undefined: the event is nothing to this step. */
  hear?(step: Step, state: State, event: FlowEvent, scene: FlowScene): FlowTurn<State> | undefined;
  /**
   * What takes time: a request, a look-up. Asked again where a daemon died over it, so it bears being asked twice. Rejects where it
   * fails. `askId` names this asking, also when it is asked again.
   */
  ask?(step: Step, scene: FlowScene, signal: AbortSignal, askId: string): Promise<unknown>;
  /** How long `ask` may take. Default 5000. */
  askTimeoutMs?(step: Step): number;
}

/** Gives an action its types. */
export function defineAction<Step, State = unknown>(action: FlowAction<Step, State>): FlowAction<Step, State> {
  return action;
}
