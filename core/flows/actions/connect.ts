// Connects the caller: to the first target that answers, to a room, or to themselves.
import { z } from 'zod';
import { flowSchema } from '../../calls/call-record.js';
import type { ConnectStep, IncomingCall, RejectAnswer } from '../../calls/call-facts.js';
import type { ConnectWish } from '../../calls/connect-steps.js';
import { checkTarget, targetConfig } from '../../calls/target-config.js';
import { defineAction, type FlowAction, type FlowScene, type FlowTurn } from '../flow-facts.js';
import { connectFailed, exitsOf, filledItems, itemsOf, label, mediaItems, ringingTone, text, way } from './parts.js';

/** Finds whom to call, with what is known at this moment, or why nobody may be called. */
export type FindTargets = (wish: ConnectWish, call: IncomingCall) => readonly ConnectStep[] | RejectAnswer;

const step = z.strictObject({
  to: z.array(targetConfig).min(1).describe('Whom to connect to: trunks, subscribers, URIs, as in a route.'),
  atOnce: z
    .boolean()
    .optional()
    .describe('Ring all targets together; default: only where the one target is a subscriber.'),
  ringTimeoutSeconds: z.number().positive().max(600).optional().describe('How long each target may ring; default: 30.'),
  callerNumber: text.optional().describe('Number presented to the targets; may have variables.'),
  callerName: text.optional().describe('Name presented to the targets; may have variables.'),
  music: mediaItems
    .optional()
    .describe(
      'What a caller who is answered already hears meanwhile, over and over; default: the music of one who is on hold, else the ringing tone.',
    ),
  onHangup: label
    .optional()
    .describe('Where the caller goes on when whoever they were connected to has hung up; default: the call is over.'),
  onBusy: label.optional().describe('Where to go on when the target is busy (486, 600).'),
  onNoAnswer: label.optional().describe('Where to go on when nobody answers in time, or is reachable (408, 480).'),
  onDeclined: label.optional().describe('Where to go on when the call is declined (603).'),
  onFailed: label.optional().describe('Where to go on after any other failure. Each default: the step below.'),
});
type Step = z.infer<typeof step>;

const refusal = z.object({ reject: z.number() });
const labels = { busy: 'onBusy', 'no-answer': 'onNoAnswer', declined: 'onDeclined', failed: 'onFailed' } as const;

export function connectAction(find: FindTargets): FlowAction<Step, null> {
  return defineAction<Step, null>({
    name: 'connect',
    summary:
      'Connects the caller to the first target that answers; when that one hangs up the call is over, unless `onHangup` says more. When none answers it goes on, with `${connect_outcome}` (busy, no-answer, declined, failed; after a hang-up: answered) and `${connect_status}` (the SIP status).',
    step,
    exits(given) {
      const { labels: named, next } = exitsOf(given, Object.values(labels));
      return { labels: [...named, ...exitsOf(given, ['onHangup']).labels], next };
    },
    check: ({ to }, directory) => to.flatMap((target, i) => checkTarget(target, directory, ['to', i])),
    sounds: ({ music }) => [{ path: ['music'], items: itemsOf(music) }],
    begin: ({ music }, { answered, isOnHold, text: fill }) => ({
      ask: true,
      ...(answered && music !== undefined ? { play: { items: filledItems(music, fill), times: 0 } } : {}),
      ...(answered && music === undefined && !isOnHold ? { play: ringingTone } : {}),
    }),
    // After a transfer another number is what was dialled.
    ask: (given, scene) =>
      Promise.resolve(
        find(wishOf(given, scene), { ...scene.call, dialled: scene.variables['dialled'] ?? scene.call.dialled }),
      ),
    hear(given, _, event) {
      if (event.type === 'answer') {
        const found = flowSchema.safeParse(event.value);
        if (found.success && found.data.length > 0) return { commands: [{ do: 'run', steps: found.data }] };
        const refused = refusal.safeParse(event.value);
        if (refused.success) return failed(given, 'failed', refused.data.reject);
        // RFC 3261 §21.4.18: known, and not reachable now.
        return failed(given, 'no-answer', 480);
      }
      if (event.type === 'askFailed') return failed(given, 'failed', 500);
      if (event.type === 'parted') return parted(given);
      return event.type === 'connectEnded' ? failed(given, event.outcome, event.sipStatus) : undefined;
    },
  });
}

