// What a flow does to its caller's ears and asks of the outside, in ARI operations.
import { heardUnlessDead } from '../conferences/node-deaths.js';
import { HoldfastError } from '../errors.js';
import type { NodeStates } from '../farm/node-states.js';
import type { Flows } from '../flows/flows.js';
import type { Logger } from '../log.js';
import type { AriClient } from '../ports/asterisk.js';
import { callerLeg, homeOf, type CallRecord } from './call-record.js';
import type { CallWorld } from './call-world.js';

/** Playback ids of ours are the call's id with a number behind it, as those of legs are. */
function playbackId(call: CallRecord, id: string): string {
  return `${call.id}-${id}`;
}

type FlowWorld = Pick<CallWorld, 'flowActions' | 'play' | 'stopPlay' | 'lookPlay' | 'ask'>;

export function flowWorld(
  { flows, nodes, log }: { readonly flows: Flows; readonly nodes: NodeStates; readonly log: Logger },
  ariOf: (call: CallRecord) => AriClient,
): FlowWorld {
  return {
    flowActions: () => flows.actions,
    async play(call, id, media, offsetMs) {
      const order = {
        channelId: callerLeg(call).id,
        media: flows.mediaUri(media),
        playbackId: playbackId(call, id),
        ...(offsetMs === 0 ? {} : { offsetms: Math.round(offsetMs) }),
      };
      // What was asked of a node that died is played when the caller is recovered.
      await heardUnlessDead(nodes, homeOf(call), () => ariOf(call).channels.play(order));
    },
    async stopPlay(call, id) {
      // One that has ended by itself at this moment is no more.
      const stop = (): Promise<unknown> => unlessGone(ariOf(call).playbacks.stop({ playbackId: playbackId(call, id) }));
      await heardUnlessDead(nodes, homeOf(call), stop);
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
