// Which versions of the plugin API this Holdfast takes, and what a plugin written for the one before may still say.
import { pluginApiVersion } from '../plugin-api.js';
import type { HookName } from './hook-answers.js';

/** Plugins for this version still run; what they use that has changed since is named as deprecated. */
export const oldestApiVersion = pluginApiVersion - 1;

/** Something that a plugin uses and that the next version of the API will not have. */
export interface Deprecation {
  readonly what: string;
  /** What to write in its place. */
  readonly instead: string;
}

/** What a version renamed, as key → new key. */
interface Renames {
  readonly properties: Readonly<Record<string, string>>;
  readonly answers: { readonly [Name in HookName]?: Readonly<Record<string, string>> };
}

/** What the present version renamed. The next one starts this anew: a plugin is carried over one version, never two. */
const renames: Renames = {
  properties: { startTimeoutMs: 'setupTimeoutMs' },
  answers: { recover: { target: 'node' } },
};

/** Why a plugin written for this version cannot run, or undefined where it can. */
export function versionProblem(apiVersion: number): { readonly message: string; readonly remedy: string } | undefined {
  const wrote = `it was written for plugin API ${apiVersion}`;
  if (apiVersion > pluginApiVersion) {
    return {
      message: `${wrote}; this Holdfast has ${pluginApiVersion}`,
      remedy: `update Holdfast, or install a version of the plugin for API ${pluginApiVersion}`,
    };
  }
  if (apiVersion < oldestApiVersion) {
    return {
      message: `${wrote}; this Holdfast takes ${oldestApiVersion} and ${pluginApiVersion}`,
      remedy: 'install a newer version of the plugin; docs/plugins.md says what has changed, for one that is yours',
    };
  }
  return undefined;
}

/** What a plugin exports, in the words of the present version, and which old ones it used. Its own object is not touched. */
export function modernPlugin(exported: object, apiVersion: number): Modern<object> {
  const version = apiVersion < pluginApiVersion ? [ofVersion(apiVersion)] : [];
  const { value, deprecations } = renamed(exported, apiVersion, renames.properties, 'property');
  return { value, deprecations: [...version, ...deprecations] };
}

/** The same for an answer to a hook. */
export function modernAnswer(hook: HookName, answer: unknown, apiVersion: number): Modern<unknown> {
  const names = renames.answers[hook];
  if (names === undefined || typeof answer !== 'object' || answer === null) return { value: answer, deprecations: [] };
  return renamed(answer, apiVersion, names, `${hook} answer's`);
}

interface Modern<T> {
  readonly value: T;
  readonly deprecations: readonly Deprecation[];
}

function ofVersion(apiVersion: number): Deprecation {
  return { what: `apiVersion ${apiVersion}`, instead: `${pluginApiVersion}, once it was tested with that` };
}

function renamed<T extends object>(
  given: T,
  apiVersion: number,
  names: Readonly<Record<string, string>>,
  kind: string,
): Modern<T> {
  const used = apiVersion < pluginApiVersion ? Object.entries(names).filter(([old]) => Object.hasOwn(given, old)) : [];
  if (used.length === 0) return { value: given, deprecations: [] };
  const entries = Object.entries(given).map(([key, one]: [string, unknown]) => [names[key] ?? key, one] as const);
  // A plugin may be an object of a class: its methods are its prototype's.
  const value = Object.assign(Object.create(Object.getPrototypeOf(given) as object) as T, Object.fromEntries(entries));
  return { value, deprecations: used.map(([old, instead]) => ({ what: `${kind} ${old}`, instead })) };
}

/** In a sentence, for the log and for `holdfast check`. */
export function formatDeprecation(plugin: string, { what, instead }: Deprecation): string {
  return `plugin ${plugin}: ${what} is deprecated and goes with plugin API ${pluginApiVersion + 1}: use ${instead}`;
}
