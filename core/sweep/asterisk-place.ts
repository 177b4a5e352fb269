// Channels and bridges of an Asterisk that belong to no call, and legs of calls that have no channel there any more.
import { HoldfastError } from '../errors.js';
import type { AriBridge, AriChannel, AriClient } from '../ports/asterisk.js';
import type { Stray, SweptPlace } from './sweep.js';

/** What the calls have on a node: ids of channels and of bridges. */
export interface Holdings {
  /** Legs of calls, inner legs on their call node, and channels that listen for a recording. */
  readonly channels: ReadonlySet<string>;
  /** On a conference node: inner legs by the number that they dialled. */
  readonly dialled: ReadonlySet<string>;
  readonly bridges: ReadonlySet<string>;
}

export interface AsteriskPlaceOptions {
  readonly node: string;
  readonly ari: AriClient;
  readonly holdings: () => Holdings;
  /** Legs that must have a channel there, as nothing of theirs is under way. */
  readonly settledLegs: () => readonly string[];
  /** Tells a leg's call that its channel is gone; false where it is known by now, or something is under way. */
  readonly legGone: (legId: string) => boolean;
  /** Ends a bridge, unless it belongs to somebody by then. */
  readonly endBridge: (bridgeId: string) => Promise<boolean>;
}

export function asteriskPlace(options: AsteriskPlaceOptions): SweptPlace {
  const { node, ari } = options;
  return {
    name: node,
    everyMs: 10_000,
    look: async () => {
      const [channels, bridges] = await Promise.all([ari.channels.list(), ari.bridges.list()]);
      // After the lists: what has begun meanwhile is known.
      const holdings = options.holdings();
      return [
        ...strayChannels(channels, holdings).map(channel => channelStray(channel, options)),
        ...strayBridges(bridges, holdings).map(bridge => bridgeStray(bridge, options)),
        ...withoutChannel(options.settledLegs(), channels).map(legId => legStray(legId, node, options)),
      ];
    },
  };
}

/** Only what a call can have: Asterisk makes channels of its own too, e.g. to play something to a bridge. */
const ofCalls = /^(PJSIP|Local|Snoop)\//;

export function strayChannels(channels: readonly AriChannel[], holdings: Holdings): AriChannel[] {
  return channels.filter(channel => ofCalls.test(channel.name) && !isHeld(channel, holdings));
}

function isHeld({ id, dialplan }: AriChannel, { channels, dialled }: Holdings): boolean {
  // The far end of a Local channel is named after the near one (main/core_unreal.c).
  return channels.has(id.replace(/;2$/, '')) || dialled.has(dialplan.exten);
}

export function strayBridges(bridges: readonly AriBridge[], holdings: Holdings): AriBridge[] {
  return bridges.filter(({ id }) => !holdings.bridges.has(id));
}

function withoutChannel(legIds: readonly string[], channels: readonly AriChannel[]): string[] {
  const there = new Set(channels.map(({ id }) => id));
  return legIds.filter(id => !there.has(id));
}

function channelStray(channel: AriChannel, { node, ari, holdings }: AsteriskPlaceOptions): Stray {
  const { id, name } = channel;
  return {
    id: `channel ${id}`,
    what: `channel ${name} on ${node}, which no call has`,
    fields: { node, channel: id },
    end: async () =>
      !isHeld(channel, holdings()) && unlessGone(ari.channels.hangup({ channelId: id }).then(() => true)),
  };
}

function bridgeStray({ id }: AriBridge, { node, endBridge }: AsteriskPlaceOptions): Stray {
  return {
    id: `bridge ${id}`,
    what: `bridge ${id} on ${node}, which no conference has`,
    fields: { node, bridge: id },
    end: () => unlessGone(endBridge(id)),
  };
}

function legStray(legId: string, node: string, { legGone }: AsteriskPlaceOptions): Stray {
  return {
    id: `leg ${legId}`,
    what: `leg ${legId}, of which ${node} has no channel`,
    fields: { node, leg: legId },
    end: () => Promise.resolve(legGone(legId)),
  };
}

/** False where there was nothing to end, else what the work says. */
async function unlessGone(work: Promise<boolean>): Promise<boolean> {
  try {
    return await work;
  } catch (error) {
    if (HoldfastError.is(error, 'ARI_REFUSED') && error.details['status'] === 404) return false;
    throw error;
  }
}
