// Puts what a benchmark measured into its page in docs/, between the markers `<!-- name -->` and `<!-- end -->`.
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../harness/project-root.js';

/** Writes the parts that are given, and what was measured on and when as the part `machine`. */
export async function writeBench(page: string, parts: ReadonlyMap<string, string>): Promise<void> {
  const file = join(projectRoot, 'docs', page);
  let text = await readFile(file, 'utf8');
  for (const [name, content] of new Map([...parts, ['machine', await machineLine()]])) {
    const marked = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- end -->)`);
    if (!marked.test(text)) throw new Error(`${page} has no <!-- ${name} -->`);
    text = text.replace(marked, (_, open: string, close: string) => `${open}${content}${close}`);
  }
  await writeFile(file, text);
}

async function machineLine(): Promise<string> {
  const packages = execFileSync('dpkg-query', ['-W', '-f', '${Package} ${Version}, ', 'kamailio', 'rtpengine-daemon']);
  const { key } = JSON.parse(await readFile(join(projectRoot, '.build/asterisk.json'), 'utf8')) as { key: string };
  const cores = `${cpus().length} cores of ${cpus()[0]?.model ?? 'an unknown processor'}`;
  const day = new Date().toISOString().slice(0, 10);
  return `${cores}, Node ${process.version}, ${packages.toString()}Asterisk ${key}, ${day}.`;
}
