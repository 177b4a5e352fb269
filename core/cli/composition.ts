// What the command line needs from the composition (compose.ts), which it loads only when a command asks for it.
import type { RecoveryStatus } from '../control/views.js';

/** Where one farm is: its config, its subnet, its state folder. */
export interface FarmPlace {
  readonly configPath: string;
  /** `--subnet`; undefined: the config's. */
  readonly subnet: string | undefined;
  readonly stateFolder: string;
}

/** A daemon that `startDaemon` brought up. */
export interface RunningDaemon {
  /** Resolves when the daemon has ended, by the `down` operation or by `close`. */
  readonly stopped: Promise<void>;
  /** Reads the config again without touching calls in progress (SIGHUP). Rejects where the new config is refused. */
  reload(): Promise<void>;
  /** Ends the daemon and leaves the farm's processes running: calls go on (SIGTERM). */
  close(): Promise<void>;
}

/** What a config says, once it and its plugins were found valid. */
export interface ConfigSummary {
  /** The config's subnet, or the one that overrode it. */
  readonly subnet: string;
  /** `IP:port` of the public VIP. */
  readonly edge: string;
  /** Names of the nodes it asks for. */
  readonly nodes: readonly string[];
  readonly plugins: readonly string[];
  /** What is allowed but probably not meant, in words. */
  readonly warnings: readonly string[];
  /** The state folder, where the config names one. */
  readonly stateFolder?: string;
  /** The daemon's log, where the config names a file. */
  readonly logFile?: string;
}

/** One message of a demo call, and the Kamailio that carried it. */
export interface DemoMessage {
  /** Milliseconds since the call's first message. */
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  /** Name of the Kamailio; null where it is not known. */
  readonly via: string | null;
  /** e.g. `INVITE`, `180 Ringing`. */
  readonly summary: string;
}

export interface DemoCall {
  readonly callId: string;
  readonly ok: boolean;
  readonly messages: readonly DemoMessage[];
  /** The tone sent at one end, and the frequency measured at the other; null where nothing was heard. */
  readonly tone: { readonly sentHz: number; readonly heardHz: number | null };
}

export interface DemoReport {
  readonly calls: readonly DemoCall[];
}

/** What happened, ms after the kill. */
export interface DemoStep {
  readonly atMs: number;
  readonly text: string;
}

export interface RecoveryDemoReport {
  /** The node that was killed. */
  readonly victim: string;
  readonly steps: readonly DemoStep[];
  readonly recovery: RecoveryStatus;
  /** The largest gap in the audio before, and each phone's largest after, ms. */
  readonly usualGapMs: number;
  readonly silencesMs: readonly number[];
  /** Phones still in their call. */
  readonly alive: number;
}

export interface DemoOptions {
  readonly subnet: string;
  readonly stateFolder: string;
  readonly calls: number;
  readonly seconds: number;
}

export interface RenderOptions {
  readonly configPath: string;
  readonly subnet: string | undefined;
  readonly outFolder: string;
  /** The farm's key; undefined: the one in `outFolder`, made at the first rendering. */
  readonly keyFile: string | undefined;
  /** Where the nodes' folders will be; undefined: below `outFolder`. */
  readonly nodeFolder: string | undefined;
}

/** The exports of compose.ts that commands use. */
export interface Composition {
  /**
   * Starts the control server first, then the farm (or takes up the one that runs). Resolves when the farm is ready.
   * Rejects where it cannot be; what it had started by then the caller ends.
   */
  startDaemon(place: FarmPlace): Promise<RunningDaemon>;
  /**
   * Loads and validates config and plugins. Opens no socket. `forStart`: certificates and authorities are left to the daemon, which may know
   * them as they were when they were right.
   */
  checkConfig(configPath: string, subnet: string | undefined, forStart?: boolean): Promise<ConfigSummary>;
  /** Writes every generated file below a folder; returns their paths relative to it. */
  renderFarm(options: RenderOptions): Promise<readonly string[]>;
  demoCall(options: DemoOptions, print: (line: string) => void): Promise<DemoReport>;
  demoRecovery(options: DemoOptions, print: (line: string) => void): Promise<RecoveryDemoReport>;
}