function wishOf(given: Step, scene: FlowScene): ConnectWish {
  const fill = <Key extends string>(key: Key, value: string | undefined): { readonly [K in Key]?: string } =>
    value === undefined ? {} : ({ [key]: scene.text(value) } as { readonly [K in Key]: string });
  const to = given.to.map(target => ({
    ...target,
    ...fill('subscriber', target.subscriber),
    ...fill('number', target.number),
    ...fill('prefix', target.prefix),
  }));
  const { atOnce, ringTimeoutSeconds, callerNumber, callerName } = given;
  const shown = { ...shownAs('callerNumber', callerNumber, scene), ...shownAs('callerName', callerName, scene) };
  return { to, atOnce, ringTimeoutSeconds, ...shown };
}

const longestShown = 128;

/** A variable may hold anything, as a server's answer: nothing of it may leave its place in the From. */
function shownAs<Key extends string>(
  key: Key,
  value: string | undefined,
  scene: FlowScene,
): { readonly [K in Key]?: string } {
  if (value === undefined) return {};
  const shown = scene.text(value, one => one.replace(/[\p{Cc}"<>]/gu, ''));
  return { [key]: shown.slice(0, longestShown) } as { readonly [K in Key]: string };
}

function failed(given: Step, outcome: keyof typeof labels, sipStatus: number): FlowTurn<null> {
  return connectFailed(given[labels[outcome]], outcome, sipStatus);
}

function parted({ onHangup }: Step): FlowTurn<null> | undefined {
  if (onHangup === undefined) return undefined;
  return { go: way(onHangup), variables: { connect_outcome: 'answered', connect_status: '200' } };
}

const nowhere = (): { readonly labels: readonly []; readonly next: false } => ({ labels: [], next: false });

export const conferenceJoin = defineAction({
  name: 'conference_join',
  summary:
    'Answers the caller, who joins a room: a conference that others may be in already. They leave it by hanging up.',
  step: z.strictObject({
    room: text.pipe(z.string().min(1).max(128)).describe('Its name; may have variables.'),
    role: z
      .enum(['moderator', 'speaker', 'listener'])
      .optional()
      .describe('What the caller is in it; default: what a plugin says, else speaker.'),
    onRefused: label
      .optional()
      .describe(
        'Where to go on when the room is full, locked or closed to them; default: the call is refused, or hung up.',
      ),
  }),
  exits: ({ onRefused }) => ({
    labels: onRefused === undefined ? [] : [{ path: ['onRefused'], label: onRefused }],
    next: false,
  }),
  begin: ({ room, role }, scene) => {
    const as = role === undefined ? {} : { role };
    return { commands: [{ do: 'run', steps: [{ action: 'conference_join', room: scene.text(room), ...as }] }] };
  },
  hear({ onRefused }, _, event) {
    if (event.type !== 'connectEnded') return undefined;
    const { sipStatus } = event;
    if (onRefused !== undefined) return { go: way(onRefused), variables: { connect_status: String(sipStatus) } };
    return { commands: [{ do: 'hangup', sipStatus, reason: 'the room did not let them in' }] };
  },
});

export const echo = defineAction({
  name: 'echo',
  summary: 'Answers, and sends the audio of the caller back, until they hang up.',
  step: z.strictObject({}),
  exits: nowhere,
  begin: () => ({ commands: [{ do: 'run', steps: [{ action: 'echo' }] }] }),
});
