// What one Kamailio is rendered from: addresses, secrets and options, all plain values.

/** Keys that every instance of a farm shares. Generated per farm, kept in files of mode 0600. */
export interface EdgeSecrets {
  /** Key ids valid for the signature in Route parameters; `current` signs. Two while one is rotated. */
  readonly routeKeys: { readonly current: string; readonly keys: Readonly<Record<string, string>> };
  /** topoh `mask_key`. */
  readonly maskKey: string;
  /** auth `secret`: nonces of one instance verify at every other. */
  readonly nonceSecret: string;
  /** Of the tokens by which calls of trunks that we register with are known. */
  readonly lineKey: string;
  /** HEP chunk 14 (authenticate key). */
  readonly hepKey: string;
}

/** Transports that have connections: their ports at the public VIP. */
export interface EdgeStreams {
  readonly tcp?: number;
  readonly tls?: number;
  /** Of one instance. */
  readonly mostConnections: number;
  /** How long one may be silent whose other end has not proved itself. */
  readonly strangerSilenceSeconds: number;
}

export interface EdgeModel {
  /** Number of the instance; its HEP capture id. */
  readonly index: number;
  readonly external: string;
  readonly internal: string;
  readonly publicVip: string;
  readonly privateVip: string;
  readonly domain: string;
  /** The shortest registration that is taken. */
  readonly leastExpiresSeconds: number;
  readonly daemonAddress: string;
  readonly streams?: EdgeStreams;
  /** `IP:port` that gets a HEP copy of its own, or undefined. */
  readonly homer?: string;
  readonly secrets: EdgeSecrets;
  /** Where the instance's generated lists and tables are, as it sees them. */
  readonly folder: string;
  /** Worker processes for each of the two sockets. */
  readonly children: number;
}
