// Every part of a daemon that others are given, by the name it is asked for.
import type { AriFarm } from '../../../asterisk/asterisk-farm.js';
import type { KamailioFarm } from '../../../kamailio/edge-farm.js';
import type { EnginePool } from '../../../rtpengine/node-pool.js';
import type { CallEngine } from '../../calls/call-engine.js';
import type { StasisArrivals } from '../../calls/stasis-arrivals.js';
import type { CallRecords } from '../../cdr/call-records.js';
import type { Conferences } from '../../conferences/conferences.js';
import type { Recordings } from '../../conferences/recordings.js';
import type { Rooms } from '../../conferences/rooms.js';
import type { CallOperations } from '../../control/call-operations.js';
import type { Daemon } from '../../daemon.js';
import type { EventLog } from '../../events/event-log.js';
import type { Bans } from '../../farm/bans.js';
import type { CertificateKeeper } from '../../farm/certificate-keeper.js';
import type { EdgeSync } from '../../farm/edge-sync.js';
import type { EngineBook } from '../../farm/engine-book.js';
import type { FarmKeeper } from '../../farm/farm-keeper.js';
import type { FarmName } from '../../farm/farm-plan.js';
import type { Fences } from '../../farm/fences.js';
import type { KnownProcesses } from '../../farm/known-processes.js';
import type { NodeStates } from '../../farm/node-states.js';
import type { ToldRows } from '../../farm/told-rows.js';
import type { ReloadPlanner } from '../../farm/reload-planner.js';
import type { FlowNotices } from '../../flows/flow-notices.js';
import type { LocalHost } from '../../host/local-host.js';
import type { NftBalancer } from '../../host/nft-balancer.js';
import type { CallInspector } from '../../inspect/call-inspector.js';
import type { DialogBook } from '../../ledger/dialog-book.js';
import type { Metrics } from '../../metrics/metrics.js';
import type { Overload } from '../../overload/overload.js';
import type { PluginHost } from '../../plugins/plugin-host.js';
import type { NodeRenderer } from '../../ports/node-host.js';
import type { CallRecordings } from '../../recordings/call-recordings.js';
import type { MediaRecovery } from '../../recovery/media-recovery.js';
import type { Recoveries } from '../../recovery/recoveries.js';
import type { StandIn } from '../../recovery/stand-in.js';
import type { Bindings } from '../../registrations/bindings.js';
import type { KeepAlive } from '../../registrations/keep-alive.js';
import type { RegistrarCopies } from '../../registrations/registrar-copies.js';
import type { Admission } from '../../trunks/admission.js';
import type { OptionsProbe } from '../../trunks/options-probe.js';
import type { RegisterClient } from '../../trunks/register-client.js';
import type { SilentGateways } from '../../trunks/silent-gateways.js';
import type { TrunkGateways } from '../../trunks/trunk-gateways.js';
import type { TrunkNames } from '../../trunks/trunk-names.js';
import type { TrunkRegistrations } from '../../trunks/trunk-registrations.js';
import { token } from './graph.js';

const servers = {
  host: token<LocalHost>('host'),
  balancer: token<NftBalancer>('balancer'),
  edge: token<KamailioFarm>('edge'),
  media: token<EnginePool>('media'),
  asterisks: token<AriFarm>('asterisks'),
  certificates: token<CertificateKeeper>('certificates'),
  renderers: token<Readonly<Record<FarmName, NodeRenderer>>>('renderers'),
};

const farm = {
  states: token<NodeStates>('states'),
  known: token<KnownProcesses>('known'),
  book: token<EngineBook>('book'),
  fences: token<Fences>('fences'),
  sync: token<EdgeSync>('sync'),
  bans: token<Bans>('bans'),
  overload: token<Overload>('overload'),
  keeper: token<FarmKeeper>('keeper'),
  planner: token<ReloadPlanner>('reload planner'),
};

const registrations = {
  bindings: token<Bindings>('bindings'),
  copies: token<RegistrarCopies>('registrar copies'),
  trustedPhones: token<ToldRows>('trusted phones'),
  movedPhones: token<ToldRows>('moved phones'),
  keepAlive: token<KeepAlive>('keep-alive'),
};

const trunks = {
  admission: token<Admission>('admission'),
  probe: token<OptionsProbe>('probe of gateways'),
  names: token<TrunkNames>('names of trunks'),
  gateways: token<TrunkGateways>('gateways'),
  silentGateways: token<SilentGateways>('silent gateways'),
  registerClient: token<RegisterClient>('client of registrars'),
  trunkRegistrations: token<TrunkRegistrations>('registrations with trunks'),
};

const calls = {
  plugins: token<PluginHost>('plugins'),
  arrivals: token<StasisArrivals>('arrivals'),
  engine: token<CallEngine>('engine'),
  callOperations: token<CallOperations>('call operations'),
  callRecordings: token<CallRecordings>('call recordings'),
  conferences: token<Conferences>('conferences'),
  rooms: token<Rooms>('rooms'),
  recordings: token<Recordings>('recordings'),
};

const recovery = {
  dialogs: token<DialogBook>('dialogs'),
  standIn: token<StandIn>('stand-in'),
  recoveries: token<Recoveries>('recoveries'),
  mediaRecovery: token<MediaRecovery>('media recovery'),
};

const told = {
  eventLog: token<EventLog>('event log'),
  cdr: token<CallRecords>('cdr'),
  notices: token<FlowNotices>('flow notices'),
  inspector: token<CallInspector>('inspector'),
  metrics: token<Metrics>('metrics'),
};

export const tokens = {
  ...servers,
  ...farm,
  ...registrations,
  ...trunks,
  ...calls,
  ...recovery,
  ...told,
  daemon: token<Daemon>('daemon'),
};
