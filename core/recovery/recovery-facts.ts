// What plugins know of recoveries and decide about them: plain values, part of the public plugin API.
import type { TraceSource } from '../ports/trace-source.js';
import type { CallSource } from '../calls/call-facts.js';

/** How lost sessions are recovered. Provided by the session-recovery plugin; without one, the calls of a dead node end. */
export interface RecoveryPolicy {
  /** Recovery INVITEs per second to one call node. */
  readonly perSecond: number;
  /** Recovery INVITEs per second through one trunk. */
  readonly trunkPerSecond: (trunk: string) => number;
  /** Higher first; 0 for a call that is as any other. */
  readonly priorityOf: (call: {
    readonly source: CallSource;
    readonly dialled: string;
    /** It is one to an emergency number of the config. */
    readonly emergency?: boolean;
  }) => number;
  /** How long sessions wait for a node that can take them, and a session for an answer that counts, ms. */
  readonly patienceMs: number;
  /** Where dialogs are read: the daemon's own ledger, and the trace source for what it lacks; or the trace source only. */
  readonly source: 'ledger' | 'trace-source';
  /** The trace source; undefined: the one that another plugin provides, if any. */
  readonly traceSource?: TraceSource | undefined;
  /** How long a server of any farm must be silent in every way to be dead, ms. */
  readonly silenceMs: number;
  /** Kill a process that is silent but still there. */
  readonly killFrozen: boolean;
}

/** A call whose node died, before it is recovered. */
export interface LostCall {
  readonly id: string;
  /** The dead node. */
  readonly node: string;
  readonly source: CallSource;
  readonly dialled: string;
  readonly callerNumber: string;
  /** It is one to an emergency number of the config. */
  readonly emergency: boolean;
  /** Its sessions on that node. */
  readonly sessions: number;
  /** As the recovery policy has it: higher first. */
  readonly priority: number;
  /** Nothing has died: `holdfast recovery plan` asks what would become of the call if its node did now. */
  readonly dryRun: boolean;
}

/** Leave the call to end, or recover it with another priority, or on a certain node (where that one is up). */
export type RecoverAnswer =
  { readonly skip: string } | { readonly priority?: number | undefined; readonly node?: string | undefined };

/** What became of a node's sessions, when all is done. */
export interface RecoveryFacts {
  /** One death of one node. */
  readonly epoch: string;
  readonly node: string;
  readonly sessions: {
    readonly found: number;
    readonly recovered: number;
    readonly ended: number;
    readonly failed: number;
  };
}
