// Where a recovery reads the dialogs of a dead node: the ledger first, and a trace source for what the ledger lacks.
import { messageOf } from '../errors.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import type { TraceSource } from '../ports/trace-source.js';
import type { DialogSource } from './recovery-ports.js';
import { tracedDialogs, type TracedFarm } from './traced-dialogs.js';

/** The daemon's own observation of SIP, by HEP. */
export interface LedgerPort {
  dialogs(node: string): Promise<readonly Dialog[]>;
  openInvites(node: string): Promise<readonly OpenInvite[]>;
}

export interface DialogSourceOptions {
  readonly ledger: () => LedgerPort | undefined;
  /** Undefined where no plugin provides one. */
  readonly traceSource: () => TraceSource | undefined;
  /** True: the ledger is not asked for dialogs. */
  readonly tracedOnly: () => boolean;
  readonly farm: () => TracedFarm;
  readonly log: Logger;
}

/** The net above the trace source's own deadlines, ms. */
const tracedDeadlineMs = 60_000;
/** Copies bear the clock of whoever sent them. */
const clockSkewMs = 5_000;

export function dialogSource({ ledger, traceSource, tracedOnly, farm, log }: DialogSourceOptions): DialogSource {
  return {
    openInvites: async node => (await ledger()?.openInvites(node)) ?? [],
    dialogs: async node => {
      const known = tracedOnly() ? [] : ((await ledger()?.dialogs(node)) ?? []);
      return new Map(known.map(dialog => [dialog.callId, dialog]));
    },
    get hasTraced() {
      return traceSource() !== undefined;
    },
    traced: async (node, callIds, sinceMs) => {
      const source = traceSource();
      if (!source || callIds.length === 0) return new Map();
      log.info({ node, sessions: callIds.length }, `asking ${source.name} for ${callIds.length} dialogs of ${node}`);
      try {
        const query = { callIds, fromMs: sinceMs - clockSkewMs, toMs: Date.now() + clockSkewMs };
        return tracedDialogs(await source.messages(query, AbortSignal.timeout(tracedDeadlineMs)), farm());
      } catch (error) {
        log.error({ node, error }, `${source.name} does not help: ${messageOf(error)}`);
        return new Map();
      }
    },
  };
}
