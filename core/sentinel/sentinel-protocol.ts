// What the main thread and the sentinel's worker thread say to each other.
import type { Voice } from '../ports/voices.js';

/** One server to be watched. */
export interface WatchedNode {
  readonly name: string;
  readonly pid: number;
  /** Start time as the kernel has it, which with the pid names the process for good. */
  readonly startTicks: number;
  readonly voices: readonly Voice[];
  /** An earlier daemon knew this process as up: it is past its start, however young it is. */
  readonly wasUp?: boolean;
}

export interface SentinelStart {
  /** Where questions are asked from. */
  readonly address: string;
  /** The memory of `Posted`. */
  readonly posted: SharedArrayBuffer;
}

export type ToSentinel =
  | { readonly kind: 'watch'; readonly node: WatchedNode }
  | { readonly kind: 'unwatch'; readonly name: string }
  | { readonly kind: 'stream'; readonly name: string; readonly open: boolean }
  | { readonly kind: 'silence'; readonly silenceMs: number }
  | { readonly kind: 'close' };

export type FromSentinel =
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'verdict';
      readonly name: string;
      readonly pid: number;
      readonly health: 'up' | 'suspect' | 'dead';
      readonly reason: string;
      /** Its process has ended: there is nothing to fence. */
      readonly processGone: boolean;
      /** For a dead one: the first sign of it, and now; ms since 1970. */
      readonly firstSignMs: number;
      readonly declaredMs: number;
    }
  /** The thread itself, or the machine, stood still for so long. */
  | { readonly kind: 'lagged'; readonly ms: number };
