// From a config file to a HoldfastConfig, or to every problem in it. Opens no socket and changes nothing.
import { dirname, resolve } from 'node:path';
import { isPrivateAddress, readAddresses, readHostPort, type AddressReading } from './config-address.js';
import { configInvalid, formatPath, type ConfigPath } from './config-problem.js';
import { ConfigReading, known } from './config-reading.js';
import { configSchema, type ConfigFile } from './config-schema.js';
import { readConfigSource, type ConfigSource } from './config-source.js';
import type { FlowBlock, HoldfastConfig, MetricsConfig, PluginBlock, WebhookConfig } from './holdfast-config.js';
import { readFarm } from './read-farm.js';
import { readTrunks } from './read-trunks.js';
import { schemaProblems } from './schema-problems.js';

export interface LoadOptions {
  /** Default: the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Instead of the file's `farm.subnet`. */
  readonly subnet?: string;
  /** Instead of what the file holds; paths in it still count from the file's folder. */
  readonly text?: string;
  /** For a start: what a file of authorities that is wrong now held when it was right. */
  readonly lastAuthorities?: (file: string) => string | undefined;
}

/** Throws CONFIG_UNREADABLE, or CONFIG_INVALID with every problem found. */
export function loadConfig(path: string, options: LoadOptions = {}): HoldfastConfig {
  const source = readConfigSource(resolve(path), options.env ?? process.env, options.text);
  if (source.problems.length > 0) throw configInvalid(source.problems);
  const parsed = configSchema.safeParse(source.value);
  if (!parsed.success) throw configInvalid(schemaProblems(parsed.error.issues, configSchema, source));
  const subnet = options.subnet ?? parsed.data.farm.subnet;
  return build(new ConfigReading(source, parsed.data, subnet, options.lastAuthorities));
}

type WebhookFile = ConfigFile['webhooks'][string];

