// Holds our registrations with trunks: one daemon does, by the same Contact and Call-ID on every start, so that a registrar replaces what it has.
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { TrunkConfig } from '../config/holdfast-config.js';
import { messageOf } from '../errors.js';
import type { EventFacts } from '../events/event-log.js';
import type { Logger } from '../log.js';
import { gatewayFlow, lineParameter } from '../ports/edge.js';
import type { Store, Table } from '../store/store.js';
import { DigestMemory } from './digest-answer.js';
import { gatewaysOf, orderFor } from './gateway-list.js';
import { transportOf, type Transport } from './gateway-transport.js';
import { attemptRegistration } from './register-attempt.js';
import type { RegisterAnswer, RegisterRequest, Registrant } from './register-message.js';
import {
  afterAttempt,
  newRegistration,
  resumedRegistration,
  wordOf,
  type RegisterOutcome,
  type RegistrationState,
  type RegistrationWord,
} from './registration.js';
import type { TrunkNames } from './trunk-names.js';

export interface TrunkRegistrationsOptions {
  readonly trunks: () => readonly TrunkConfig[];
  /** Where the public VIP takes this transport, as it stands in a SIP URI. */
  readonly publicAddress: (transport: Transport) => string;
  /** The token in our Contact at a trunk. */
  readonly lineOf: (trunk: string) => string;
  readonly ask: (request: RegisterRequest) => Promise<RegisterAnswer | null>;
  readonly names: Pick<TrunkNames, 'srv'>;
  readonly store: Store;
  /** Something that the event stream tells. */
  readonly tell: (type: string, facts: EventFacts) => void;
  readonly log: Logger;
}

/** What a later daemon must know. */
const kept = z.object({
  aor: z.string(),
  contact: z.string(),
  callId: z.string(),
  /** The last one that was, or may have been, sent. */
  cseq: z.int(),
  registrar: z.string().nullable(),
  untilMs: z.number(),
  grantedSeconds: z.number(),
});
type KeptRegistration = z.infer<typeof kept>;

/** A trunk's registration as its config has it. */
interface Account extends Registrant {
  readonly trunk: string;
  readonly register: NonNullable<TrunkConfig['register']>;
  readonly credentials: TrunkConfig['credentials'];
}

interface Held {
  account: Account;
  record: KeptRegistration;
  state: RegistrationState;
  told: RegistrationWord;
  /** Attempts that have failed since the daemon's start. */
  failures: number;
  readonly digest: DigestMemory;
  busy: Promise<void> | undefined;
}

/** As the command line and the metrics have it. */
export interface RegistrationStatus {
  readonly state: RegistrationWord;
  readonly user: string;
  readonly registrar: string | null;
  readonly untilMs: number;
  readonly error: string | null;
  readonly sipStatus: number | null;
  readonly failures: number;
}

const tickMs = 250;

