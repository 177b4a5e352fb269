// One call that SIPp plays by a scenario of its own through a farm; when it fails its ladder is told.
import { rm } from 'node:fs/promises';
import type { Farm } from './farm.js';
import { Sipp } from './sipp.js';
import type { SippScenario } from './sipp-scenario.js';
import { waitFor } from './wait-for.js';

/** A way to the farm other than the loopback. */
export interface FarNetwork {
  readonly namespace: string;
  readonly address: string;
  readonly publicVip: string;
}

export interface PartyOptions {
  /** Host number of its address in the farm's subnet, or where else it is. */
  readonly host: number | FarNetwork;
  /** Default 5060. */
  readonly port?: number;
  /** Default 30 s. */
  readonly deadlineMs?: number;
  /** True: a message that the scenario does not expect is passed over. Default false. */
  readonly lenient?: boolean;
  /** False: the scenario says itself what is sent again, and what comes again. Default true. */
  readonly retransmits?: boolean;
}

export class SippParty {
  readonly #publicVip: string;
  readonly #sipp: Sipp;
  readonly #scenario: SippScenario;

  private constructor(publicVip: string, sipp: Sipp, scenario: SippScenario) {
    this.#publicVip = publicVip;
    this.#sipp = sipp;
    this.#scenario = scenario;
  }

  /** Calls `number`. */
  static async caller(farm: Farm, scenario: SippScenario, number: string, options: PartyOptions): Promise<SippParty> {
    const { publicVip, ...where } = placeOf(farm, options.host);
    const sipp = await Sipp.uac({
      ...{ ...where, target: { address: publicVip, port: 5060 }, service: number },
      ...{ calls: 1, rate: 50, scenario, ...common(options) },
    });
    return new SippParty(publicVip, sipp, scenario);
  }

  /** Waits for one call, and listens already. */
  static async callee(farm: Farm, scenario: SippScenario, options: PartyOptions): Promise<SippParty> {
    const { publicVip, ...where } = placeOf(farm, options.host);
    const sipp = await Sipp.uas({
      ...{ ...where, calls: 1, scenario, ...common(options) },
    });
    return new SippParty(publicVip, sipp, scenario);
  }

  /** Waits until the scenario has come to this mark. */
  async reaches(mark: string, deadlineMs = 20_000): Promise<void> {
    const isThere = async (): Promise<boolean> => (await this.#sipp.marks()).includes(mark);
    await waitFor(`${this.#scenario.name} to reach "${mark}"`, isThere, {
      ...{ deadlineMs, everyMs: 20, describe: () => this.#describe() },
    });
  }

  /** What the other side of the call waits for; where that fails, this party's ladder is told too. */
  async during<T>(work: Promise<T>): Promise<T> {
    return work.catch(async (cause: unknown) => {
      throw new Error(`${String(cause)}\nand ${this.#scenario.name}:\n${await this.#describe()}`, { cause });
    });
  }

  /** Waits until the call is over; throws where it did not go as its scenario says. */
  async succeeds(): Promise<void> {
    const { successful, failed, errors, exitCode } = await this.#sipp.finished();
    if (successful !== 1 || failed !== 0) {
      throw new Error(`${this.#scenario.name} failed (${exitCode ?? 'killed'}): ${errors}\n${await this.#describe()}`);
    }
    await rm(this.#sipp.folder, { recursive: true, force: true });
  }

  async #describe(): Promise<string> {
    return (await this.#sipp.ladder({ address: this.#publicVip, port: 5060 })).print();
  }
}

function placeOf(farm: Farm, host: PartyOptions['host']): Omit<FarNetwork, 'namespace'> & { namespace?: string } {
  return typeof host === 'number' ? { address: farm.host(host), publicVip: farm.host(100) } : host;
}

function common({ port = 5060, deadlineMs = 30_000, retransmits = true, lenient = false }: PartyOptions) {
  return { messages: true, port, deadlineMs, retransmits, lenient };
}
