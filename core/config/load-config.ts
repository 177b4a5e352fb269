// From a config file to a HoldfastConfig, or to every problem in it. Opens no socket and changes nothing.
import { dirname, resolve } from 'node:path';
import { farmNames, planFarm, type FarmName, type FarmPlan } from '../farm/farm-plan.js';
import { HoldfastError } from '../errors.js';
import { isPrivateAddress, readAddress, readAddresses, readHostPort, type AddressReading } from './config-address.js';
import { configInvalid, formatPath, type ConfigPath, type ConfigProblem } from './config-problem.js';
import { configSchema, type ConfigFile } from './config-schema.js';
import { readConfigSource, type ConfigSource } from './config-source.js';
import type { CallerRules } from '../calls/trunk-caller.js';
import type { NumberRules } from '../numbers/phone-number.js';
import type { GatewayConfig } from '../trunks/gateway-list.js';
import type {
  FlowBlock,
  HoldfastConfig,
  MetricsConfig,
  PluginBlock,
  TrunkConfig,
  WebhookConfig,
} from './holdfast-config.js';
import { schemaProblems } from './schema-problems.js';

export interface LoadOptions {
  /** Default: the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Instead of the file's `farm.subnet`. */
  readonly subnet?: string;
  /** Instead of what the file holds; paths in it still count from the file's folder. */
  readonly text?: string;
}

/** Throws CONFIG_UNREADABLE, or CONFIG_INVALID with every problem found. */
export function loadConfig(path: string, options: LoadOptions = {}): HoldfastConfig {
  const source = readConfigSource(resolve(path), options.env ?? process.env, options.text);
  if (source.problems.length > 0) throw configInvalid(source.problems);
  const parsed = configSchema.safeParse(source.value);
  if (!parsed.success) throw configInvalid(schemaProblems(parsed.error.issues, configSchema, source));
  return new ConfigBuilder(source, parsed.data, options.subnet).build();
}

type WebhookFile = ConfigFile['webhooks'][string];

class ConfigBuilder {
  readonly #source: ConfigSource;
  readonly #file: ConfigFile;
  readonly #subnet: string;
  readonly #problems: ConfigProblem[] = [];
  readonly #warnings: string[] = [];

  constructor(source: ConfigSource, file: ConfigFile, subnet: string | undefined) {
    this.#source = source;
    this.#file = file;
    this.#subnet = subnet ?? file.farm.subnet;
  }

