// Writes docs/flow-actions.md from the schemas of the built-in actions, of the built project; `--check` only says whether it is in step.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const root = join(import.meta.dirname, '..');
const target = join(root, 'docs/flow-actions.md');
const { flowActions, noServices } = await import(join(root, 'dist/core/flows/action-registry.js'));

const words = { string: 'text', integer: 'whole number', boolean: 'true or false' };

/** A value's kind in a word or two. */
function kind(schema) {
  if (JSON.stringify(schema.anyOf ?? '').includes('"silence"')) return '[what is played](flows.md#what-is-played)';
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map(one => `\`${one}\``).join(', ');
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kind))].join(' or ');
  if (schema.type === 'array') return `list of ${kind(schema.items)}`;
  if (schema.type === 'object') return schema.properties ? `{ ${Object.keys(schema.properties).join(', ')} }` : 'map';
  return [schema.type ?? 'any']
    .flat()
    .map(type => words[type] ?? type)
    .join(' or ');
}

/** Most values are texts that YAML may take for numbers: one word is enough. */
const plainKind = schema =>
  kind(schema)
    .replace(/^text or number$/, 'text')
    .replace('list of text or number', 'list of texts');

const cell = text => text.replaceAll('|', '\\|');

function keyRow([name, schema], required) {
  const missing = required.includes(name)
    ? 'needed'
    : schema.default === undefined
      ? ''
      : `\`${JSON.stringify(schema.default)}\``;
  return `| \`${name}\` | ${cell(plainKind(schema))} | ${missing} | ${cell(schema.description ?? '')} |`;
}

function section({ name, summary, step }) {
  const { properties = {}, required = [] } = z.toJSONSchema(step, {
    io: 'input',
    target: 'draft-07',
    unrepresentable: 'any',
  });
  const keys = Object.entries(properties);
  const table =
    keys.length === 0
      ? 'It has no keys of its own.'
      : ['| key | what | default | |', '| --- | --- | --- | --- |', ...keys.map(one => keyRow(one, required))].join(
          '\n',
        );
  return `## ${name}\n\n${summary}\n\n${table}`;
}

const text = `# Actions of flows

<!-- Written by scripts/generate-flow-actions.mjs from the schemas in core/flows/actions: change those, then \`npm run docs\`. -->

What a step of a flow may be. [flows.md](flows.md) explains flows, [flow-cookbook.md](flow-cookbook.md) shows some. Every step may also have a \`label\`. A plugin may add actions of its own
([plugins.md](plugins.md)).

${[...flowActions(noServices).values()].map(section).join('\n\n')}
`;

if (process.argv[2] === '--check') {
  if (readFileSync(target, 'utf8') === text) process.exit(0);
  console.error('docs/flow-actions.md is not what the schemas say: run `npm run docs`');
  process.exit(1);
}
writeFileSync(target, text);
