// What calls may leave behind in a farm: asked of every server itself, not of the daemon.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ariClient } from '../../asterisk/ari-client.js';
import { AriRequester } from '../../asterisk/ari-requester.js';
import type { AriClient } from '../../core/ports/asterisk.js';
import { NgClient } from '../../rtpengine/ng-client.js';
import type { Farm } from './farm.js';

/** Everything that is still there, in words; empty when nothing is. */
export async function leftovers(farm: Farm): Promise<string[]> {
  const { nodes } = await farm.status();
  const found = await Promise.all(
    nodes.map(async ({ name, farm: kind, address }): Promise<string[]> => {
      if (kind === 'kamailio') return [];
      return kind === 'rtpengine' ? sessions(name, address) : channelsAndBridges(farm, name, address);
    }),
  );
  const calls = (await farm.calls()).map(call => `call ${call.id}`);
  const conferences = (await farm.json<readonly { id: string }[]>('conferences')).map(one => `conference ${one.id}`);
  return [...calls, ...conferences, ...found.flat()];
}

async function sessions(name: string, host: string): Promise<string[]> {
  const client = new NgClient({ host, port: 2223 });
  try {
    return (await client.list(100)).map(callId => `${name}: session ${callId}`);
  } finally {
    client.close();
  }
}

async function channelsAndBridges(farm: Farm, name: string, address: string): Promise<string[]> {
  return withAri(farm, name, address, async ari => {
    const [channels, bridges] = await Promise.all([ari.channels.list(), ari.bridges.list()]);
    return [
      ...channels.map(one => `${name}: channel ${one.name} ${one.id}`),
      ...bridges.map(one => `${name}: bridge ${one.id}`),
    ];
  });
}

/** Asks one Asterisk of a farm behind the daemon's back. */
export async function withAri<T>(
  farm: Farm,
  name: string,
  address: string,
  work: (ari: AriClient) => Promise<T>,
): Promise<T> {
  const conf = await readFile(join(farm.state, 'nodes', name, 'ari.conf'), 'utf8');
  const password = /^password = (.*)$/m.exec(conf)?.[1] ?? '';
  const requester = new AriRequester({ node: name, origin: `http://${address}:8088`, user: 'holdfast', password });
  try {
    return await work(ariClient(requester));
  } finally {
    await requester.close();
  }
}
