// What a test needs to know of a HOMER that runs: the fake one, or a real one that somebody has started.

export interface RunningHomer {
  /** Where HEPv3 is heard, over UDP. */
  readonly hepAddress: string;
  readonly hepPort: number;
  /** The web application. */
  readonly url: string;
  readonly username: string;
  readonly password: string;
  stop(): Promise<void>;
}

/**
 * The HOMER 7 that the environment names, which is used as it is and left running:
 * `HOLDFAST_HOMER=http://admin:sipcapture@127.0.0.1:9080 HOLDFAST_HOMER_HEP=127.0.0.1:9060`.
 */
export function givenHomer(environment = process.env): RunningHomer | undefined {
  const { HOLDFAST_HOMER: text, HOLDFAST_HOMER_HEP: hep } = environment;
  if (!text) return undefined;
  const url = new URL(text);
  const [hepAddress = url.hostname, hepPort = '9060'] = hep ? hep.split(':') : [];
  return {
    ...{ hepAddress, hepPort: Number(hepPort), url: url.origin },
    ...{ username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) },
    stop: () => Promise.resolve(),
  };
}
