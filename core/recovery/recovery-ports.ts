// What a recovery is told of and asks for: a death, what was seen of the dead node's dialogs, and who speaks in its stead.
import type { Dialog, OpenInvite } from '../ledger/dialog.js';

/** A node that was declared dead; times in ms since 1970. */
export interface NodeDeath {
  readonly node: string;
  readonly reason: string;
  /** The earliest sign of it. */
  readonly firstSignMs: number;
  readonly declaredMs: number;
}

/** Names one death of one node: the same in each daemon. */
export function epochOf({ node, firstSignMs }: NodeDeath): string {
  return `${node}-${Math.round(firstSignMs).toString(36)}`;
}

/** What was seen of dialogs: the ledger, and what fills its holes. */
export interface DialogSource {
  /** Confirmed dialogs of a node as the daemon saw them, by Call-ID: at once. */
  dialogs(node: string): Promise<ReadonlyMap<string, Dialog>>;
  /** True where there is somebody else to ask. */
  readonly hasTraced: boolean;
  /** The same of these Call-IDs as somebody else saw them, since `sinceMs` (ms since 1970): may take seconds. */
  traced(node: string, callIds: readonly string[], sinceMs: number): Promise<ReadonlyMap<string, Dialog>>;
  openInvites(node: string): Promise<readonly OpenInvite[]>;
}

/** Does in a dead Asterisk's stead what the phones wait for. */
export interface StandInPort {
  refuse(invite: OpenInvite, status: number, reason: string): Promise<unknown>;
  cancel(invite: OpenInvite): Promise<unknown>;
  acknowledgeAndBye(invite: OpenInvite): Promise<unknown>;
  bye(dialog: Dialog, reasonHeader?: string): Promise<unknown>;
}
