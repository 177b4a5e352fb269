// What a flow does to its caller's ears and asks of the outside, in ARI operations.
import { HoldfastError } from '../errors.js';
import type { Flows } from '../flows/flows.js';
import type { Logger } from '../log.js';
import type { AriClient } from '../ports/asterisk.js';
import { callerLeg, type CallRecord } from './call-record.js';
import type { CallWorld } from './call-world.js';

/** Playback ids of ours are the call's id with a number behind it, as those of legs are. */
function playbackId(call: CallRecord, id: string): string {
  return `${call.id}-${id}`;
}

type FlowWorld = Pick<CallWorld, 'flowActions' | 'play' | 'stopPlay' | 'lookPlay' | 'ask'>;

export function flowWorld(
  { flows, log }: { readonly flows: Flows; readonly log: Logger },
  ariOf: (call: CallRecord) => AriClient,
): FlowWorld {
  return {
    flowActions: () => flows.actions,
    async play(call, id, media, offsetMs) {
      await ariOf(call).channels.play({
        channelId: callerLeg(call).id,
        media: flows.mediaUri(media),
        playbackId: playbackId(call, id),
        ...(offsetMs === 0 ? {} : { offsetms: Math.round(offsetMs) }),
      });
    },
    async stopPlay(call, id) {
      // One that has ended by itself at this moment is no more.
      await unlessGone(ariOf(call).playbacks.stop({ playbackId: playbackId(call, id) }));
    },
    lookPlay: (call, id) =>
      unlessGone(ariOf(call).playbacks.get({ playbackId: playbackId(call, id) })).then(found => found !== undefined),
    async ask(call, asking) {
      const event = await flows.ask(call, asking);
      if (event.type === 'askFailed' && call.run?.asking === asking) {
        log.warn(
          { call: call.id, flow: call.run.name, reason: event.reason },
          `a flow's question failed: ${event.reason}`,
        );
      }
      return { type: 'flow', event };
    },
  };
}

/** Undefined where it is not there any more. */
async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404) return undefined;
    throw error;
  }
}
