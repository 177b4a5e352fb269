// The bridges of rooms, on all conference nodes, as their Asterisks have them.
import type { Farm } from './farm.js';
import { withAri } from './leftovers.js';

export interface RoomBridge {
  readonly node: string;
  readonly id: string;
  /** Channels of phones in it, not of recorders and announcers. */
  readonly phones: number;
}

/** Asked of the servers, not of the daemon. */
export async function roomBridges(farm: Farm): Promise<RoomBridge[]> {
  const { nodes } = await farm.status();
  const here = nodes.filter(one => one.farm === 'conference' && one.pid !== null);
  const found = here.map(({ name, address }) =>
    withAri(farm, name, address, async ari => {
      const [bridges, channels] = await Promise.all([ari.bridges.list(), ari.channels.list()]);
      const phones = new Set(channels.filter(one => one.name.startsWith('PJSIP/')).map(({ id }) => id));
      return bridges.map(one => ({
        ...{ node: name, id: one.id },
        phones: one.channels.filter(channel => phones.has(channel)).length,
      }));
    }),
  );
  return (await Promise.all(found)).flat().filter(({ id }) => id.startsWith('room-'));
}
