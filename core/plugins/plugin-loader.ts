// Finds a plugin's module, built in or a stranger's, and checks its contract before anything of it runs.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { register } from 'node:module';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { didYouMean, formatProblem } from '../config/config-problem.js';
import type { PluginBlock } from '../config/holdfast-config.js';
import { HoldfastError, messageOf, type ErrorCode } from '../errors.js';
import { builtInActions } from '../flows/action-registry.js';
import * as pluginApi from '../plugin-api.js';
import { pluginApiVersion, type Plugin } from '../plugin-api.js';
import { modernPlugin, versionProblem, type Deprecation } from './api-versions.js';
import { encodeImport } from './resolve-hook.js';

/** Folder of the built-in plugins: one folder each, loaded by the same door as strangers. */
export const builtInFolder = new URL('../../plugins/', import.meta.url);

export interface LoadedPlugin {
  readonly plugin: Plugin;
  readonly deprecations: readonly Deprecation[];
}

/**
 * Imports the plugin that a config block names and checks it. Throws PLUGIN_NOT_FOUND or PLUGIN_INVALID, naming the
 * plugin and the place in the config file.
 */
export async function loadPlugin(
  block: PluginBlock,
  configFile: string,
  builtIns = builtInFolder,
): Promise<LoadedPlugin> {
  const specifier = block.from === undefined ? builtInUrl(block, builtIns) : strangerUrl(block, block.from, configFile);
  let module: { readonly default?: unknown };
  try {
    module = (await import(specifier)) as { readonly default?: unknown };
  } catch (error) {
    throw importFailure(block, error);
  }
  return checkContract(block, module.default);
}

/** Every built-in plugin, in the order of their names. */
export function builtInPlugins(builtIns = builtInFolder): Promise<readonly Plugin[]> {
  return Promise.all(
    builtInNames(builtIns).map(async name => {
      const module = (await import(new URL(`${name}/index.js`, builtIns).href)) as { readonly default: Plugin };
      return module.default;
    }),
  );
}

function builtInNames(builtIns: URL): readonly string[] {
  return readdirSync(builtIns, { withFileTypes: true })
    .flatMap(entry => (entry.isDirectory() ? [entry.name] : []))
    .sort();
}

function builtInUrl(block: PluginBlock, builtIns: URL): string {
  const names = builtInNames(builtIns);
  if (names.includes(block.name)) return new URL(`${block.name}/index.js`, builtIns).href;
  const hint = didYouMean(block.name, names) ?? `built in are: ${names.join(', ')}`;
  throw pluginError('PLUGIN_NOT_FOUND', block, `there is no built-in plugin of this name`, {
    hint,
    remedy: 'for a plugin of your own, say where it is: {from: ./folder} or {from: package-name}',
  });
}

let hookRegistered = false;

