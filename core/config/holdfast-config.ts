// The config as the daemon uses it: checked, with every address written out, frozen.
import { dirname, resolve } from 'node:path';
import type { OverloadConfig } from '../overload/overload-config.js';
import type { FarmPlan, FarmSizes } from '../farm/farm-plan.js';
import type { LogLevel } from '../log.js';
import { readNumber, type NumberRules } from '../numbers/phone-number.js';
import type { Directory, Limits } from '../plugin-api.js';
import type { EdgeDefence } from '../ports/edge.js';
import { readHostPort } from './config-address.js';
import type { RegistrationConfig } from './subscriber-schema.js';
import type { ConfigPath, ConfigProblem } from './config-problem.js';
import type { CallLimits } from '../trunks/call-limits.js';
import type { GatewayConfig } from '../trunks/gateway-list.js';
import type { CallerRules } from '../calls/trunk-caller.js';

export interface SubscriberConfig {
  readonly name: string;
  readonly displayName?: string;
  readonly secret: string;
  /** User parts of From that its calls may have, beside its name. */
  readonly identities: readonly string[];
  readonly limits?: CallLimits;
}

export interface DigestSecret {
  readonly username: string;
  readonly secret: string;
}

/** That we register with a trunk. */
export interface RegisterConfig {
  readonly registrars: readonly GatewayConfig[];
  readonly domain: string;
  /** User part of the address of record, and of our Contact. */
  readonly user: string;
  /** What is asked for. */
  readonly expiresSeconds: number;
}

export interface TrunkConfig {
  readonly name: string;
  /** Every single address. */
  readonly sources: readonly string[];
  readonly gateways: readonly GatewayConfig[];
  /** How often each is sent an OPTIONS; 0: never. */
  readonly probeSeconds: number;
  /** How long one may leave an INVITE without any answer. */
  readonly silentMs: number;
  readonly credentials?: DigestSecret;
  /** What its calls from other addresses than `sources` answer our challenge with. */
  readonly login?: DigestSecret;
  /** Numbers of its callers, or how they begin; none: any. */
  readonly identities: readonly string[];
  readonly register?: RegisterConfig;
  /** Of the trust domain of RFC 3325. */
  readonly trusted: boolean;
  readonly limits?: CallLimits;
  readonly numbers: NumberRules;
  readonly caller?: CallerRules;
}

/** What the edge does against those who only make work. */
export interface EdgeConfig {
  /** Every single address that is never limited and never banned. */
  readonly allow: readonly string[];
  readonly defence: EdgeDefence;
  /** Of TCP and TLS, to each Kamailio. */
  readonly mostConnections: number;
  /** How long one may be silent on which nobody has proved who they are. */
  readonly strangerSilenceSeconds: number;
  /** Undefined where the farm makes its own, or has no TLS. */
  readonly certificate?: CertificateFiles;
}

/** Absolute paths. What is in the files is looked at by whoever reads them: they change while the config stays. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  readonly problem: (of: 'certificate' | 'key', message: string, hint?: string) => ConfigProblem;
}

/** Which telephone numbers are special. */
export interface NumbersConfig {
  readonly country?: string;
  readonly emergency: readonly string[];
  readonly expensive: readonly string[];
}

/** Where call records, or the notices of flows, are POSTed. */
export interface WebhookConfig {
  readonly url: string;
  readonly secret: string;
  readonly timeoutMs: number;
}

/** Where metrics are served. `socket` is relative to the state folder. */
export type MetricsConfig = { readonly host: string; readonly port: number } | { readonly socket: string };

/** One plugin's block. Its config is checked by the plugin's own schema. */
export interface PluginBlock {
  readonly name: string;
  /** Package or path, for one that is not built in. */
  readonly from?: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Problem at a place in the block (path from the block on). */
  readonly problem: (path: ConfigPath, message: string, hint?: string, atKey?: boolean) => ConfigProblem;
  /** Problems from what the plugin's schema says of `config`. */
  readonly schemaProblems: (issues: readonly unknown[], schema: unknown) => readonly ConfigProblem[];
}

/** One flow as it is written. Its entries are checked with the actions that there are. */
export interface FlowBlock {
  readonly name: string;
  readonly written: readonly unknown[];
  /** Problem at a place in it (path from its list on). */
  readonly problem: (path: ConfigPath, message: string, hint?: string, atKey?: boolean) => ConfigProblem;
  /** Problems from what a schema says of the value at `path`. */
  readonly schemaProblems: (path: ConfigPath, issues: readonly unknown[], schema: unknown) => readonly ConfigProblem[];
}

export interface HoldfastConfig {
  /** Absolute path of the file it came from. */
  readonly file: string;
  readonly farm: {
    readonly subnet: string;
    readonly sizes: FarmSizes;
    readonly plan: FarmPlan;
    /** Absolute path of the state folder, where the file names one. */
    readonly state?: string;
    /** `host:port` of a HEP collector. */
    readonly homer?: string;
  };
  readonly domain: string;
  /** `file` is relative to the state folder. */
  readonly log: { readonly level: LogLevel; readonly file?: string };
  /** `file` is relative to the state folder. */
  /** Folder of recorded rooms, relative to the state folder. */
  readonly recordings: string;
  readonly cdr: { readonly file: string; readonly webhook?: WebhookConfig };
  readonly metrics?: MetricsConfig;
  readonly limits: Limits;
  /** What is kept of SIP messages. */
  readonly trace: { readonly rawMegabytes: number };
  /** Names of headers that pass from leg to leg. */
  readonly passHeaders: readonly string[];
  readonly edge: EdgeConfig;
  readonly overload: OverloadConfig;
  readonly numbers: NumbersConfig;
  /** Of each subscriber that has none of its own. */
  readonly subscriberLimits?: CallLimits;
  readonly registration: RegistrationConfig;
  readonly subscribers: readonly SubscriberConfig[];
  readonly trunks: readonly TrunkConfig[];
  /** Where flows tell what they have to tell, by name. */
  readonly webhooks: Readonly<Record<string, WebhookConfig>>;
  /** Absolute path of the folder of sounds. */
  readonly sounds?: string;
  readonly flows: readonly FlowBlock[];
  /** In the order in which their hooks are asked. */
  readonly plugins: readonly PluginBlock[];
  /** Things that work but should be otherwise, for the log. */
  readonly warnings: readonly string[];
  /** Of a start only: what is wrong, and is used as it was when it was right. */
  readonly faults: readonly string[];
  /** By path: what files of authorities hold that are right. */
  readonly authorities: Readonly<Record<string, string>>;
}

/** What plugins may know of the config. */
export function directoryOf(
  config: Pick<
    HoldfastConfig,
    'file' | 'domain' | 'farm' | 'flows' | 'limits' | 'numbers' | 'trunks' | 'subscribers' | 'webhooks'
  >,
): Directory {
  return Object.freeze({
    domain: config.domain,
    limits: config.limits,
    address: (text: string) => {
      const reading = readHostPort(text, config.farm.subnet);
      return 'value' in reading ? reading.value : text;
    },
    flows: config.flows.map(({ name }) => name),
    webhooks: Object.keys(config.webhooks),
    file: (path: string) => resolve(dirname(config.file), path),
    e164: (number: string) => readNumber(number, { ...config.numbers, format: 'as-is' }),
    trunks: config.trunks.map(({ name, gateways }) => ({
      name,
      gateways: [...gateways].sort((a, b) => a.priority - b.priority).map(({ address }) => address),
    })),
    subscribers: config.subscribers.map(({ name, displayName }) => ({
      name,
      ...(displayName === undefined ? {} : { displayName }),
    })),
  });
}
