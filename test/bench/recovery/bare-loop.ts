// The bare loop that a recovery is compared with: the same originates of the same dialogs over the same edge, by a program that
// does nothing else, run by the same Node.js flags as the daemon. It finds the dialogs in the store of the daemon, whose place it takes.
import { join } from 'node:path';
import { AriFarm } from '../../../asterisk/asterisk-farm.js';
import { callRecordSchema } from '../../../core/calls/call-record.js';
import { FarmSecrets } from '../../../core/farm/farm-secrets.js';
import { dialogSchema, type Dialog } from '../../../core/ledger/dialog.js';
import { silentLogger } from '../../../core/log.js';
import { bridgeVariable, recoveredContext, type AriEvent } from '../../../core/ports/asterisk.js';
import { recoveryCseq, recoveryVariables } from '../../../core/recovery/recovery-variables.js';
import { openLmdbStore } from '../../../core/store/lmdb-store.js';
import { waitFor } from '../../harness/wait-for.js';

const inFlight = 16;
const target = 'call-1';

interface Order {
  readonly legId: string;
  readonly endpoint: string;
  readonly variables: Readonly<Record<string, string>>;
}

export interface BareLoopStart {
  /** The farm's state folder. */
  readonly state: string;
  /** Address of the node that the dialogs go to. */
  readonly address: string;
  /** The process to kill: the node that has them. */
  readonly victim: number;
  /** So many originates before. */
  readonly warmUp: number;
}

/** Times in ms from the kill to the last leg in its bridge. */
export interface BareLoopReport {
  readonly legs: number;
  readonly tookMs: number;
}

async function bareLoop({ state, address, victim, warmUp }: BareLoopStart): Promise<BareLoopReport> {
  const orders = await readOrders(state);
  const secrets = FarmSecrets.open(state);
  const passwordOf = (name: string): string => secrets.derive(`ari ${name}`);
  const asterisk = new AriFarm({ addressOf: () => address, passwordOf, log: silentLogger }).node(target);
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
  const { channels } = asterisk.ari;
  const originateAll = async (waiting: Order[]): Promise<void> => {
    const one = async (): Promise<void> => {
      for (let order = waiting.shift(); order; order = waiting.shift()) {
        const { legId, endpoint, variables } = order;
        const answered = new Promise<void>(resolve => up.set(legId, resolve));
        await channels.originate({
          ...{ endpoint, context: recoveredContext, extension: 's', channelId: legId, formats: 'ulaw', variables },
        });
        await answered;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, one));
  };
  for (let had = 0; had < warmUp; had += inFlight) {
    const echoes = Array.from({ length: inFlight }, (_, i) => echoOrder(`warm-up-${had + i}`));
    await originateAll([...echoes]);
    await Promise.all(echoes.map(({ legId }) => channels.hangup({ channelId: legId })));
  }
  process.kill(victim, 'SIGKILL');
  const started = performance.now();
  await originateAll([...orders]);
  const tookMs = performance.now() - started;
  await asterisk.close();
  return { legs: orders.length, tookMs };
}

function echoOrder(legId: string): Order {
  return { legId, endpoint: 'Local/s@echo/n', variables: { [bridgeVariable]: `${legId}-conf` } };
}

async function readOrders(state: string): Promise<Order[]> {
  const store = openLmdbStore(join(state, 'store'), silentLogger);
  const dialogs = new Map<string, Dialog>();
  for await (const [callId, { value }] of store.table('dialogs', dialogSchema).range()) dialogs.set(callId, value);
  const orders: Order[] = [];
  for await (const [, { value: call }] of store.table('calls', callRecordSchema).range()) {
    for (const leg of call.legs) {
      const dialog = dialogs.get(leg.sipCallId ?? '');
      if (!dialog) continue;
      const joining = { [bridgeVariable]: `${call.id}-conf` };
      const endpoint = 'PJSIP/edge/sip:session@recovery.invalid';
      orders.push({
        legId: leg.id,
        endpoint,
        variables: { ...recoveryVariables(dialog, recoveryCseq(dialog, 1)), ...joining },
      });
    }
  }
  await store.close();
  return orders;
}

process.send?.(await bareLoop(JSON.parse(process.argv[2] ?? '{}') as BareLoopStart));
process.disconnect();