export class TrunkRegistrations {
  readonly #options: TrunkRegistrationsOptions;
  readonly #table: Table<KeptRegistration>;
  readonly #held = new Map<string, Held>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TrunkRegistrationsOptions) {
    this.#options = options;
    this.#table = options.store.table('trunk-registrations', kept);
  }

  /** Goes on where the last daemon was. */
  async start(): Promise<void> {
    const accounts = new Map(this.#accounts().map(one => [one.trunk, one]));
    const now = Date.now();
    for await (const [trunk, { value }] of this.#table.range()) {
      const account = accounts.get(trunk);
      if (account && isSame(account, value)) this.#hold(account, value, now);
      else await this.#forgetStranger(trunk, value, now);
    }
    this.#timer = setInterval(() => this.tick(Date.now()), tickMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Bound, as it is handed around; undefined for a trunk that we do not register with. */
  readonly status = (trunk: string): RegistrationStatus | undefined => {
    const held = this.#held.get(trunk);
    if (!held) return undefined;
    const { untilMs, registrar, error, sipStatus } = held.state;
    const state = wordOf(held.state, Date.now());
    return { state, user: held.account.aor, registrar, untilMs, error, sipStatus, failures: held.failures };
  };

  /** Registers, refreshes and ends what is due. */
  tick(nowMs: number): void {
    const accounts = this.#accounts();
    for (const [trunk, held] of this.#held) {
      const account = accounts.find(one => one.trunk === trunk);
      if (account && isSame(account, held.record)) this.#adopt(held, account, nowMs);
      else this.#work(held, async () => this.#leave(trunk, held));
    }
    for (const account of accounts) {
      if (!this.#held.has(account.trunk)) this.#hold(account, newRecord(account), nowMs);
    }
    for (const held of this.#held.values()) {
      this.#tellChange(held, nowMs);
      if (held.state.nextMs <= nowMs) this.#work(held, async () => this.#register(held));
    }
  }

  /** Ends all of them, as the farm goes down; those that do not answer in time end by themselves. */
  async end(withinMs: number): Promise<void> {
    this.close();
    const all = [...this.#held.values()].map(async held => {
      await held.busy;
      await this.#unregister(held);
    });
    await Promise.race([Promise.allSettled(all), sleep(withinMs, undefined, { ref: false })]);
  }

  #accounts(): readonly Account[] {
    const { trunks, publicAddress, lineOf } = this.#options;
    return trunks().flatMap(({ name: trunk, register, credentials }) => {
      if (register === undefined) return [];
      const at = publicAddress(transportOf(register.registrars[0]?.address ?? ''));
      const contact = `sip:${register.user}@${at};${lineParameter}=${lineOf(trunk)}`;
      return [{ trunk, register, credentials, contact, aor: `${register.user}@${register.domain}` }];
    });
  }

  #hold(account: Account, record: KeptRegistration, nowMs: number): void {
    const state = resumedRegistration(record, account.register.expiresSeconds, nowMs);
    const told = wordOf(state, nowMs);
    this.#held.set(account.trunk, {
      ...{ account, record, state, told, failures: 0 },
      ...{ digest: new DigestMemory(), busy: undefined },
    });
  }

  /** Another password or registrar is tried at once. */
  #adopt(held: Held, account: Account, nowMs: number): void {
    if (isDeepStrictEqual(held.account, account)) return;
    held.account = account;
    held.digest.forget();
    held.state = { ...held.state, askedSeconds: account.register.expiresSeconds, nextMs: nowMs };
  }

  /** One thing at a time for each. */
  #work(held: Held, work: () => Promise<void>): void {
    held.busy ??= work()
      .catch((error: unknown) => {
        const outcome = {
          registrar: '',
          answer: null,
          refusal: messageOf(error),
          askedSeconds: held.state.askedSeconds,
        };
        this.#note(held, outcome);
      })
      .finally(() => (held.busy = undefined));
  }

  async #register(held: Held): Promise<void> {
    const { registrars } = held.account.register;
    const ordered = orderFor(gatewaysOf(registrars, this.#options.names.srv), Math.random).map(
      ({ address }) => address,
    );
    const { registrar } = held.state;
    const first = ordered.filter(one => one === registrar);
    const others = ordered.filter(one => one !== registrar);
    const outcome = await this.#attempt(held, [...first, ...others], held.state.askedSeconds);
    this.#note(held, outcome);
    await this.#keep(held);
  }

  async #attempt(held: Held, registrars: readonly string[], expiresSeconds: number): Promise<RegisterOutcome> {
    const { account, record, digest } = held;
    const known = gatewaysOf(account.register.registrars, this.#options.names.srv);
    return attemptRegistration({
      flowTo: registrar => {
        const id = known.find(({ address }) => address === registrar)?.id;
        return id === undefined ? undefined : gatewayFlow({ id, transport: transportOf(registrar) });
      },
      ...{ aor: record.aor, contact: record.contact, callId: record.callId, registrars, expiresSeconds, digest },
      user: account.credentials,
      ask: this.#options.ask,
      nextCseq: async () => {
        held.record = { ...held.record, cseq: held.record.cseq + 1 };
        await this.#table.put(account.trunk, held.record);
        return held.record.cseq;
      },
    });
  }

  #note(held: Held, outcome: RegisterOutcome): void {
    const { state: before, account } = held;
    const now = Date.now();
    held.state = afterAttempt(before, outcome, now, Math.random);
    const { error, sipStatus } = held.state;
    const { trunk } = account;
    if (error !== null) {
      held.failures++;
      const until = before.untilMs > now ? `; it holds until ${new Date(before.untilMs).toISOString()}` : '';
      const words = `the registration with trunk ${trunk} failed at ${outcome.registrar}: ${error}${until}`;
      // What changes the state is told in its own words.
      const isNews = error !== before.error && wordOf(held.state, now) === held.told;
      this.#options.log[isNews ? 'warn' : 'debug']({ trunk, registrar: outcome.registrar, sipStatus }, words);
    } else if (before.error !== null && before.untilMs > now) {
      this.#options.log.info({ trunk }, `the registration with trunk ${trunk} is refreshed again`);
    }
    this.#tellChange(held, now);
  }

  #tellChange(held: Held, nowMs: number): void {
    const word = wordOf(held.state, nowMs);
    if (word === held.told || word === 'trying') return;
    held.told = word;
    const { trunk, aor: user } = held.account;
    const { registrar, error, sipStatus, untilMs } = held.state;
    if (word === 'registered') {
      const until = new Date(untilMs).toISOString();
      this.#options.log.info({ trunk, registrar }, `trunk ${trunk} is registered at ${registrar} until ${until}`);
      this.#options.tell('trunk.registered', { trunk, user, registrar, until });
    } else {
      this.#options.log.warn({ trunk, sipStatus }, `trunk ${trunk} is not registered, its calls do not come: ${error}`);
      this.#options.tell('trunk.unregistered', { trunk, user, reason: error, sipStatus });
    }
  }

  async #keep(held: Held): Promise<void> {
    const { untilMs, registrar } = held.state;
    const changed = untilMs !== held.record.untilMs;
    const grantedSeconds = changed ? Math.max(0, (untilMs - Date.now()) / 1000) : held.record.grantedSeconds;
    held.record = { ...held.record, registrar, untilMs, grantedSeconds };
    await this.#table.put(held.account.trunk, held.record);
  }

  /** The config has it no more, or has another one in its place. */
  async #leave(trunk: string, held: Held): Promise<void> {
    try {
      await this.#unregister(held);
      await this.#table.delete(trunk);
    } finally {
      this.#held.delete(trunk);
    }
  }

  /** With the credentials that it was registered by. */
  async #unregister(held: Held): Promise<void> {
    const { trunk, aor: user } = held.account;
    const { registrar, untilMs } = held.state;
    if (untilMs <= Date.now() || registrar === null) return;
    const { refusal } = await this.#attempt(held, [registrar], 0);
    const until = new Date(untilMs).toISOString();
    if (refusal !== undefined)
      this.#options.log.warn({ trunk }, `trunk ${trunk} did not end our registration: ${refusal}; it ends at ${until}`);
    else this.#options.log.info({ trunk }, `the registration with trunk ${trunk} is ended`);
    held.state = newRegistration(held.state.askedSeconds, Date.now());
    held.told = 'trying';
    this.#options.tell('trunk.unregistered', { trunk, user, reason: 'ended by us', sipStatus: null });
    await this.#keep(held);
  }

  /** Left by an earlier daemon under a config that had it: the password has gone with that config. */
  async #forgetStranger(trunk: string, { untilMs, aor }: KeptRegistration, nowMs: number): Promise<void> {
    if (untilMs > nowMs)
      this.#options.log.warn(
        { trunk },
        `the registration of ${aor} with trunk ${trunk}, which the config has no more, ends at ${new Date(untilMs).toISOString()}`,
      );
    await this.#table.delete(trunk);
  }
}

function newRecord({ aor, contact }: Account): KeptRegistration {
  const callId = randomBytes(16).toString('hex');
  return { aor, contact, callId, cseq: 0, registrar: null, untilMs: 0, grantedSeconds: 0 };
}

/** The same binding: what else is changed is taken by its next refresh. */
function isSame(account: Account, { aor, contact }: KeptRegistration): boolean {
  return account.aor === aor && account.contact === contact;
}
