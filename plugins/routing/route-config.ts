// The config block of the routing plugin, as it is written.
import { z } from '../../core/plugin-api.js';

/** YAML takes 9001 for a number; here it is what is dialled. */
const text = z.union([z.string(), z.number().transform(String)]);
const names = z.union([z.literal('any'), z.array(text).min(1)]);
const seconds = z.number().positive().max(600);

const target = z.strictObject({
  /** Every gateway of this trunk, best first. */
  trunk: text.optional(),
  /** Every contact of this subscriber; `dialled` is the one that was dialled. */
  subscriber: text.optional(),
  /** A SIP URI as it stands. */
  uri: z
    .string()
    .regex(/^sips?:[^\s<>"@]+@[^\s<>"@]+$/, 'must be a SIP URI, sip:user@host')
    .optional(),
  /** Instead of the dialled number, to a trunk. */
  number: text.optional(),
  /** Characters taken from the front of the dialled number, to a trunk. */
  strip: z.int().min(0).max(32).optional(),
  /** Put in front of what is left. */
  prefix: text.optional(),
  ringTimeoutSeconds: seconds.optional(),
});

const route = z.strictObject({
  /** For log and CDR; default: its pattern. */
  name: z.string().optional(),
  dial: z.union([text, z.array(text).min(1)]),
  /** Who may use it; default: everybody. */
  from: z.strictObject({ trunks: names.optional(), subscribers: names.optional() }).optional(),
  // What to do: exactly one of these.
  to: z.array(target).min(1).optional(),
  /** `dialled` is the room of the dialled number. */
  room: text.optional(),
  echo: z.literal(true).optional(),
  /** SIP status. */
  reject: z.int().min(400).max(699).optional(),
  /** Why it is rejected, for log and CDR. */
  reason: z.string().optional(),
  // How to connect.
  /** Ring all targets together; default: only where the one target is a subscriber. */
  atOnce: z.boolean().optional(),
  ringTimeoutSeconds: seconds.optional(),
  /** Number presented to the targets instead of the caller's. */
  callerNumber: text.optional(),
});

export const routingConfig = z.strictObject({ routes: z.array(route).default([]) });
export type RouteConfig = z.infer<typeof route>;
export type TargetConfig = z.infer<typeof target>;
export type RoutingConfig = z.infer<typeof routingConfig>;