function strangerUrl(block: PluginBlock, from: string, configFile: string): string {
  if (!hookRegistered) {
    register(new URL('resolve-hook.js', import.meta.url), {
      data: { api: new URL('../plugin-api.js', import.meta.url).href },
    });
    hookRegistered = true;
  }
  const isPath = isAbsolute(from) || /^\.\.?(\/|$)/.test(from);
  if (!isPath) return encodeImport(from, pathToFileURL(configFile).href);
  const path = resolve(dirname(configFile), from);
  try {
    const file = statSync(path).isDirectory() ? join(path, entryOf(path)) : path;
    // The time of its last change in the URL has a reload import what the file holds now.
    return `${pathToFileURL(file).href}?changed=${statSync(file).mtimeMs}`;
  } catch (error) {
    throw pluginError('PLUGIN_NOT_FOUND', block, `nothing can be loaded from ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const packageSchema = z.looseObject({ exports: z.unknown(), main: z.string().optional() });

/** The main file of a package folder: `exports["."]`, else `main`, else index.js. */
function entryOf(folder: string): string {
  let text: string;
  try {
    text = readFileSync(join(folder, 'package.json'), 'utf8');
  } catch {
    return 'index.js';
  }
  const { exports, main } = packageSchema.parse(JSON.parse(text));
  return entryOfExports(exports) ?? main ?? 'index.js';
}

function entryOfExports(exports: unknown): string | undefined {
  if (typeof exports === 'string') return exports;
  if (typeof exports !== 'object' || exports === null) return undefined;
  const choices = exports as Readonly<Record<string, unknown>>;
  return entryOfExports(choices['.'] ?? choices.import ?? choices.default);
}

function importFailure(block: PluginBlock, error: unknown): HoldfastError {
  const { code } = error as { code?: unknown };
  const notFound =
    code === 'ERR_MODULE_NOT_FOUND' && block.from !== undefined && messageOf(error).includes(`'${block.from}'`);
  if (notFound) {
    return pluginError('PLUGIN_NOT_FOUND', block, `there is no package "${block.from ?? ''}"`, {
      cause: error,
      remedy: 'install it beside the config file, or give its path (beginning with ./ or /)',
    });
  }
  const [, missing] = /plugin-api' does not provide an export named '(\w+)'/.exec(messageOf(error)) ?? [];
  if (missing !== undefined) {
    const message = `it imports ${missing}, which plugin API ${pluginApiVersion} of this Holdfast does not have`;
    return pluginError('PLUGIN_INVALID', block, message, {
      cause: error,
      hint: didYouMean(missing, Object.keys(pluginApi)),
      remedy: 'if it was written for a newer plugin API: update Holdfast, or install an older version of the plugin',
    });
  }
  return pluginError('PLUGIN_INVALID', block, `it could not be imported: ${messageOf(error)}`, { cause: error });
}

const tokens = z.array(z.looseObject({ name: z.string().min(1) }, 'must be service tokens')).optional();
const callable = z.custom<() => unknown>(value => typeof value === 'function', 'must be a function');

const action = z.looseObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]*$/, 'must be lower-case letters, digits and _')
    .refine(name => !builtInActions.has(name), 'is the name of a built-in action'),
  summary: z.string(),
  step: z.custom(
    value => typeof (value as Partial<z.ZodType> | null)?.safeParse === 'function',
    'must be a zod schema',
  ),
  begin: callable,
});

const contract = z.strictObject({
  name: z.string().min(1),
  apiVersion: z.int(),
  config: z.custom(
    value => typeof (value as Partial<z.ZodType> | null)?.safeParse === 'function',
    'must be a zod schema',
  ),
  needs: tokens,
  wants: tokens,
  provides: tokens,
  actions: z.array(action).optional(),
  setupTimeoutMs: z.number().positive().optional(),
  check: callable.optional(),
  setup: callable,
});

function checkContract(block: PluginBlock, exported: unknown): LoadedPlugin {
  if (typeof exported !== 'object' || exported === null) {
    throw pluginError('PLUGIN_INVALID', block, 'its module has no default export made by definePlugin()');
  }
  const { apiVersion } = exported as { apiVersion?: unknown };
  // Before all else: of a plugin for another version nothing else need fit.
  const problem = Number.isInteger(apiVersion) ? versionProblem(apiVersion as number) : undefined;
  if (problem) throw pluginError('PLUGIN_INVALID', block, problem.message, { remedy: problem.remedy });
  const { value, deprecations } = modernPlugin(exported, Number(apiVersion));
  const checked = contract.safeParse(value);
  if (!checked.success) {
    const known = Object.keys(contract.shape);
    const complaints = checked.error.issues.map(issue =>
      issue.code === 'unrecognized_keys'
        ? issue.keys
            .map(key => `${key}: unknown property (${didYouMean(key, known) ?? `known: ${known.join(', ')}`})`)
            .join('; ')
        : `${issue.path.join('.')}: ${issue.message}`,
    );
    throw pluginError('PLUGIN_INVALID', block, `what it exports is no plugin: ${complaints.join('; ')}`);
  }
  const plugin = value as Plugin;
  if (plugin.name !== block.name) {
    const message = `it calls itself "${plugin.name}": write its block under that name`;
    throw pluginError('PLUGIN_INVALID', block, message);
  }
  return { plugin, deprecations };
}

/** An error about a plugin: names it, and the place of its block in the config file. */
export function pluginError(
  code: ErrorCode,
  block: PluginBlock,
  message: string,
  { hint, remedy, cause }: { hint?: string | undefined; remedy?: string; cause?: unknown } = {},
): HoldfastError {
  const place = formatProblem(block.problem([], `plugin ${block.name}: ${message}`, hint, true));
  const details = { plugin: block.name };
  return new HoldfastError(code, place, { details, ...(remedy === undefined ? {} : { remedy }), cause });
}
