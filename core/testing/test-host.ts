// The test kit for plugins: the daemon's own plugin host with a test's config, and no server.
import { AssertionError } from 'node:assert';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { answeredLeg } from '../calls/outgoing-leg.js';
import { headersOf, passedFields } from '../calls/leg-headers.js';
import { loadConfig } from '../config/load-config.js';
import type { HoldfastConfig } from '../config/holdfast-config.js';
import { createLogger } from '../log.js';
import {
  bindings,
  type DialAnswer,
  type Events,
  type Hooks,
  type IncomingCall,
  type OutgoingLeg,
  type RouteAnswer,
  type ServiceToken,
} from '../plugin-api.js';
import { PluginHost } from '../plugins/plugin-host.js';
import { incomingCall, outgoingLeg } from './facts.js';
import { FakeClock, turn } from './fake-clock.js';

/** What a TestHost is started with. */
export interface TestHostOptions {
  /** Folder from which the paths in `config` count: `import.meta.dirname`, in a test that lies beside its plugin. */
  readonly folder: string;
  /**
   * Text of a config file, at least its `plugins`. What it leaves out is as in Holdfast's examples: the domain `holdfast.test`,
   * subscribers 1001 to 1003, and a trunk `lab` with the gateway 127.40.0.208:5060.
   */
  readonly config: string;
  /** Services that the plugins find there, made with `given()`: in place of other plugins, or of Holdfast's own `bindings`. */
  readonly services?: readonly GivenService[];
  /** For `${NAME}` in the config. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Stops the clock of this process at this time, until `advance()` moves it and `stop()` gives the real one back. A text is read
   * as `new Date(text)` does.
   */
  readonly now?: string | number;
  /** How long a plugin may think about a question. Default 2000, as in the daemon. */
  readonly hookTimeoutMs?: number;
}

/** A service for `TestHostOptions.services`. */
export type GivenService = readonly [token: ServiceToken<unknown>, service: unknown];

/** Gives a service of a test's own to the plugins. */
export function given<T>(token: ServiceToken<T>, service: T): GivenService {
  return [token, service];
}

/** A line that a plugin, or the host about a plugin, has logged. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  /** The plugin that logged it; none on the host's own lines. */
  readonly plugin?: string;
  /** The fields that it was logged with. */
  readonly [field: string]: unknown;
}

/** Fields that a line must bear; `message` may be a pattern, anything else must be equal. */
export type LogMatch = Readonly<Record<string, unknown>> & { readonly message?: string | RegExp };

/** What a leg's INVITE bears in the end. */
export interface DialledLeg {
  readonly callerNumber: string;
  readonly callerName: string;
  readonly headers: OutgoingLeg['headers'];
}

/**
 * Plugins that run as in the daemon: loaded by the same loader, set up in the same order, asked with the same deadlines, their answers
 * checked by the same checks. Only the calls are the test's.
 */
export class TestHost {
  /** Everything logged so far, debug lines too. */
  readonly log: readonly LogLine[];
  readonly #options: TestHostOptions;
  readonly #host: PluginHost;
  readonly #clock: FakeClock | undefined;

  /** Loads and starts the plugins of `options.config`. Throws what the daemon would refuse to start with. */
  static async start(options: TestHostOptions): Promise<TestHost> {
    const clock = options.now === undefined ? undefined : FakeClock.install(new Date(options.now).getTime());
    const test = new TestHost(options, clock);
    try {
      await test.#host.start(readConfig(options));
    } catch (error) {
      await test.stop();
      throw error;
    }
    return test;
  }

  /**
   * What `holdfast check` does: loads the plugins and checks their blocks, without any setup. Throws what it would report; gives the
   * deprecations that it would name.
   */
  static async check(options: TestHostOptions): Promise<readonly string[]> {
    return hostOf(options, []).check(readConfig(options));
  }

  private constructor(options: TestHostOptions, clock: FakeClock | undefined) {
    const lines: LogLine[] = [];
    this.log = lines;
    this.#options = options;
    this.#clock = clock;
    this.#host = hostOf(options, lines);
  }

  /** Names of the running plugins, in the order in which they are asked. */
  get plugins(): readonly string[] {
    return this.#host.plugins;
  }

  /** Where does this call go? `call` is what matters of it to the test; see `incomingCall()`. */
  async route(call: Partial<IncomingCall> = {}): Promise<RouteAnswer | undefined> {
    return this.ask('route', incomingCall(call));
  }