  build(): HoldfastConfig {
    const { domain, log, trace, passHeaders, limits, subscriberLimits, sounds } = this.#file;
    const farm = this.#farm();
    const cdr = this.#cdr();
    const metrics = this.#metrics();
    this.#checkLimits();
    const registration = this.#registration();
    const edge = this.#edge();
    const trunks = this.#trunks();
    const subscribers = Object.entries(this.#file.subscribers).map(
      ([name, { name: displayName, secret, identities, limits }]) => ({
        ...{ name, secret, identities },
        ...(displayName === undefined ? {} : { displayName }),
        ...(limits === undefined ? {} : { limits: known(limits) }),
      }),
    );
    if (this.#problems.length > 0 || farm === undefined) throw configInvalid(this.#problems);
    const { file } = this.#source;
    const warnings = [...this.#source.warnings, ...this.#warnings];
    const level = { level: log.level, ...(log.file === undefined ? {} : { file: log.file }) };
    return deepFreeze({
      ...{
        file,
        farm,
        domain,
        log: level,
        cdr,
        recordings: this.#file.recordings,
        limits,
        trace,
        registration,
        subscribers,
        trunks,
        passHeaders,
        warnings,
        numbers: known(this.#file.numbers),
        edge,
      },
      ...(subscriberLimits === undefined ? {} : { subscriberLimits: known(subscriberLimits) }),
      ...(metrics === undefined ? {} : { metrics }),
      webhooks: this.#webhooks(),
      ...(sounds === undefined ? {} : { sounds: resolve(dirname(file), sounds) }),
      flows: Object.entries(this.#file.flows).map(([name, written]) => this.#flow(name, written)),
      plugins: Object.entries(this.#file.plugins).map(([name, block]) => this.#plugin(name, block ?? {})),
    });
  }

  #farm(): HoldfastConfig['farm'] | undefined {
    const { publicVip, privateVip, state, homer, kamailio, call, conference, registrar, rtpengine } = this.#file.farm;
    const sizes = { kamailio, call, conference, registrar, rtpengine };
    const before = this.#problems.length;
    const vips = {
      public: this.#read(['farm', 'publicVip'], publicVip, readAddress) ?? '',
      private: this.#read(['farm', 'privateVip'], privateVip, readAddress) ?? '',
    };
    const collector =
      homer === undefined
        ? undefined
        : this.#read(['farm', 'homer'], homer, (text, subnet) => readHostPort(text, subnet, 9060));
    for (const farm of farmNames) this.#plan(farm, { ...fewest, [farm]: sizes[farm] }, vips);
    if (this.#problems.length > before) return undefined;
    return {
      subnet: this.#subnet,
      sizes,
      plan: planFarm(this.#subnet, sizes, vips),
      ...(state === undefined ? {} : { state: resolve(dirname(this.#source.file), state) }),
      ...(collector === undefined ? {} : { homer: collector }),
    };
  }

  /** Lets the farm plan judge one farm's size, so that its problem gets that farm's line. */
  #plan(
    farm: FarmName,
    sizes: Readonly<Record<FarmName, number>>,
    vips: { public: string; private: string },
  ): FarmPlan | undefined {
    try {
      return planFarm(this.#subnet, sizes, vips);
    } catch (error) {
      if (!HoldfastError.is(error, 'CONFIG_INVALID')) throw error;
      const path = /subnet/.test(error.message) ? ['farm', 'subnet'] : ['farm', farm];
      const problem = this.#source.problem(path, error.message.replace(`farm.${farm}: `, ''), error.remedy);
      if (!this.#problems.some(known => known.message === problem.message)) this.#problems.push(problem);
      return undefined;
    }
  }

  #cdr(): HoldfastConfig['cdr'] {
    const { file, webhook } = this.#file.cdr;
    if (webhook === undefined) return { file };
    return { file, webhook: this.#webhook(['cdr', 'webhook'], webhook, 'call records go') };
  }

  #webhooks(): HoldfastConfig['webhooks'] {
    const read = Object.entries(this.#file.webhooks).map(
      ([name, webhook]) => [name, this.#webhook(['webhooks', name], webhook, 'notices of flows go')] as const,
    );
    return Object.fromEntries(read);
  }

  #webhook(path: ConfigPath, { url, secret, timeoutSeconds }: WebhookFile, what: string): WebhookConfig {
    const { username, password, protocol, hostname } = new URL(url);
    if (username !== '' || password !== '') {
      this.#problem([...path, 'url'], 'must bear no user and password: what is sent is known by its signature');
    }
    if (protocol === 'http:' && !isLoopback(hostname)) {
      this.#warnings.push(`${formatPath([...path, 'url'])}: ${what} to ${hostname} unencrypted: use https`);
    }
    return { url, secret, timeoutMs: timeoutSeconds * 1000 };
  }

  #checkLimits(): void {
    const { rtpTimeoutSeconds: usual, rtpTimeoutOnHoldSeconds: onHold } = this.#file.limits;
    if (onHold === 0 || (usual !== 0 && onHold >= usual)) return;
    const than = usual === 0 ? 'rtpTimeoutSeconds is 0 (never)' : `less than rtpTimeoutSeconds (${usual})`;
    this.#problem(
      ['limits', 'rtpTimeoutOnHoldSeconds'],
      `${onHold} ${usual === 0 ? 'while' : 'is'} ${than}: a phone on hold would be ended before one that is not`,
      'raise it, or 0 for never',
    );
  }

  #metrics(): MetricsConfig | undefined {
    const listen = this.#file.metrics?.listen;
    if (listen === undefined) return undefined;
    const socket = /^unix:(.*)$/.exec(listen)?.[1];
    if (socket !== undefined) {
      if (/^[\w.-]+$/.test(socket)) return { socket };
      this.#problem(['metrics', 'listen'], `"${socket}" is not the name of a socket, as in unix:metrics.sock`);
      return undefined;
    }
    const read = (text: string, subnet: string): AddressReading<string> => readHostPort(text, subnet, metricsPort);
    const [host = '', port] = this.#read(['metrics', 'listen'], listen, read)?.split(':') ?? [];
    if (host !== '' && !isPrivateAddress(host)) {
      this.#problem(['metrics', 'listen'], `${host} is not a private address: anybody could read how you are doing`);
    }
    return { host, port: Number(port) };
  }

  #registration(): HoldfastConfig['registration'] {
    const { registration } = this.#file;
    const { minSeconds, maxSeconds, defaultSeconds, digests } = registration;
    const at = (key: string): ConfigPath => ['registration', key];
    if (maxSeconds < minSeconds) this.#problem(at('maxSeconds'), `is less than minSeconds (${minSeconds})`);
    else if (defaultSeconds < minSeconds || defaultSeconds > maxSeconds) {
      this.#problem(at('defaultSeconds'), `must be between minSeconds (${minSeconds}) and maxSeconds (${maxSeconds})`);
    }
    if (new Set(digests).size < digests.length) this.#problem(at('digests'), 'names one twice');
    return registration;
  }

  #edge(): HoldfastConfig['edge'] {
    const { edge } = this.#file;
    return {
      allow: edge.allow.flatMap((text, i) => this.#read(['edge', 'allow', i], text, readAddresses) ?? []),
      defence: {
        strangerRate: edge.strangerPerSecond,
        strangerRegisters: edge.strangerRegistersPerSecond,
        mostFailures: edge.wrongPasswords,
        banSeconds: edge.banSeconds,
      },
    };
  }

  #trunks(): readonly TrunkConfig[] {
    const owners = new Map<string, string>();
    return Object.entries(this.#file.trunks).map(([name, trunk]) => {
      if (trunk.sources.length === 0 && trunk.gateways.length === 0) {
        this.#problem(['trunks', name], 'has neither sources nor gateways: no call could use it');
      }
      const sources = trunk.sources.flatMap((text, i) => {
        const path = ['trunks', name, 'sources', i];
        const addresses = this.#read(path, text, readAddresses) ?? [];
        const other = addresses.map(address => owners.get(address)).find(owner => owner !== undefined);
        if (other !== undefined)
          this.#problem(path, `overlaps a source of trunk ${other}: a call must be of one trunk`);
        for (const address of addresses) owners.set(address, name);
        return addresses;
      });
      const gateways = this.#gateways(name, trunk.gateways);
      const { credentials, trusted, limits, caller } = trunk;
      return {
        ...{ name, sources, gateways, trusted, numbers: this.#numbersOf(name, trunk) },
        ...{ probeSeconds: trunk.probeSeconds ?? usualProbeSeconds(gateways), silentMs: trunk.silentSeconds * 1000 },
        ...(credentials === undefined ? {} : { credentials }),
        ...(limits === undefined ? {} : { limits: known(limits) }),
        ...(caller === undefined ? {} : { caller: this.#caller(name, known(caller)) }),
      };
    });
  }

  #gateways(trunk: string, entries: ConfigFile['trunks'][string]['gateways']): readonly GatewayConfig[] {
    return entries.flatMap((entry, i): GatewayConfig[] => {
      const path = ['trunks', trunk, 'gateways', i];
      const {
        address: text,
        priority = i + 1,
        weight,
      } = typeof entry === 'string' ? { address: entry, weight: 1 } : entry;
      const address = this.#read(typeof entry === 'string' ? path : [...path, 'address'], text, readHostPort);
      if (address === undefined) return [];
      // RFC 3263 §4.2: a name with a port is a host.
      const isName = !/:|^[\d.]+$/.test(text);
      return [{ address, priority, weight, ...(isName ? { srv: text } : {}) }];
    });
  }

  #numbersOf(trunk: string, { numbers }: ConfigFile['trunks'][string]): NumberRules {
    const { format = 'as-is', country = this.#file.numbers.country } = numbers ?? {};
    if (format === 'national' && country === undefined) {
      const hint = 'name its country here, or in numbers.country';
      this.#problem(['trunks', trunk, 'numbers', 'format'], 'is national, of no country', hint);
    }
    return { format, ...(country === undefined ? {} : { country }) };
  }

  #caller(trunk: string, caller: CallerRules): CallerRules {
    const wants = (['show', 'asserted'] as const).find(key => caller[key] === 'number');
    if (wants !== undefined && caller.number === undefined)
      this.#problem(['trunks', trunk, 'caller', wants], 'is number, and there is no number beside it');
    return caller;
  }

  #flow(name: string, written: readonly unknown[]): FlowBlock {
    const source = this.#source;
    const at = (path: ConfigPath): ConfigPath => ['flows', name, ...path];
    return {
      ...{ name, written },
      problem: (path, message, hint, atKey) => source.problem(at(path), message, hint, atKey),
      schemaProblems: (path, issues, schema) =>
        schemaProblems(issues as Parameters<typeof schemaProblems>[0], schema, source, at(path)),
    };
  }

  #plugin(name: string, block: Readonly<Record<string, unknown>>): PluginBlock {
    const { from, ...config } = block;
    const source = this.#source;
    const at = (path: ConfigPath): ConfigPath => ['plugins', name, ...path];
    return {
      name,
      ...(typeof from === 'string' ? { from } : {}),
      config,
      problem: (path, message, hint, atKey) => source.problem(at(path), message, hint, atKey),
      schemaProblems: (issues, schema) =>
        schemaProblems(issues as Parameters<typeof schemaProblems>[0], schema, source, at([])),
    };
  }

  #read<T>(path: ConfigPath, text: string, read: (text: string, subnet: string) => AddressReading<T>): T | undefined {
    const reading = read(text, this.#subnet);
    if ('value' in reading) return reading.value;
    this.#problem(path, reading.wrong);
    return undefined;
  }

  #problem(path: ConfigPath, message: string, hint?: string): void {
    this.#problems.push(this.#source.problem(path, message, hint));
  }
}

/** One that is alone is tried in any case. */
function usualProbeSeconds(gateways: readonly GatewayConfig[]): number {
  return gateways.length > 1 || gateways.some(({ srv }) => srv !== undefined) ? 30 : 0;
}

type Known<T> = { readonly [Key in keyof T]: Exclude<T[Key], undefined> };

/** Without the keys that are undefined: to be left out is to be left out. */
function known<T extends object>(value: T): Known<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Known<T>;
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/** Of the Prometheus exporters of OpenTelemetry. */
const metricsPort = 9464;

const fewest = { kamailio: 1, call: 1, conference: 1, registrar: 1, rtpengine: 1 } as const;

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
