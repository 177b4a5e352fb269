// The port to a second source of dialogs: a collector outside that keeps the SIP messages the edge has sent it copies of.

/** One SIP message as a collector keeps it. */
export interface TracedSip {
  readonly callId: string;
  /** When it passed, in ms since 1970 by the sender's clock, µs in the fraction where the collector keeps them. */
  readonly atMs: number;
  /** `address:port`, an IPv6 address in brackets. */
  readonly source: string;
  readonly destination: string;
  /** The whole message. Bytes that are no UTF-8 may be missing from it. */
  readonly raw: string;
}

/** Which messages are wanted. */
export interface TraceQuery {
  readonly callIds: readonly string[];
  /** Both in ms since 1970, inclusive. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** A collector that can be asked for SIP messages of the past. */
export interface TraceSource {
  /** For log lines. */
  readonly name: string;
  /**
   * The messages of these Call-IDs, oldest first: asked once for all dialogs of a dead node. A collector that writes late is
   * waited for; what has not come by then is missing from the answer. Throws where nothing could be had at all.
   */
  messages(query: TraceQuery, signal: AbortSignal): Promise<readonly TracedSip[]>;
}
