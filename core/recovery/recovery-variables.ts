// A dialog as the channel variables with which our patch has another Asterisk carry it on. Pure.
import type { Dialog, DialogHole } from '../ledger/dialog.js';

/**
 * What the sequence numbers of a recovered side jump by. A node that is not as dead as it seemed counts on from the old
 * number: whatever it sends is then older than ours, and refused (RFC 3261 §12.2.2).
 */
export const cseqStep = 100_000;

/** Says to the edge what Session-Expires of a re-INVITE is to be. */
const sessionHeader = 'X-Holdfast-Session-Expires';

/** RFC 3261 §8.1.1.5 */
const largestCseq = 2 ** 31 - 1;

/** Holes without which nothing can be carried on. */
const essential: ReadonlySet<DialogHole> = new Set(['remoteTag', 'localTag', 'remoteTarget', 'routeSet']);

/** What a recovery cannot do without and the dialog lacks; empty for one that can be recovered. */
export function missingFrom(dialog: Dialog): readonly string[] {
  const holes = dialog.holes.filter(hole => essential.has(hole));
  const lost = (['local', 'remote'] as const).filter(side => dialog[side].tag === null).map(side => `${side}Tag`);
  const target = dialog.remoteTarget === null ? ['remoteTarget'] : [];
  return [...new Set<string>([...holes, ...lost, ...target])];
}

/** The number of the INVITE that recovers it for the `attempt`-th time, from 1. */
export function recoveryCseq(dialog: Dialog, attempt: number): number {
  const next = (dialog.localCseq ?? 0) + cseqStep * attempt;
  return next < largestCseq ? next : Math.min(largestCseq - 1, (dialog.localCseq ?? 0) + attempt);
}

/** `PJSIP_RECOVERY_*` of patches/0002. `missingFrom(dialog)` must be empty. */
export function recoveryVariables(dialog: Dialog, cseq: number): Readonly<Record<string, string>> {
  const { local, remote, routeSet, remoteTarget, remoteCseq, localSdp, session } = dialog;
  return {
    'PJSIP_RECOVERY_CALL-ID': dialog.callId,
    PJSIP_RECOVERY_CSEQ: String(cseq),
    PJSIP_RECOVERY_FROM_URI: local.uri,
    PJSIP_RECOVERY_FROM_TAG: local.tag ?? '',
    PJSIP_RECOVERY_TO_URI: remote.uri,
    PJSIP_RECOVERY_TO_TAG: remote.tag ?? '',
    PJSIP_RECOVERY_REQUEST_URI: remoteTarget ?? '',
    ...(local.displayName === '' ? {} : { PJSIP_RECOVERY_FROM_DISPLAY: local.displayName }),
    ...(remote.displayName === '' ? {} : { PJSIP_RECOVERY_TO_DISPLAY: remote.displayName }),
    ...(remoteCseq === null ? {} : { PJSIP_RECOVERY_REMOTE_CSEQ: String(remoteCseq) }),
    ...(routeSet.length === 0 ? {} : { PJSIP_RECOVERY_ROUTES: routeSet.join(',') }),
    ...(localSdp === null ? {} : { PJSIP_RECOVERY_SDP_ORIGIN: localSdp.origin }),
    // Its Asterisk would offer an interval of its own: the edge puts this one in its place.
    ...(session === null
      ? {}
      : {
          [`PJSIP_HEADER(add,${sessionHeader})`]: `${session.seconds};refresher=${session.refresher === 'local' ? 'uac' : 'uas'}`,
        }),
    ...(localSdp === null || localSdp.direction === 'sendrecv'
      ? {}
      : { PJSIP_RECOVERY_SDP_DIRECTION: localSdp.direction }),
  };
}
