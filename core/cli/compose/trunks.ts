// Trunks: what may be called by them, which of their gateways live, and our registrations with providers.
import type { LiveConfig } from '../../daemon-parts.js';
import { publicAddress } from '../../farm/farm-plan.js';
import { gatewayRoute } from '../../ports/edge.js';
import type { Trace } from '../../trace/trace.js';
import { Admission } from '../../trunks/admission.js';
import { connectionTrouble } from '../../trunks/connection-trouble.js';
import { lineToken } from '../../trunks/line-token.js';
import { OptionsProbe } from '../../trunks/options-probe.js';
import { RegisterClient } from '../../trunks/register-client.js';
import { SilentGateways } from '../../trunks/silent-gateways.js';
import { TrunkGateways } from '../../trunks/trunk-gateways.js';
import { TrunkNames } from '../../trunks/trunk-names.js';
import { TrunkRegistrations } from '../../trunks/trunk-registrations.js';
import { admissionRules } from '../../trunks/trunk-rules.js';
import { trunkStatuses, type TrunkStatus } from '../../trunks/trunk-statuses.js';
import type { Get, Given, Make } from './graph.js';
import { edgeSecrets } from './renderers.js';
import { tokens } from './tokens.js';

export function wireTrunks({ live, log, store, secrets }: Given, make: Make): void {
  const { daemonAddress: address, privateVip } = live.plan;
  make(
    tokens.admission,
    get => new Admission({ rules: () => admissionRules(live.config), calls: () => get(tokens.engine).book.list() }),
  );
  make(tokens.names, get => {
    const changed = (): void => void get(tokens.sync).apply('DNS says something else of a trunk');
    return new TrunkNames({ trunks: () => live.config.trunks, changed, store, log });
  });
  make(tokens.probe, () => new OptionsProbe({ address, privateVip, domain: () => live.config.domain, log }));
  make(tokens.gateways, get => {
    const [probe, names] = [get(tokens.probe), get(tokens.names)];
    return new TrunkGateways({
      trunks: () => live.config.trunks,
      ask: (gateway, path) => probe.ask(gateway, path),
      routeTo: (id, transport) => gatewayRoute(privateVip, { id, transport }),
      trouble: connectionTrouble,
      ...{ names, log },
    });
  });
  make(tokens.silentGateways, get => {
    const trace = (): Trace | undefined => get(tokens.daemon).trace;
    return new SilentGateways({
      patienceMs: trunk => live.config.trunks.find(({ name }) => name === trunk)?.silentMs,
      record: callId => get(tokens.engine).book.record(callId),
      heard: async ({ id, sipCallId }) => {
        const callId = sipCallId ?? trace()?.callIdOfLeg(id);
        const messages = callId === undefined ? undefined : await trace()?.messages(callId);
        return messages?.some(({ status }) => status !== null);
      },
      tell: (callId, event) => get(tokens.engine).tell(callId, event),
      failed: gateway => get(tokens.gateways).callFailed(gateway),
    });
  });
  make(tokens.registerClient, () => new RegisterClient({ address, privateVip, log }));
  make(tokens.trunkRegistrations, get => {
    const client = get(tokens.registerClient);
    return new TrunkRegistrations({
      trunks: () => live.config.trunks,
      publicAddress: transport => publicAddress(live.plan, transport),
      lineOf: trunk => lineToken(edgeSecrets(secrets).lineKey, trunk),
      ask: request => client.ask(request),
      names: get(tokens.names),
      ...{ store, log },
      tell: (type, facts) => get(tokens.eventLog).append(type, facts),
    });
  });
}

export function statusesOfTrunks({ config }: LiveConfig, get: Get): readonly TrunkStatus[] {
  const [gateways, registrations] = [get(tokens.gateways), get(tokens.trunkRegistrations)];
  return trunkStatuses(config.trunks, get(tokens.engine).book.list(), gateways.list, registrations.status);
}

/** Whether our legs to this trunk answer its challenges. */
export function hasCredentials({ config }: LiveConfig, trunk: string): boolean {
  return config.trunks.some(one => one.name === trunk && one.credentials !== undefined);
}
