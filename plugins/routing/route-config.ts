// The config block of the routing plugin, as it is written.
import { targetConfig, z } from '../../core/plugin-api.js';

/** YAML takes 9001 for a number; here it is what is dialled. */
const text = z.union([z.string(), z.number().transform(String)]);
const names = z.union([z.literal('any'), z.array(text).min(1)]);
const ringTimeout = z.number().positive().max(600).optional();

const from = z.strictObject({
  trunks: names.optional().describe('Names of trunks, or any.'),
  subscribers: names.optional().describe('Names of subscribers, or any.'),
});

const target = targetConfig.extend({
  table: z
    .string()
    .min(1)
    .optional()
    .describe(
      'A CSV file of lines prefix,trunk or prefix,trunk|trunk beside the config: the trunks of the longest prefix.',
    ),
});

const route = z.strictObject({
  name: z.string().optional().describe('For log and call record; default: its pattern.'),
  dial: z
    .union([text, z.array(text).min(1)])
    .describe('Dialled numbers: x a digit, z 1-9, n 2-9, [2-5] one of these, . one or more of any, ! none or more.'),
  from: from.optional().describe('Who may use it; default: everybody.'),
  // What to do: exactly one of these.
  to: z.array(target).min(1).optional().describe('Connect to these, in order or all at once.'),
  flow: text.optional().describe('Run the flow of this name.'),
  room: text.optional().describe('Join the conference of this name; dialled is the dialled number.'),
  echo: z.literal(true).optional().describe('Answer, and send the audio of the caller back.'),
  reject: z.int().min(400).max(699).optional().describe('Refuse with this SIP status.'),
  reason: z.string().optional().describe('Why it is rejected, for log and call record.'),
  // How to connect.
  atOnce: z
    .boolean()
    .optional()
    .describe('Ring all targets together; default: only where the one target is a subscriber.'),
  ringTimeoutSeconds: ringTimeout.describe('How long each target may ring.'),
  redirects: z
    .enum(['number', 'uri', 'refuse'])
    .default('number')
    .describe(
      'A target answers 3xx: number calls whom it names, as if it had dialled that; uri calls its Contact as it stands; refuse takes it for failed.',
    ),
  transfers: z
    .enum(['caller', 'callee', 'both'])
    .optional()
    .describe('Who of its calls may transfer the other one (REFER), to where they may call; default: nobody.'),
  callerNumber: text.optional().describe('Number presented to the targets instead of the one of the caller.'),
  maxCallSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .optional()
    .describe('Its calls are ended so long after their answer, instead of after limits.maxCallSeconds; 0: never.'),
});

export const routingConfig = z
  .strictObject({ routes: z.array(route).default([]).describe('Tried from the top; the first that fits decides.') })
  .describe('Where calls go, by who calls and what is dialled.');
export type RouteConfig = z.infer<typeof route>;
export type RouteTarget = z.infer<typeof target>;
export type RoutingConfig = z.infer<typeof routingConfig>;
