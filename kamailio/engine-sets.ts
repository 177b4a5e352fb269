// The RTPEngines that one Kamailio knows (its module rtpengine): its sets made what they should be, and none left out that answers.
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { EdgeContent } from './edge-content.js';
import type { JsonrpcClient } from './jsonrpc-client.js';

const showReply = z.array(
  z.looseObject({ url: z.string(), set: z.number(), disabled: z.union([z.number(), z.string()]).default(0) }),
);
type ShownEngine = z.infer<typeof showReply>[number];

/** The module pings it first, and waits as for a call's offer (`rtpengine_tout_ms`, `rtpengine_retr`). */
const enableMs = 3_000;

export class EngineSets {
  readonly #instance: string;
  readonly #client: JsonrpcClient;

  constructor(instance: string, client: JsonrpcClient) {
    this.#instance = instance;
    this.#client = client;
  }

  /** A set that is no longer named in any table harms nobody: the module keeps it until it restarts. */
  async hold(content: EdgeContent): Promise<boolean> {
    const held = new Set((await this.#shown()).map(one => `${one.set} ${addressOf(one)}`));
    return content.engines.every(engine => held.has(`${engine.set} ${engine.address}`));
  }

  /** Throws DISPATCHER_DRIFT or RPC_REFUSED: the module takes no reload in its first seconds, nor soon after another. */
  async apply(content: EdgeContent, write: () => Promise<void>): Promise<void> {
    if (await this.hold(content)) return;
    await write();
    await this.#client.request('rtpengine.reload');
    if (!(await this.hold(content))) throw this.#refused('did not take the RTPEngine sets: read back they differ');
  }

  /**
   * One that did not answer is left out for a second (`rtpengine_disable_tout`), and is tried again at the cost of a call. What we know
   * to be up is asked now, as just after a start of both. Throws DISPATCHER_DRIFT where it does not answer this Kamailio.
   */
  async enable(content: EdgeContent): Promise<void> {
    const up = new Set(content.engines.filter(one => one.isUp).map(one => one.address));
    const leftOut = async (): Promise<readonly ShownEngine[]> =>
      (await this.#shown()).filter(one => one.disabled !== 0 && up.has(addressOf(one)));
    for (const { url } of await leftOut())
      await this.#client.request('rtpengine.enable', [url, 1], { timeoutMs: enableMs });
    const [still] = await leftOut();
    if (still) throw this.#refused(`gets no answer from the RTPEngine at ${still.url}`);
  }

  async #shown(): Promise<readonly ShownEngine[]> {
    return showReply.safeParse(await this.#client.request('rtpengine.show', ['all'])).data ?? [];
  }

  #refused(what: string): HoldfastError {
    return new HoldfastError('DISPATCHER_DRIFT', `${this.#instance} ${what}`);
  }
}

function addressOf({ url }: ShownEngine): string {
  return url.replace(/^udp:|:\d+$/g, '');
}
