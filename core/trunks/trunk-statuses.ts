// Every trunk with its calls and its gateways, as an operator asks for it. Pure.
import { callerLeg, isLive, targetOf, type CallRecord } from '../calls/call-record.js';
import type { TrunkConfig } from '../config/holdfast-config.js';
import type { GatewayHealth } from './gateway-health.js';
import type { GatewayStatus } from './trunk-gateways.js';
import type { RegistrationStatus } from './trunk-registrations.js';

export interface TrunkStatus {
  readonly trunk: string;
  /** Now, from it and to it. */
  readonly calls: { readonly from: number; readonly to: number };
  readonly callsAtOnce: number | null;
  /** Null where we do not register with it. */
  readonly registration: {
    readonly state: RegistrationStatus['state'];
    /** `user@domain` */
    readonly user: string;
    /** Who has granted it. */
    readonly registrar: string | null;
    /** ISO 8601; null where it is not registered. */
    readonly until: string | null;
    /** Of the last attempt, where it has failed. */
    readonly error: string | null;
    readonly sipStatus: number | null;
    /** Attempts that have failed since the daemon's start. */
    readonly failures: number;
  } | null;
  readonly gateways: readonly {
    readonly address: string;
    readonly priority: number;
    readonly weight: number;
    readonly state: GatewayHealth['state'];
    /** ISO 8601; null while it is unknown. */
    readonly since: string | null;
    /** Of its host, where that is a name; null where it is not, or where nobody knows. */
    readonly hostAddress: string | null;
    /** Why DNS gives no answer now, which then is the last one. */
    readonly dnsTrouble: string | null;
    /** Its last answer to OPTIONS; null where there was none. */
    readonly sipStatus: number | null;
  }[];
}

export function trunkStatuses(
  trunks: readonly TrunkConfig[],
  calls: readonly CallRecord[],
  gatewaysOf: (trunk: string) => readonly GatewayStatus[],
  registrationOf: (trunk: string) => RegistrationStatus | undefined,
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
    registration: registration(registrationOf(name)),
    gateways: gatewaysOf(name).map(({ address, priority, weight, host, health: { state, sinceMs, sipStatus } }) => ({
      ...{ address, priority: priority[0], weight, state, sipStatus },
      ...{ hostAddress: host?.address ?? null, dnsTrouble: host?.trouble ?? null },
      since: state === 'unknown' ? null : new Date(sinceMs).toISOString(),
    })),
  }));
}

function registration(status: RegistrationStatus | undefined): TrunkStatus['registration'] {
  if (status === undefined) return null;
  const { untilMs, ...others } = status;
  return { ...others, until: status.state === 'registered' ? new Date(untilMs).toISOString() : null };
}
