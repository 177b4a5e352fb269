// The documents: their links lead somewhere, and the commands that they name exist.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { commands } from '../../core/cli/commands.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const notOurs = new Set(['node_modules', 'dist', '.git', '.build']);

const documents = markdownBelow(root);

function markdownBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return notOurs.has(entry.name) ? [] : markdownBelow(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const withoutCode = (text: string): string => text.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, '');

/** What GitHub makes of a heading: `## When something dies` is `#when-something-dies`. */
function anchorsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/^```.*?^```/gms, '');
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function brokenLinks(path: string): string[] {
  const links = [...withoutCode(readFileSync(path, 'utf8')).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links
    .filter(link => !/^[a-z]+:/.test(link))
    .filter(link => {
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? path : resolve(dirname(path), file);
      return !existsSync(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
    });
}

/** Commands that a document tells its reader to type: `holdfast NAME` in code. */
function namedCommands(text: string): string[] {
  const code = [...text.matchAll(/^```sh\n.*?^```|`[^`\n]+`/gms)].map(([found]) => found);
  return code.flatMap(piece => [...piece.matchAll(/\bholdfast ([a-z][a-z-]*)/g)].map(([, name = '']) => name));
}

describe('the documents', () => {
  const known = commands.map(({ usage }) => usage.split(' ')[0] ?? '');

  test('are found', () => {
    const names = documents.map(path => relative(root, path));
    for (const name of ['README.md', 'ARCHITECTURE.md', 'docs/cli.md', 'docs/operating.md', 'docs/plugins.md']) {
      assert.ok(names.includes(name), name);
    }
  });

  for (const path of documents) {
    const name = relative(root, path);
    test(`${name} links to what is there`, () => {
      assert.deepEqual(brokenLinks(path), []);
    });
    test(`${name} names commands that exist`, () => {
      const unknown = namedCommands(readFileSync(path, 'utf8')).filter(command => !known.includes(command));
      assert.deepEqual(unknown, []);
    });
  }

  test('docs/cli.md has every command', () => {
    const text = readFileSync(join(root, 'docs/cli.md'), 'utf8');
    const shown = commands.filter(({ internal }) => internal !== true).map(({ usage }) => usage.split(' ')[0] ?? '');
    const missing = shown.filter(command => !new RegExp(`\`${command}\\b`).test(text));
    assert.deepEqual(missing, []);
  });
});
