// The port through which core starts, observes and ends server processes and writes their files, wherever they run.
import type { FarmNode } from '../farm/farm-plan.js';
import type { Voice } from './voices.js';

/** A file of one node, relative to the node's folder. */
export interface NodeFile {
  readonly path: string;
  readonly content: string;
  /** `latin1`: each character is an octet. Default: it is text, in UTF-8. */
  readonly encoding?: 'latin1';
  /** Permission bits, e.g. 0o600; the owner is the process's user. */
  readonly mode: number;
  /** How a process that runs takes new content; without it, its next start does. */
  readonly reload?: FileReload;
}

/**
 * `list-reload`: a Kamailio's lists and tables; `certificate-reload`: what it shows to phones on TLS; `endpoint-reload`: an Asterisk's
 * PJSIP objects. Calls are not touched.
 */
export type FileReload = 'list-reload' | 'certificate-reload' | 'endpoint-reload';

/** How a node's process is started. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** System user the process runs as, e.g. `holdfast-asterisk`. */
  readonly user: string;
}

/** By what it is told that an Asterisk has read all of its PJSIP objects, and none but these. */
export interface ObjectProof {
  /** Id of an object that its file ends with, made of all that stands before it. */
  readonly id: string;
  /** An object of that id is there of each of these types. */
  readonly objectTypes: readonly string[];
  /** Names of all its endpoints. */
  readonly endpoints: readonly string[];
}

/** Everything a node needs to run: rendered by the folder that knows the server. */
export interface NodeSetup {
  readonly files: readonly NodeFile[];
  readonly process: ProcessSpec;
  /** Folders (relative to the node's folder) that must exist, owned by the process's user. */
  readonly folders: readonly string[];
  /** Of an Asterisk whose objects are read back before it gets traffic. */
  readonly proof?: ObjectProof;
}

/** Knows a kind of server: renders one node's files and process from plain values, and says how it is asked whether it lives. */
export interface NodeRenderer {
  /** `folder` is the node's folder as its process will see it. */
  setup(node: FarmNode, folder: string): NodeSetup;
  voices(node: FarmNode): readonly Voice[];
}

export interface NodeProcess {
  readonly pid: number;
  /** Start time as the kernel has it (clock ticks since boot), which with the pid names the process for good. */
  readonly startTicks: number;
}

export interface ProcessExit extends NodeProcess {
  readonly node: string;
  readonly code: number | null;
  readonly signal: string | null;
}

export interface NodeHost {
  /** The node's folder as its processes see it. */
  folder(node: string): string;
  /** Writes files atomically (temporary file and rename), each with its mode, owned by `user`. */
  writeFiles(node: string, files: readonly NodeFile[], user: string): Promise<void>;
  /** Reads one of the node's files, or undefined where there is none. */
  readFile(node: string, path: string, encoding?: NodeFile['encoding']): Promise<string | undefined>;
  /** Takes a file of the node's away, to this absolute path, closed to others; also of a node that is dead. False where there is none. */
  takeFile(node: string, path: string, to: string): Promise<boolean>;
  /** Writes the setup and starts the process; resolves once it runs (not: once it is ready). Throws HOST_FAILED. */
  start(node: string, setup: NodeSetup): Promise<NodeProcess>;
  /** SIGTERM, and SIGKILL after `graceMs`; resolves when the process is gone. A node that does not run is fine. */
  stop(node: string, graceMs?: number): Promise<void>;
  /** SIGKILL at once. */
  kill(node: string): Promise<void>;
  /** The node's process if it runs now, also one that an earlier daemon started. */
  process(node: string): NodeProcess | undefined;
  /** Names of all nodes whose process this state folder started and that still run. */
  running(): readonly string[];
  /** The last lines of what the node's process wrote, for an error message. */
  logTail(node: string, lines: number): Promise<string>;
  onExit(listener: (exit: ProcessExit) => void): () => void;
}

/** The layer-4 balancer in front of the Kamailios: per packet, stateless. */
export interface Balancer {
  /** Makes the VIPs spread their packets over exactly these Kamailios; none takes the VIPs down. Throws BALANCER_FAILED. */
  apply(members: readonly FarmNode[]): Promise<void>;
  /** Drops every packet from and to these addresses, from now on. Throws BALANCER_FAILED. */
  fence(addresses: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}
