// What plugins are told of the config and of phones, and how they say what is wrong in theirs: part of the public plugin API.
import type { Limits } from '../calls/call-facts.js';

/** One phone of a subscriber, as it registered. */
export interface Contact {
  readonly uri: string;
  /** `path` of a target that is to reach it. */
  readonly path?: readonly string[];
  /** How much the phone wants to be the one that is called, 0 to 1 (RFC 3261 §20.10). Default 1. */
  readonly q?: number;
}

/** The location service (RFC 3261 §10.2): contacts bound to a subscriber now. */
export interface Location {
  /** Contact URIs of `subscriber`, best first; empty when not registered. */
  contacts(subscriber: string): readonly string[];
  /** The same with all that is known of each. A provider that has no more than URIs may leave it out. */
  bound?(subscriber: string): readonly Contact[];
}

/** Trunks and subscribers of the config, for plugins that route by them. Provided by the daemon itself. */
export interface Directory {
  /** Host part of the subscribers' addresses. */
  readonly domain: string;
  /** Full form of an address as the config writes it: `.208:5060` is host 208 of the farm's subnet. */
  address(text: string): string;
  /** Absolute path of a file that the config names; relative ones are beside the config file. */
  file(path: string): string;
  /** A number in E.164, as `+4930901820`, by the config's country; undefined for what is none of the public network. */
  e164(number: string): string | undefined;
  readonly limits: Limits;
  /** Names of the config's flows. */
  readonly flows: readonly string[];
  /** And of its webhooks. */
  readonly webhooks: readonly string[];
  /** Gateways as `host:port`, with `;transport=tcp` or `;transport=tls` behind it where that is not UDP, best first. */
  readonly trunks: readonly { readonly name: string; readonly gateways: readonly string[] }[];
  readonly subscribers: readonly { readonly name: string; readonly displayName?: string }[];
}

/** Where a call to a trunk goes now. */
export interface TrunkGateways {
  /** The gateways that live, as the directory has them, in the order in which one call tries them: by priority, and by chance and weight. */
  gateways(trunk: string): readonly string[];
}

/** Something wrong in a plugin's config block; the host adds file, line and column. */
export interface PluginConfigProblem {
  /** Keys and indexes from the plugin's block to the place, e.g. `['routes', 2, 'to']`. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** What was probably meant, e.g. the closest name there is. */
  readonly hint?: string;
}
