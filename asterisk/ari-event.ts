// Reads ARI events from the wire: those that core knows are checked, all others are skipped and counted.
import { z } from 'zod';
import type { AriEvent } from '../core/ports/asterisk.js';

const channel = z.looseObject({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  caller: z.looseObject({ name: z.string(), number: z.string() }),
  channelvars: z.record(z.string(), z.string()).optional(),
});
const bridge = z.looseObject({ id: z.string() });
const args = z.array(z.string());

const known = {
  StasisStart: z.looseObject({ channel, args }),
  StasisEnd: z.looseObject({ channel }),
  ChannelStateChange: z.looseObject({ channel }),
  ChannelHold: z.looseObject({ channel }),
  ChannelUnhold: z.looseObject({ channel }),
  ChannelHangupRequest: z.looseObject({ channel }),
  ChannelDestroyed: z.looseObject({ channel, cause: z.number(), tech_cause: z.number().optional() }),
  Dial: z.looseObject({ peer: channel, dialstatus: z.string() }),
  ChannelDtmfReceived: z.looseObject({ channel, digit: z.string() }),
  BridgeDestroyed: z.looseObject({ bridge }),
  ContactStatusChange: z.looseObject({ contact_info: z.looseObject({ aor: z.string(), uri: z.string() }) }),
  PlaybackFinished: z.looseObject({ playback: z.looseObject({ id: z.string(), state: z.string() }) }),
} as const;

/** What Asterisk is asked to send; everything else costs it and us for nothing. */
export const eventTypes = Object.keys(known) as readonly (keyof typeof known)[];

const envelope = z.looseObject({ type: z.string() });

/** Undefined for garbage and for types that core does not know; which of the two is counted. */
export function readEvent(data: unknown, counters: { garbage: number; skipped: number }): AriEvent | undefined {
  try {
    const text = Buffer.isBuffer(data) ? data.toString('utf8') : String(data);
    const message = envelope.parse(JSON.parse(text));
    if (!Object.hasOwn(known, message.type)) {
      counters.skipped += 1;
      return undefined;
    }
    return known[message.type as keyof typeof known].parse(message) as unknown as AriEvent;
  } catch {
    counters.garbage += 1;
    return undefined;
  }
}
