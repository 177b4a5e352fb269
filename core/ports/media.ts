// The port to the RTPEngine farm: health, statistics, query and delete. Offers and answers are commanded by the edge.

/** What an engine says of itself. */
export interface EngineStatistics {
  /** Sessions (calls) the engine holds now. */
  readonly sessions: number;
  /** Seconds since the engine's process started: falls when it restarts. */
  readonly uptimeSeconds: number;
}

export interface MediaEngines {
  statistics(node: string): Promise<EngineStatistics>;
  /** Call-IDs with a session on this engine (ng `list`), at most `limit`. */
  list(node: string, limit: number): Promise<readonly string[]>;
  /** The engine's own answer to ng `query`, or undefined where it does not know the Call-ID. */
  query(node: string, callId: string): Promise<Readonly<Record<string, unknown>> | undefined>;
  /** Ends the session of a Call-ID (ng `delete`); true when there was one. */
  delete(node: string, callId: string): Promise<boolean>;
  close(): void;
}
