// The bare loop that a recovery is compared with: originates new legs over the same edge, and bridges them in pairs.
import { FarmSecrets } from '../../../core/farm/farm-secrets.js';
import { silentLogger } from '../../../core/log.js';
import { AriFarm } from '../../../asterisk/asterisk-farm.js';
import type { AriEvent } from '../../../core/ports/asterisk.js';
import type { Farm } from '../../harness/farm.js';
import { waitFor } from '../../harness/wait-for.js';

const inFlight = 16;

/** Resolves with the time from the first order to the last leg in its bridge, ms. */
export async function bareLoop(farm: Farm, legs: number): Promise<number> {
  const secrets = FarmSecrets.open(farm.state);
  const asterisks = new AriFarm({
    addressOf: () => farm.host(32),
    passwordOf: name => secrets.derive(`ari ${name}`),
    log: silentLogger,
  });
  const up = new Map<string, () => void>();
  const asterisk = asterisks.node('call-2');
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
  const ids = Array.from({ length: legs }, (_, i) => `bare-${i}`);
  const started = performance.now();
  let next = 0;
  const one = async (): Promise<void> => {
    for (let i = next++; i < legs; i = next++) {
      const channelId = ids[i] ?? '';
      const bridgeId = `bare-bridge-${i >> 1}`;
      const bridge = i % 2 === 0 ? bridges.createWithId({ bridgeId, type: 'mixing' }) : undefined;
      const answered = new Promise<void>(resolve => up.set(channelId, resolve));
      await channels.originate({
        endpoint: `PJSIP/edge/sip:bare${i}@${farm.host(208)}:5060`,
        ...{ app: 'holdfast', appArgs: 'bare', channelId, formats: 'ulaw' },
      });
      await answered;
      await bridge;
      await bridges.addChannel({ bridgeId, channel: channelId });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, one));
  const tookMs = performance.now() - started;
  for (const channelId of ids) await channels.hangup({ channelId }).catch(() => undefined);
  for (let i = 0; i < legs / 2; i++) await bridges.destroy({ bridgeId: `bare-bridge-${i}` }).catch(() => undefined);
  await asterisk.close();
  return tookMs;
}
