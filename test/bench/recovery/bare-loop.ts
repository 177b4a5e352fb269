// The bare loop that a recovery is compared with: the same originates of the same dialogs over the same edge, by a program that
// does nothing else. It finds the dialogs in the store of the daemon, whose place it takes.
import { join } from 'node:path';
import { AriFarm } from '../../../asterisk/asterisk-farm.js';
import { callRecordSchema } from '../../../core/calls/call-record.js';
import { FarmSecrets } from '../../../core/farm/farm-secrets.js';
import { dialogSchema, type Dialog } from '../../../core/ledger/dialog.js';
import { silentLogger } from '../../../core/log.js';
import type { AriEvent } from '../../../core/ports/asterisk.js';
import { recoveryCseq, recoveryVariables } from '../../../core/recovery/recovery-variables.js';
import { openLmdbStore } from '../../../core/store/lmdb-store.js';
import type { Farm } from '../../harness/farm.js';
import { waitFor } from '../../harness/wait-for.js';

const inFlight = 16;
const target = 'call-1';

interface Order {
  readonly legId: string;
  readonly bridgeId: string;
  /** Makes the bridge as well. */
  readonly first: boolean;
  readonly variables: Readonly<Record<string, string>>;
}

/** Without a daemon: `kill` ends the node that has the calls. Resolves with the time from then to the last leg in its bridge, ms. */
export async function bareLoop(
  farm: Farm,
  kill: () => void,
): Promise<{ readonly legs: number; readonly tookMs: number }> {
  const orders = await readOrders(farm);
  const secrets = FarmSecrets.open(farm.state);
  const passwordOf = (name: string): string => secrets.derive(`ari ${name}`);
  const asterisk = new AriFarm({ addressOf: () => farm.host(31), passwordOf, log: silentLogger }).node(target);
  const up = new Map<string, () => void>();
  let connected = false;
  asterisk.open({
    connected: () => (connected = true),
    disconnected: () => undefined,
    event: (event: AriEvent) => {
      if (event.type === 'StasisStart') up.get(event.channel.id)?.();
    },
  });
  await waitFor('the event stream', () => connected);
  const { channels, bridges } = asterisk.ari;
  kill();
  const started = performance.now();
  const waiting = [...orders];
  const one = async (): Promise<void> => {
    for (let order = waiting.shift(); order; order = waiting.shift()) {
      const { legId, bridgeId, first, variables } = order;
      const answered = new Promise<void>(resolve => up.set(legId, resolve));
      const bridge = first ? bridges.createWithId({ bridgeId, type: 'mixing' }) : undefined;
      await channels.originate({
        endpoint: 'PJSIP/edge/sip:session@recovery.invalid',
        ...{ app: 'holdfast', appArgs: 'recovered', channelId: legId, formats: 'ulaw', variables },
      });
      await answered;
      await bridge;
      await bridges.addChannel({ bridgeId, channel: legId });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  const tookMs = performance.now() - started;
  await asterisk.close();
  return { legs: orders.length, tookMs };
}

async function readOrders(farm: Farm): Promise<Order[]> {
  const store = openLmdbStore(join(farm.state, 'store'), silentLogger);
  const dialogs = new Map<string, Dialog>();
  for await (const [callId, { value }] of store.table('dialogs', dialogSchema).range()) dialogs.set(callId, value);
  const orders: Order[] = [];
  for await (const [, { value: call }] of store.table('calls', callRecordSchema).range()) {
    for (const [i, leg] of call.legs.entries()) {
      const dialog = dialogs.get(leg.sipCallId ?? '');
      if (!dialog) continue;
      const variables = recoveryVariables(dialog, recoveryCseq(dialog, 1));
      orders.push({ legId: leg.id, bridgeId: `${call.id}-conf`, first: i === 0, variables });
    }
  }
  await store.close();
  return orders;
}
