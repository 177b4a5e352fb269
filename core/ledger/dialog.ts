// One SIP dialog as its Asterisk sees it: what a recovery needs to carry it on elsewhere.
import { z } from 'zod';

const party = z.object({
  uri: z.string(),
  /** Without quotes and escapes; empty where there is none. */
  displayName: z.string(),
  /** Null while it is not known. */
  tag: z.string().nullable(),
});

export const sdpDirection = z.enum(['sendrecv', 'sendonly', 'recvonly', 'inactive']);

const sdp = z.object({
  /** Value of the `o=` line (RFC 4566 §5.2): user, session id, version, net type, address type, address. */
  origin: z.string(),
  /** Direction of the first audio stream (RFC 3264 §5.1). */
  direction: sdpDirection,
});

/** What of a dialog was not seen. `lost`: messages are missing, so that CSeqs and targets may be older than the truth. */
export const dialogHole = z.enum([
  'lost',
  'remoteTag',
  'localTag',
  'localCseq',
  'remoteTarget',
  'routeSet',
  'localSdp',
  'remoteSdp',
]);
export type DialogHole = z.infer<typeof dialogHole>;

/** A session timer (RFC 4028), as the latest 2xx has it. */
const session = z.object({ seconds: z.number(), refresher: z.enum(['local', 'remote']) });

/** "Local" is our side (RFC 3261 §12). */
export const dialogSchema = z.object({
  callId: z.string(),
  /** Name of the node that carries it. */
  node: z.string(),
  /** Who sent the INVITE that made it: we (`uac`) or the other end (`uas`). */
  role: z.enum(['uac', 'uas']),
  state: z.enum(['early', 'confirmed', 'terminated']),
  local: party,
  remote: party,
  /** CSeq number of the last request of ours, and of theirs; null before the first. */
  localCseq: z.number().nullable(),
  remoteCseq: z.number().nullable(),
  /** Values of the Route headers that our requests carry, in that order (RFC 3261 §12.1), as they came. */
  routeSet: z.array(z.string()),
  /** URI of the other end's Contact, refreshed by re-INVITE and UPDATE (RFC 3261 §12.2.1.2). */
  remoteTarget: z.string().nullable(),
  /** The latest SDP that each side sent and that is in force. */
  localSdp: sdp.nullable(),
  remoteSdp: sdp.nullable(),
  /** Null where there is none. */
  session: session.nullable().default(null),
  /** Our id of the leg, from X-Holdfast-Leg, where we sent the INVITE. */
  legId: z.string().nullable(),
  /** ms since the epoch. */
  changedMs: z.number(),
  holes: z.array(dialogHole),
});
export type Dialog = Readonly<z.infer<typeof dialogSchema>>;

/** An INVITE transaction without a dialog of its own yet that has no final response, as its Asterisk saw it. */
export interface OpenInvite {
  readonly callId: string;
  readonly node: string;
  /** `in`: the Asterisk received it; `out`: it sent it. */
  readonly direction: 'in' | 'out';
  readonly requestUri: string;
  /** Values as they stand in the message, topmost first. */
  readonly vias: readonly string[];
  readonly routes: readonly string[];
  readonly recordRoutes: readonly string[];
  readonly from: string;
  readonly to: string;
  readonly cseq: number;
  /** To tags of the provisional responses so far: ours for one that came in. */
  readonly toTags: readonly string[];
  readonly legId: string | null;
  /** For one we sent: the 2xx that our Asterisk did not live to acknowledge. */
  readonly answeredBy: {
    readonly toTag: string;
    readonly contact: string;
    readonly recordRoutes: readonly string[];
  } | null;
  readonly sentMs: number;
}

/** What an Asterisk said of a dialog itself, by CHANNEL(pjsip,…); undefined for what it did not say. */
export interface DialogFacts {
  readonly callId: string;
  readonly node: string;
  readonly role: 'uac' | 'uas';
  readonly localTag: string;
  readonly remoteTag: string;
  readonly local: { readonly uri: string; readonly displayName: string };
  readonly remote: { readonly uri: string; readonly displayName: string };
  readonly remoteTarget: string;
  readonly localCseq: number | null;
  readonly remoteCseq: number | null;
  readonly routeSet: readonly string[];
  readonly localSdp: Dialog['localSdp'];
  readonly remoteSdp: Dialog['remoteSdp'];
  readonly legId: string | null;
}
