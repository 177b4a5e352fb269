// Every trunk with its calls and its gateways, as an operator asks for it. Pure.
import { callerLeg, isLive, targetOf, type CallRecord } from '../calls/call-record.js';
import type { TrunkConfig } from '../config/holdfast-config.js';
import type { GatewayHealth } from './gateway-health.js';
import type { GatewayStatus } from './trunk-gateways.js';

export interface TrunkStatus {
  readonly trunk: string;
  /** Now, from it and to it. */
  readonly calls: { readonly from: number; readonly to: number };
  readonly callsAtOnce: number | null;
  readonly gateways: readonly {
    readonly address: string;
    readonly priority: number;
    readonly weight: number;
    readonly state: GatewayHealth['state'];
    /** ISO 8601; null while it is unknown. */
    readonly since: string | null;
    /** Its last answer to OPTIONS; null where there was none. */
    readonly sipStatus: number | null;
  }[];
}

export function trunkStatuses(
  trunks: readonly TrunkConfig[],
  calls: readonly CallRecord[],
  { list }: { readonly list: (trunk: string) => readonly GatewayStatus[] },
): readonly TrunkStatus[] {
  const live = calls.filter(({ ending }) => ending === null);
  return trunks.map(({ name, limits }) => ({
    trunk: name,
    calls: {
      from: live.filter(call => call.source.kind === 'trunk' && call.source.trunk === name && isLive(callerLeg(call)))
        .length,
      to: live.filter(call => call.legs.some(leg => isLive(leg) && targetOf(call, leg)?.trunk === name)).length,
    },
    callsAtOnce: limits?.callsAtOnce ?? null,
    gateways: list(name).map(({ address, priority, weight, health: { state, sinceMs, sipStatus } }) => ({
      ...{ address, priority: priority[0], weight, state, sipStatus },
      since: state === 'unknown' ? null : new Date(sinceMs).toISOString(),
    })),
  }));
}
