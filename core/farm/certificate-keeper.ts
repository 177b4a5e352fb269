// Holds the certificate that phones on TLS are shown, and takes a new one while calls go on. A broken one changes nothing.
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { configInvalid } from '../config/config-problem.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import { HoldfastError, messageOf } from '../errors.js';
import { writeOwnedFile } from '../host/owned-files.js';
import type { Logger } from '../log.js';
import type { EdgeCertificate, EdgeFarm } from '../ports/edge.js';
import { keepAuthorities } from './kept-authorities.js';
import { certificateProblem, certificateWarning, ownCertificate } from './edge-certificate.js';

export interface CertificateKeeperOptions {
  /** Private: keys are kept in it. */
  readonly folder: string;
  readonly config: () => HoldfastConfig;
  readonly edge: Pick<EdgeFarm, 'certify'>;
  readonly log: Logger;
}

const kept = z.object({ certificate: z.string(), key: z.string() });

/** How often the files are looked at: whoever renews certificates need not know of us. */
const lookEveryMs = 10_000;

export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  #current: EdgeCertificate | undefined;
  /** Every instance has shown it. */
  #isShown = true;
  #lastSaid = '';
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
  }

  /** Before any Kamailio starts. Throws CONFIG_INVALID where there is none that works, and none that ever did. */
  async start(): Promise<void> {
    await keepAuthorities(this.#options.folder, this.#options.config());
    if (this.#options.config().farm.plan.streams.tls !== undefined) {
      this.#current = await this.#read().catch((error: unknown) => this.#lastGood(error));
      await this.#keep(this.#current);
    }
    this.#timer = setInterval(() => void this.look(), lookEveryMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  get current(): EdgeCertificate {
    if (this.#current) return this.#current;
    throw new HoldfastError('HOST_FAILED', 'there is no certificate yet: TLS was not on when the daemon started');
  }

  /** Why what the files hold is not what phones are shown. */
  get trouble(): string | undefined {
    return this.#lastSaid === '' ? undefined : this.#lastSaid;
  }

  /** Throws CONFIG_INVALID where this config names other files than the running one, and they do not work. */
  async tryOut(next: HoldfastConfig): Promise<void> {
    const [now, then] = [this.#options.config().edge.certificate, next.edge.certificate];
    if (this.#current === undefined || (now?.certificate === then?.certificate && now?.key === then?.key)) return;
    await readCertificate(next, this.#options.folder);
  }

  /** Takes what the files hold now, if it is new and works. Gives why it did not. Never throws; one look at a time. */
  look(): Promise<string | undefined> {
    const look = this.#looking.then(() => this.#look());
    this.#looking = look;
    return look;
  }

  async #look(): Promise<string | undefined> {
    const { log, edge, folder, config } = this.#options;
    try {
      await keepAuthorities(folder, config());
      if (!this.#current) return undefined;
      const read = await this.#read();
      const isNew = read.certificate !== this.#current.certificate || read.key !== this.#current.key;
      this.#lastSaid = '';
      if (!isNew && this.#isShown) return undefined;
      this.#current = read;
      this.#isShown = false;
      await this.#keep(read);
      await edge.certify(read);
      this.#isShown = true;
      log.info({}, 'phones on TLS are shown the new certificate');
      return undefined;
    } catch (error) {
      const words = `the certificate that was in use stays: ${messageOf(error)}`;
      this.#say(words, error);
      return words;
    }
  }

  /** Each trouble once, not every ten seconds. */
  #say(words: string, error: unknown): void {
    if (words === this.#lastSaid) return;
    this.#lastSaid = words;
    this.#options.log.error({ error }, words);
  }

  async #read(): Promise<EdgeCertificate> {
    const { config, folder, log } = this.#options;
    const read = await readCertificate(config(), folder);
    const warning = certificateWarning(read, Date.now());
    if (warning !== undefined && read.certificate !== this.#current?.certificate)
      log.warn({}, `the certificate for TLS ${warning}`);
    return read;
  }

  async #keep({ certificate, key }: EdgeCertificate): Promise<void> {
    const { folder } = this.#options;
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const content = JSON.stringify({ certificate, key });
    await writeOwnedFile(join(folder, 'last-good.json'), { content, mode: 0o600 }, owner);
  }

  async #lastGood(error: unknown): Promise<EdgeCertificate> {
    const text = await readFile(join(this.#options.folder, 'last-good.json'), 'utf8').catch(() => undefined);
    if (text === undefined) throw error;
    this.#say(`the last certificate that worked is used: ${messageOf(error)}`, error);
    return kept.parse(JSON.parse(text));
  }
}

/** The pair that the config names, or the farm's own, kept below `folder`. Throws CONFIG_INVALID with place and remedy. */
export async function readCertificate(config: HoldfastConfig, folder: string): Promise<EdgeCertificate> {
  const { certificate: named } = config.edge;
  if (!named) {
    return ownCertificate(join(folder, 'own'), { domain: config.domain, publicVip: config.farm.plan.publicVip });
  }
  const read = async (of: 'certificate' | 'key'): Promise<string> => {
    try {
      return await readFile(named[of], 'utf8');
    } catch (error) {
      const hint = 'name a file that the daemon may read';
      throw configInvalid([named.problem(of, `cannot be read: ${messageOf(error)}`, hint)]);
    }
  };
  const pair = { certificate: await read('certificate'), key: await read('key') };
  const problem = certificateProblem(pair);
  if (problem)
    throw configInvalid([named.problem(problem.of, `${named[problem.of]} ${problem.message}`, problem.hint)]);
  return pair;
}