  /** What does this leg's INVITE bear once every plugin was asked? `leg` is what matters of it; see `outgoingLeg()`. */
  async dial(leg: Partial<OutgoingLeg> = {}): Promise<DialledLeg> {
    const { callerNumber, callerName, headers, ...rest } = outgoingLeg(leg);
    const question = { ...rest, callerNumber, callerName, headers };
    const answers: readonly DialAnswer[] = await this.#host.askAll('dial', question, rest.call.id);
    const { fields, ...caller } = answeredLeg({ callerNumber, callerName, fields: passedFields(headers) }, answers);
    return { ...caller, headers: headersOf(fields) };
  }

  /**
   * Asks any hook: the first answer in config order. Throws PLUGIN_FAILED or PLUGIN_TIMEOUT, as the daemon would for the call that asked.
   */
  async ask<Name extends keyof Hooks>(
    hook: Name,
    question: Parameters<Hooks[Name]>[0],
  ): Promise<Awaited<ReturnType<Hooks[Name]>> | undefined> {
    return this.#host.ask(hook, question);
  }

  /** Tells the plugins a fact, and resolves when their listeners have had a turn. One that throws is in the log, as an error. */
  async emit<Name extends keyof Events>(event: Name, ...facts: Events[Name]): Promise<void> {
    this.#host.emit(event, ...facts);
    await turn();
  }

  /** A service that one of the plugins provides. */
  service<T>(token: ServiceToken<T>): T | undefined {
    return this.#host.service(token);
  }

  /** Has the plugins started anew with another config, as `holdfast reload` does; where that fails the old ones go on. */
  async reload(config: string): Promise<void> {
    await this.#host.reload(readConfig({ ...this.#options, config }));
  }

  /** Moves the fake clock on: timers, deadlines and dates of everything in this process. */
  async advance(ms: number): Promise<void> {
    if (this.#clock === undefined) throw new Error('the clock is real: start the TestHost with `now`');
    await this.#clock.advance(ms);
  }

  /** The lines that bear all of `match`. */
  logged(match: LogMatch): readonly LogLine[] {
    return this.log.filter(line => Object.entries(match).every(([field, wanted]) => matches(line[field], wanted)));
  }

  /** Throws an AssertionError that shows the log, unless a line bears all of `match`. */
  assertLogged(match: LogMatch): void {
    if (this.logged(match).length > 0) return;
    const lines = this.log.map(({ time: _, ...line }) => `  ${JSON.stringify(line)}`);
    const wanted = Object.entries(match).map(
      ([field, value]) => `${field}: ${value instanceof RegExp ? String(value) : JSON.stringify(value)}`,
    );
    throw new AssertionError({
      message: `no line was logged with ${wanted.join(', ')}; there are ${lines.length}:\n${lines.join('\n')}`,
      stackStartFn: this.assertLogged.bind(this),
    });
  }

  /** Stops the plugins, last started first, and gives the real clock back. */
  async stop(): Promise<void> {
    // First the clock: a clean-up that hangs is given up by a timer.
    this.#clock?.uninstall();
    await this.#host.stop();
  }
}

function hostOf({ services = [], hookTimeoutMs }: TestHostOptions, lines: LogLine[]): PluginHost {
  const write = (line: string): void => {
    const { msg, ...fields } = JSON.parse(line) as LogLine & { msg: string };
    lines.push({ ...fields, message: msg });
  };
  const none = { contacts: () => [] };
  return new PluginHost({
    log: createLogger({ level: 'debug', destination: { write } }),
    services: new Map([[bindings.name, none], ...services.map(([{ name }, service]) => [name, service] as const)]),
    ...(hookTimeoutMs === undefined ? {} : { hookTimeoutMs }),
  });
}

/** What a test's config may leave out. */
const surroundings: Readonly<Record<string, string>> = {
  domain: 'holdfast.test',
  subscribers:
    '{ "1001": { name: alice, secret: a }, "1002": { name: bob, secret: b }, "1003": { name: carol, secret: c } }',
  trunks: '{ lab: { sources: [.200-.207], gateways: [.208:5060] } }',
};

/** Behind what the test wrote, so that the lines in messages are its own. */
function readConfig({ folder, config, env = {} }: TestHostOptions): HoldfastConfig {
  const missing = Object.entries(surroundings).filter(([key]) => !new RegExp(`^${key}:`, 'm').test(config));
  const text = [config, ...missing.map(([key, value]) => `${key}: ${value}`)].join('\n');
  return loadConfig(join(folder, 'test.yaml'), { env, text });
}

function matches(value: unknown, wanted: unknown): boolean {
  if (wanted instanceof RegExp) return typeof value === 'string' && wanted.test(value);
  return isDeepStrictEqual(value, wanted);
}
