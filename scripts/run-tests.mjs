// Runs the compiled tests two files at a time, and those alone that load the machine or measure it. Arguments choose kinds (`unit`) or files (`unit/core`, `edge-`). No file found is a failure: node's
// own runner would exit 0.
import { readdirSync, existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = join(import.meta.dirname, '..');
const servers = ['integration', 'e2e'];
/** Files that need the machine for themselves: many calls or servers, deaths that must be seen at once, an address that all share. */
const alone =
  /^(integration\/(sentinel|ledger|kamailio-load|kamailio-gap|host-up-down|stand-in)|e2e\/(attack|calls|drain|edge|flows|phones|recovery|registrations|rooms|sentinel|soak|streams|transitions|trunks))/;
const stages = [
  { what: 'without servers', kinds: ['unit', 'contract', 'examples'], concurrency: 2, timeoutMs: 120_000 },
  { what: 'with servers', kinds: servers, takes: name => !alone.test(name), concurrency: 2, timeoutMs: 600_000 },
  { what: 'alone', kinds: servers, takes: name => alone.test(name), concurrency: 1, timeoutMs: 900_000 },
];

/** Names like `unit/core-store`, from the sources: dist/ may hold what was removed since. */
function testNames(kind) {
  const folder = kind === 'examples' ? join(root, kind) : join(root, 'test', kind);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(file => /\.test\.[tj]s$/.test(file))
    .map(file => `${kind}/${file.replace(/\.test\.[tj]s$/, '')}`)
    .sort();
}

/** Examples are JavaScript, as they lie there for others to copy. */
function fileOf(name) {
  return join(root, name.startsWith('examples/') ? '' : 'dist/test', `${name}.test.js`);
}

function chosen(name, choices) {
  return (
    choices.length === 0 ||
    choices.some(choice => name.includes(choice.replace(/^test\//, '').replace(/\.test\.[tj]s$/, '')))
  );
}

/** Of a failure's text: what was waited for stands at its begin, how it went at its end. */
const [beginLength, endLength] = [500, 3_000];

/** What a failed test threw, short enough to stand at the end of a long log. */
function whyOf(error) {
  const thrown = error.cause ?? error;
  const all = `${thrown.message ?? thrown}`.replaceAll(/\s+/g, ' ');
  const isLong = all.length > beginLength + endLength;
  const text = isLong ? `${all.slice(0, beginLength)} … ${all.slice(-endLength)}` : all;
  const line = /dist\/test\/[^\s)]+:\d+/.exec(thrown.stack ?? '')?.[0];
  return line === undefined ? text : `${text} (${line})`;
}

/** One stage's tests, reported as they go. Gives the counts that node's runner prints at its end. */
async function runStage(files, { concurrency, timeoutMs }, { counts, failures, spans }) {
  const stream = run({ files, concurrency, timeout: timeoutMs });
  stream.on('test:diagnostic', ({ message }) => {
    const [, name, value] = /^(tests|suites|pass|fail|cancelled|skipped|todo) (\d+)$/.exec(message) ?? [];
    if (name !== undefined) counts[name] = (counts[name] ?? 0) + Number(value);
  });
  stream.on('test:fail', event => {
    if (event.todo === undefined && event.skip === undefined && event.details.type !== 'suite') {
      failures.push({
        where: `${event.file === undefined ? '' : `${relative(root, event.file)}: `}${event.name}`,
        why: whyOf(event.details.error),
      });
    }
  });
  for (const kind of ['test:start', 'test:pass', 'test:fail']) {
    stream.on(kind, ({ file }) => {
      if (file === undefined) return;
      const nowMs = performance.now();
      spans.set(file, { fromMs: spans.get(file)?.fromMs ?? nowMs, toMs: nowMs });
    });
  }
  await pipeline(stream, new spec(), async function* (chunks) {
    for await (const chunk of chunks) process.stdout.write(chunk);
  });
}

const choices = process.argv.slice(2);
const counts = {};
const failures = [];
/** When each file's first test began, and its last one ended. */
const spans = new Map();
const started = performance.now();
let found = 0;
for (const stage of stages) {
  const takes = stage.takes ?? (() => true);
  const names = stage.kinds.flatMap(testNames).filter(name => takes(name) && chosen(name, choices));
  if (names.length === 0) continue;
  const files = names.map(fileOf);
  const missing = files.filter(file => !existsSync(file));
  if (missing.length > 0) {
    console.error(`not compiled: ${missing.map(file => relative(root, file)).join(', ')}; run \`npm run build\``);
    process.exit(1);
  }
  found += files.length;
  console.log(`\n=== ${stage.what}: ${files.length} files ===`);
  await runStage(files, stage, { counts, failures, spans });
}
if (found === 0) {
  console.error(`no test file${choices.length > 0 ? ` matches ${choices.join(' ')}` : ' found'}`);
  process.exit(1);
}
console.log(`\n=== all: ${found} files ===`);
for (const name of ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo'])
  console.log(`# ${name} ${counts[name] ?? 0}`);
console.log(`# duration_ms ${Math.round(performance.now() - started)}`);
const slowest = [...spans].map(([file, { fromMs, toMs }]) => ({ file, ms: toMs - fromMs })).sort((a, b) => b.ms - a.ms);
console.log('# the slowest files');
for (const { file, ms } of slowest.slice(0, 20))
  console.log(`#   ${(ms / 1_000).toFixed(0)} s ${relative(root, file)}`);
const reasons = new Map(failures.map(({ where, why }) => [where, why]));
for (const [where, why] of reasons) console.log(`not ok: ${where}\n  ${why}`);
const passed = counts.pass ?? 0;
// Never 0 when a file broke off before it could count.
const failed = Math.max((counts.fail ?? 0) + (counts.cancelled ?? 0), failures.length);
const skipped = (counts.skipped ?? 0) + (counts.todo ?? 0);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
