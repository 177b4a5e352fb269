// What the daemon is made of.
import type { CallEngine } from './calls/call-engine.js';
import type { CallRecords, RecordDestinations } from './cdr/call-records.js';
import type { Conferences } from './conferences/conferences.js';
import type { Recordings } from './conferences/recordings.js';
import type { HoldfastConfig } from './config/holdfast-config.js';
import type { EventLog } from './events/event-log.js';
import type { EventStream } from './events/event-stream.js';
import type { Bans } from './farm/bans.js';
import type { CertificateKeeper } from './farm/certificate-keeper.js';
import type { EdgeSync } from './farm/edge-sync.js';
import type { EngineBook } from './farm/engine-book.js';
import type { FarmKeeper } from './farm/farm-keeper.js';
import type { FarmPlan } from './farm/farm-plan.js';
import type { KnownProcesses } from './farm/known-processes.js';
import type { NodeStates } from './farm/node-states.js';
import type { ToldRows } from './farm/told-rows.js';
import type { FlowNotices } from './flows/flow-notices.js';
import type { DialogBook } from './ledger/dialog-book.js';
import type { RootLogger } from './log.js';
import type { Metrics } from './metrics/metrics.js';
import type { Overload } from './overload/overload.js';
import type { PluginHost } from './plugins/plugin-host.js';
import type { Balancer, NodeHost } from './ports/node-host.js';
import type { CallRecordings } from './recordings/call-recordings.js';
import type { MediaRecovery } from './recovery/media-recovery.js';
import type { Recoveries } from './recovery/recoveries.js';
import type { NodeDeath } from './recovery/recovery-ports.js';
import type { StandIn } from './recovery/stand-in.js';
import type { Bindings } from './registrations/bindings.js';
import type { KeepAlive } from './registrations/keep-alive.js';
import type { RegistrarCopies } from './registrations/registrar-copies.js';
import type { Store } from './store/store.js';
import type { Trace } from './trace/trace.js';
import type { OptionsProbe } from './trunks/options-probe.js';
import type { RegisterClient } from './trunks/register-client.js';
import type { TrunkGateways } from './trunks/trunk-gateways.js';
import type { TrunkNames } from './trunks/trunk-names.js';
import type { TrunkRegistrations } from './trunks/trunk-registrations.js';

/** What changes while the daemon runs: parts read it when they need it. */
export interface LiveConfig {
  config: HoldfastConfig;
  plan: FarmPlan;
}

export interface DaemonParts {
  readonly live: LiveConfig;
  readonly log: RootLogger;
  readonly store: Store;
  readonly plugins: PluginHost;
  readonly cdr: CallRecords;
  readonly notices: FlowNotices;
  readonly states: NodeStates;
  readonly book: EngineBook;
  readonly sync: EdgeSync;
  readonly keeper: FarmKeeper;
  readonly engine: CallEngine;
  readonly conferences: Pick<Conferences, 'list'>;
  readonly recoveries: Recoveries;
  readonly recordings: Recordings;
  readonly callRecordings: CallRecordings;
  readonly eventLog: EventLog;
  readonly eventStream: EventStream;
  readonly mediaRecovery: MediaRecovery;
  readonly standIn: StandIn;
  readonly keepAlive: KeepAlive;
  readonly bans: Bans;
  readonly overload: Overload;
  readonly trustedPhones: ToldRows;
  readonly movedPhones: ToldRows;
  readonly certificates: CertificateKeeper;
  readonly probe: OptionsProbe;
  readonly names: TrunkNames;
  readonly gateways: TrunkGateways;
  readonly registerClient: RegisterClient;
  readonly trunkRegistrations: TrunkRegistrations;
  readonly host: Pick<NodeHost, 'process'>;
  readonly known: KnownProcesses;
  readonly dialogs: DialogBook;
  /** What the death of a node asks for. */
  readonly nodeDied: (death: NodeDeath) => Promise<void>;
  readonly bindings: Bindings;
  readonly copies: RegistrarCopies;
  readonly metrics: Metrics;
  readonly balancer: Balancer;
  /** Opened by the start, as it owns a thread and a socket. */
  readonly openTrace: () => Promise<Trace>;
  /** Refuses (ADDRESS_TAKEN) where another program holds an address of the farm. */
  readonly checkMachine: () => void;
  /** Tells the adapters which nodes there are. */
  readonly setNodes: (plan: FarmPlan) => void;
  readonly loadConfig: () => HoldfastConfig;
  readonly recordsGoTo: (config: HoldfastConfig) => RecordDestinations;
}
