// The rooms of the conference plugin's config block, as they are written.
import { z } from '../../core/plugin-api.js';

/** YAML takes 8001 for a number; here it is a name. */
const text = z.union([z.string(), z.number().transform(String)]);
const names = z.union([z.literal('any'), z.array(text).min(1)]);

const callers = z
  .strictObject({
    trunks: names.optional().describe('Names of trunks, or any.'),
    subscribers: names.optional().describe('Names of subscribers, or any.'),
    numbers: z.array(text).min(1).optional().describe('Caller numbers, as patterns like those of rooms.'),
  })
  .describe('Calls that fit one of these.');

const sound = z
  .string()
  .regex(/^(tone:(join|leave)|sound:\/[^\s?*]+)$/, 'must be tone:join, tone:leave, or sound:/PATH without its ending')
  .nullable();

const activeSpeaker = z
  .union([
    z.boolean(),
    z.strictObject({
      silenceMs: z.int().min(200).max(10_000).default(1_000).describe('Who is quieter for so long has stopped, ms.'),
      level: z
        .int()
        .min(1)
        .max(32_767)
        .default(256)
        .describe('Speech is as loud as this, or louder: the mean magnitude of 16-bit samples.'),
    }),
  ])
  .transform(wanted => (wanted === true ? { silenceMs: 1_000, level: 256 } : wanted === false ? null : wanted));

const room = z.strictObject({
  room: z
    .union([text, z.array(text).min(1)])
    .describe('Names of rooms: x a digit, z 1-9, n 2-9, [2-5] one of these, . one or more of any, ! none or more.'),
  moderators: callers.optional().describe('Who is a moderator.'),
  listeners: callers.optional().describe('Who only hears; who is a moderator as well is one.'),
  others: z
    .union([z.enum(['speaker', 'listener', 'moderator']), z.int().min(400).max(699)])
    .default('speaker')
    .describe('What all others are, or the SIP status that they are refused with.'),
  maxParticipants: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe('Who comes when so many are in it is refused with 486.'),
  maxSeconds: z.int().min(1).max(604_800).optional().describe('The room is ended so long after it began.'),
  waitForModerator: z.boolean().optional().describe('While no moderator is in it, nobody hears anybody.'),
  musicWhenAlone: z.boolean().optional().describe('Who is alone, or waits for a moderator, hears music, not silence.'),
  endWhen: z
    .enum(['empty', 'last-moderator-leaves'])
    .optional()
    .describe('last-moderator-leaves hangs up the others then, too.'),
  joinSound: sound.optional().describe('What all hear when somebody joins: tone:join, or sound:/PATH.'),
  leaveSound: sound.optional().describe('What all hear when somebody leaves: tone:leave, or sound:/PATH.'),
  activeSpeaker: activeSpeaker.optional().describe('Whether it is told and shown who speaks, and when somebody does.'),
});

export const rooms = z
  .array(room)
  .default([])
  .describe('How rooms are kept; the first that fits decides, none is a plain room.');
export type RoomConfig = z.infer<typeof room>;
export type CallersConfig = z.infer<typeof callers>;