function build(reading: ConfigReading): HoldfastConfig {
  const { source, file } = reading;
  const { domain, log, trace, recordings, passHeaders, limits, subscriberLimits, sounds } = file;
  const farm = readFarm(reading);
  const cdr = readCdr(reading);
  const webhooks = readWebhooks(reading);
  const metrics = readMetrics(reading);
  checkLimits(reading);
  checkBelowState(reading, ['cdr', 'file'], reading.file.cdr.file);
  checkBelowState(reading, ['recordings'], recordings);
  const registration = readRegistration(reading);
  const edge = readEdge(reading);
  const trunks = readTrunks(reading);
  if (reading.problems.length > 0 || farm === undefined) throw configInvalid(reading.problems);
  return deepFreeze({
    file: source.file,
    ...{ farm, domain, cdr, recordings, limits, trace, registration, trunks, passHeaders, edge, webhooks },
    log: { level: log.level, ...(log.file === undefined ? {} : { file: log.file }) },
    numbers: known(file.numbers),
    overload: known(file.overload),
    subscribers: subscribersOf(file),
    ...(subscriberLimits === undefined ? {} : { subscriberLimits: known(subscriberLimits) }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(sounds === undefined ? {} : { sounds: resolve(dirname(source.file), sounds) }),
    flows: Object.entries(file.flows).map(([name, written]) => flowBlock(source, name, written)),
    plugins: Object.entries(file.plugins).map(([name, block]) => pluginBlock(source, name, block ?? {})),
    warnings: [...source.warnings, ...reading.warnings],
    ...{ faults: reading.faults, authorities: reading.authorities },
  });
}

function subscribersOf({ subscribers }: ConfigFile): HoldfastConfig['subscribers'] {
  return Object.entries(subscribers).map(([name, { name: displayName, secret, identities, limits }]) => ({
    ...{ name, secret, identities },
    ...(displayName === undefined ? {} : { displayName }),
    ...(limits === undefined ? {} : { limits: known(limits) }),
  }));
}

function readCdr(reading: ConfigReading): HoldfastConfig['cdr'] {
  const { file, webhook } = reading.file.cdr;
  if (webhook === undefined) return { file };
  return { file, webhook: readWebhook(reading, ['cdr', 'webhook'], webhook, 'call records go') };
}

function readWebhooks(reading: ConfigReading): HoldfastConfig['webhooks'] {
  const read = Object.entries(reading.file.webhooks).map(
    ([name, webhook]) => [name, readWebhook(reading, ['webhooks', name], webhook, 'notices of flows go')] as const,
  );
  return Object.fromEntries(read);
}

function readWebhook(
  reading: ConfigReading,
  path: ConfigPath,
  { url, secret, timeoutSeconds }: WebhookFile,
  what: string,
): WebhookConfig {
  const { username, password, protocol, hostname } = new URL(url);
  if (username !== '' || password !== '') {
    reading.problem([...path, 'url'], 'must bear no user and password: what is sent is known by its signature');
  }
  if (protocol === 'http:' && !isLoopback(hostname)) {
    reading.warnings.push(`${formatPath([...path, 'url'])}: ${what} to ${hostname} unencrypted: use https`);
  }
  return { url, secret, timeoutMs: timeoutSeconds * 1000 };
}

function checkBelowState(reading: ConfigReading, path: ConfigPath, name: string): void {
  if (!name.startsWith('/') && !name.split('/').includes('..')) return;
  reading.problem(
    path,
    `"${name}" is not a path below the farm's state folder`,
    'name it from there, or make it a link there',
  );
}

function checkLimits(reading: ConfigReading): void {
  const { rtpTimeoutSeconds: usual, rtpTimeoutOnHoldSeconds: onHold } = reading.file.limits;
  if (onHold === 0 || (usual !== 0 && onHold >= usual)) return;
  const than = usual === 0 ? 'rtpTimeoutSeconds is 0 (never)' : `less than rtpTimeoutSeconds (${usual})`;
  reading.problem(
    ['limits', 'rtpTimeoutOnHoldSeconds'],
    `${onHold} ${usual === 0 ? 'while' : 'is'} ${than}: a phone on hold would be ended before one that is not`,
    'raise it, or 0 for never',
  );
}

function readMetrics(reading: ConfigReading): MetricsConfig | undefined {
  const listen = reading.file.metrics?.listen;
  if (listen === undefined) return undefined;
  const socket = /^unix:(.*)$/.exec(listen)?.[1];
  if (socket !== undefined) {
    const isTaken = ['control.sock', 'events.sock'].includes(socket);
    if (/^[\w.-]+$/.test(socket) && !isTaken) return { socket };
    const what = isTaken ? "another socket of the daemon's: name one of its own" : 'not the name of a socket';
    reading.problem(['metrics', 'listen'], `"${socket}" is ${what}, as in unix:metrics.sock`);
    return undefined;
  }
  const read = (text: string, subnet: string): AddressReading<string> => readHostPort(text, subnet, metricsPort);
  const [host = '', port] = reading.read(['metrics', 'listen'], listen, read)?.split(':') ?? [];
  if (host !== '' && !isPrivateAddress(host)) {
    reading.problem(['metrics', 'listen'], `${host} is not a private address: anybody could read how you are doing`);
  }
  return { host, port: Number(port) };
}

function readRegistration(reading: ConfigReading): HoldfastConfig['registration'] {
  const { registration } = reading.file;
  const { minSeconds, maxSeconds, defaultSeconds, digests } = registration;
  const at = (key: string): ConfigPath => ['registration', key];
  if (maxSeconds < minSeconds) reading.problem(at('maxSeconds'), `is less than minSeconds (${minSeconds})`);
  else if (defaultSeconds < minSeconds || defaultSeconds > maxSeconds) {
    reading.problem(at('defaultSeconds'), `must be between minSeconds (${minSeconds}) and maxSeconds (${maxSeconds})`);
  }
  if (new Set(digests).size < digests.length) reading.problem(at('digests'), 'names one twice');
  return registration;
}

function readEdge(reading: ConfigReading): HoldfastConfig['edge'] {
  const { edge } = reading.file;
  return {
    allow: edge.allow.flatMap((text, i) => reading.read(['edge', 'allow', i], text, readAddresses) ?? []),
    defence: {
      strangerRate: edge.strangerPerSecond,
      strangerRegisters: edge.strangerRegistersPerSecond,
      mostFailures: edge.wrongPasswords,
      banSeconds: edge.banSeconds,
    },
    mostConnections: edge.mostConnections,
    strangerSilenceSeconds: edge.strangerSilenceSeconds,
    ...readCertificateFiles(reading),
  };
}

function readCertificateFiles(reading: ConfigReading): Pick<HoldfastConfig['edge'], 'certificate'> {
  const { certificate, key } = reading.file.edge.tls ?? {};
  if (certificate === undefined && key === undefined) return {};
  if (certificate === undefined || key === undefined) {
    const [there, missing] = key === undefined ? ['certificate', 'key'] : ['key', 'certificate'];
    reading.problem(['edge', 'tls', there], `is named, and its ${missing} is not`, `name it: ${missing}: FILE.pem`);
    return {};
  }
  const folder = dirname(reading.source.file);
  const source = reading.source;
  return {
    certificate: {
      ...{ certificate: resolve(folder, certificate), key: resolve(folder, key) },
      problem: (of, message, hint) => source.problem(['edge', 'tls', of], message, hint),
    },
  };
}

function flowBlock(source: ConfigSource, name: string, written: readonly unknown[]): FlowBlock {
  const at = (path: ConfigPath): ConfigPath => ['flows', name, ...path];
  return {
    ...{ name, written },
    problem: (path, message, hint, atKey) => source.problem(at(path), message, hint, atKey),
    schemaProblems: (path, issues, schema) =>
      schemaProblems(issues as Parameters<typeof schemaProblems>[0], schema, source, at(path)),
  };
}

function pluginBlock(source: ConfigSource, name: string, block: Readonly<Record<string, unknown>>): PluginBlock {
  const { from, ...config } = block;
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

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

/** Of the Prometheus exporters of OpenTelemetry. */
const metricsPort = 9464;

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) deepFreeze(part);
  return Object.freeze(value);
}
