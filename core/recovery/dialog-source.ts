// Where a recovery reads the dialogs of a dead node: the ledger first, and the trace source for what the ledger lacks.
import { messageOf } from '../errors.js';
import type { Dialog, OpenInvite } from '../ledger/dialog.js';
import type { Logger } from '../log.js';
import { missingFrom } from './recovery-variables.js';
import type { DialogSource } from './recoveries.js';

/** The daemon's own observation of SIP, by HEP. */
export interface LedgerPort {
  dialogs(node: string): Promise<readonly Dialog[]>;
  openInvites(node: string): Promise<readonly OpenInvite[]>;
}

export interface DialogSourceOptions {
  readonly ledger: () => LedgerPort | undefined;
  /** Dialogs rebuilt from a trace source's messages; undefined where no plugin provides one. */
  readonly traced: ((node: string, callIds: readonly string[]) => Promise<ReadonlyMap<string, Dialog>>) | undefined;
  /** True: the ledger is not asked for dialogs. */
  readonly tracedOnly: () => boolean;
  readonly log: Logger;
}

export function dialogSource({ ledger, traced, tracedOnly, log }: DialogSourceOptions): DialogSource {
  return {
    openInvites: async node => (await ledger()?.openInvites(node)) ?? [],
    dialogs: async (node, callIds) => {
      const known = new Map<string, Dialog>();
      if (!tracedOnly()) {
        const seen = await ledger()
          ?.dialogs(node)
          .catch(
            (error: unknown) => void log.error({ node, error }, `the ledger does not answer: ${messageOf(error)}`),
          );
        for (const dialog of seen ?? []) known.set(dialog.callId, dialog);
      }
      const lacking = callIds.filter(callId => isLacking(known.get(callId)));
      if (lacking.length === 0 || !traced) return known;
      log.info({ node, sessions: lacking.length }, `asking the trace source for ${lacking.length} dialogs of ${node}`);
      try {
        for (const [callId, dialog] of await traced(node, lacking)) known.set(callId, dialog);
      } catch (error) {
        log.error({ node, error }, `the trace source does not help: ${messageOf(error)}`);
      }
      return known;
    },
  };
}

function isLacking(dialog: Dialog | undefined): boolean {
  return dialog === undefined || missingFrom(dialog).length > 0;
}
