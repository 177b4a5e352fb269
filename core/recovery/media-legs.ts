// Which legs have their media on an RTPEngine: their dialogs' Route names its incarnation. Pure.
import { echoPeer, isLive, type CallRecord, type LegRecord } from '../calls/call-record.js';
import type { Dialog } from '../ledger/dialog.js';

/** A leg with the call it belongs to and its SIP Call-ID, which a leg just made has not shown yet. */
export interface MediaLeg {
  readonly callId: string;
  readonly leg: LegRecord;
  readonly sipCallId: string | undefined;
}

/** The legs that have media, or will. */
export function mediaLegs(
  calls: readonly CallRecord[],
  sipCallIdOf: (leg: LegRecord) => string | undefined,
): MediaLeg[] {
  return calls.flatMap(({ id, legs }) =>
    legs
      .filter(leg => isLive(leg) && !leg.ending && leg.peer !== echoPeer)
      .map(leg => ({ callId: id, leg, sipCallId: sipCallIdOf(leg) })),
  );
}

/** Of these legs the ones whose dialogs name one of the incarnations. */
export function onEngines(
  legs: readonly MediaLeg[],
  dialogs: ReadonlyMap<string, Dialog>,
  incarnations: ReadonlySet<string>,
): MediaLeg[] {
  return legs.filter(({ sipCallId }) => {
    const dialog = dialogs.get(sipCallId ?? '');
    const incarnation = dialog && engineOf(dialog);
    return incarnation !== undefined && incarnations.has(incarnation);
  });
}

/** The engine incarnation of a dialog: second field of the parameter `hf` of our own Route. */
export function engineOf(dialog: Dialog): string | undefined {
  for (const route of dialog.routeSet) {
    const fields = /;hf=([^;>]+)/.exec(route)?.[1]?.split('.');
    if (fields?.[1] !== undefined) return fields[1];
  }
  return undefined;
}
