// The JSON Schema of a config file, for editors: ours, and each plugin's for its block. Pure.
import { z, type ZodType } from 'zod';
import { configSchema } from './config-schema.js';

export interface PluginSchema {
  readonly name: string;
  readonly config: ZodType;
  /** A stranger's block names its module in `from`. */
  readonly builtIn: boolean;
}

/** An action of flows, as far as editors are concerned. */
export interface ActionSchema {
  readonly name: string;
  readonly summary: string;
  readonly step: ZodType;
}

/** A JSON Schema as zod makes it: draft 7, which every editor knows. */
export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** What `${NAME}` will be is known when the file is read: it may stand where a number, a word or a pattern is wanted. */
const environment: JsonSchema = { type: 'string', pattern: '\\$\\{[^}]+\\}', description: 'From the environment.' };
const environmentRef: JsonSchema = { $ref: '#/definitions/environment' };

/** Schema of a config with these plugins; a block of any other name must say in `from` where its plugin is. */
export function configJsonSchema(plugins: readonly PluginSchema[], actions: readonly ActionSchema[] = []): JsonSchema {
  const config = plain(configSchema);
  const blocks = Object.fromEntries(plugins.map(plugin => [plugin.name, blockSchema(plugin)]));
  const stranger: JsonSchema = { type: 'object', required: ['from'], properties: { from: fromSchema } };
  const properties = config.properties as Readonly<Record<string, JsonSchema>>;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Holdfast config',
    description: 'One SIP back-to-back user agent: the farm, who may call, and the plugins that decide.',
    ...config,
    properties: {
      ...properties,
      flows: { ...properties['flows'], additionalProperties: flowSchema(actions) },
      plugins: { ...properties['plugins'], properties: blocks, additionalProperties: stranger },
    },
    definitions: { environment },
  };
}

const fromSchema: JsonSchema = {
  type: 'string',
  minLength: 1,
  description: 'Package or path of the plugin, one that is not built in.',
};

/** A list of actions: each has its own keys. */
function flowSchema(actions: readonly ActionSchema[]): JsonSchema {
  const label: JsonSchema = { type: ['string', 'number'], description: 'A name that other steps may go to.' };
  const items = actions.map(({ name, summary, step }): JsonSchema => {
    const { properties = {}, required = [], ...rest } = plain(step);
    const action: JsonSchema = { const: name, description: summary };
    return { ...rest, properties: { action, label, ...properties }, required: ['action', ...required] };
  });
  return { type: 'array', minItems: 1, items: items.length === 0 ? { type: 'object' } : { anyOf: items } };
}

/** A block may be empty (`registrar:`) where nothing in it is required. */
function blockSchema({ config, builtIn }: PluginSchema): JsonSchema {
  const block = plain(config);
  if (!builtIn) {
    const properties = { from: fromSchema, ...(block.properties ?? {}) };
    return { ...block, properties, required: ['from', ...(block.required ?? [])] };
  }
  const foreign: JsonSchema = { type: 'object', required: ['from'] };
  const own: JsonSchema = (block.required ?? []).length > 0 ? block : { ...block, type: ['object', 'null'] };
  const { description } = block;
  // A stranger under the name of a built-in has a schema of its own.
  return { ...(description === undefined ? {} : { description }), if: foreign, then: {}, else: own };
}

/** What is written (not what it becomes), without zod's own limits, and with `${NAME}` wherever a value may stand. */
function plain(schema: ZodType): JsonSchema {
  const { $schema: _, ...made } = z.toJSONSchema(schema, { io: 'input', target: 'draft-07', unrepresentable: 'any' });
  return withEnvironment(made);
}

function withEnvironment(schema: JsonSchema): JsonSchema {
  const { properties, additionalProperties, items, anyOf, maximum, minimum, ...rest } = schema;
  const deeper = (one: unknown): unknown =>
    typeof one === 'object' && one !== null ? withEnvironment(one as JsonSchema) : one;
  const made: Record<string, unknown> = rest;
  // zod writes the limits of a double down for every whole number.
  if (maximum !== undefined && maximum !== Number.MAX_SAFE_INTEGER) made['maximum'] = maximum;
  if (minimum !== undefined && minimum !== Number.MIN_SAFE_INTEGER) made['minimum'] = minimum;
  if (properties) {
    made['properties'] = Object.fromEntries(Object.entries(properties).map(([key, one]) => [key, deeper(one)]));
  }
  if (additionalProperties !== undefined) made['additionalProperties'] = deeper(additionalProperties);
  if (items !== undefined) made['items'] = deeper(items);
  if (anyOf) made['anyOf'] = anyOf.map(deeper);
  if (isNarrow(made)) return orEnvironment(made);
  // YAML takes .208, 0800 and 1.0 for numbers; the config reader gives them back as the text that they were.
  return made['type'] === 'string' ? { ...made, type: ['string', 'number'] } : made;
}

/** A value that not every text fits. */
function isNarrow({ type, pattern, format, enum: choices, const: only }: JsonSchema): boolean {
  if (type === 'number' || type === 'integer' || type === 'boolean') return true;
  return [pattern, format, choices, only].some(limit => limit !== undefined);
}

function orEnvironment({ description, default: fallback, ...narrow }: JsonSchema): JsonSchema {
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [narrow, environmentRef],
  };
}
