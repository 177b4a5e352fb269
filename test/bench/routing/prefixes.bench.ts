// What a table of 50,000 prefixes costs a call beside one of 10, in one run: the whole of the routing plugin's answer.
// Run: node dist/test/bench/routing/prefixes.bench.js
import type { Directory, IncomingCall } from '../../../core/plugin-api.js';
import { incomingCall } from '../../../core/testing/facts.js';
import { readPrefixTable } from '../../../plugins/routing/prefix-table.js';
import { compileRoutes, routeCall } from '../../../plugins/routing/route-call.js';
import { routingConfig } from '../../../plugins/routing/route-config.js';

const trunks = ['a', 'b', 'c'].map(name => ({ name, gateways: ['192.0.2.1:5060', '192.0.2.2:5060'] }));
const directory = { domain: 'a.test', trunks, subscribers: [], e164: () => undefined } as unknown as Directory;
const routes = compileRoutes(routingConfig.parse({ routes: [{ dial: '+.', to: [{ table: 't' }] }] }).routes);

/** Of two to eight digits, all different. */
function prefixes(count: number): string[] {
  const found = new Set<string>();
  for (let i = 0; found.size < count; i++) found.add(String(Math.floor(10 ** (1 + (i % 7)) * (1 + 9 * Math.random()))));
  return [...found];
}

/** Seconds for `calls` calls with numbers that the table has, and some that it has not. */
function run(count: number, calls: number): { readonly us: number; readonly loadMs: number } {
  const list = prefixes(count);
  const text = list.map((prefix, i) => `+${prefix},${['a', 'b|a', 'c'][i % 3]}`).join('\n');
  const loadFrom = performance.now();
  const { table } = readPrefixTable(text, () => true);
  const loadMs = performance.now() - loadFrom;
  const facts = { directory, location: undefined, tables: new Map([['t', table]]) };
  const questions = Array.from({ length: 1_000 }, (_, i): IncomingCall => {
    const prefix = list[Math.floor((i * list.length) / 1_000)] ?? '';
    return incomingCall({ dialled: `+${prefix}123456` });
  });
  const from = performance.now();
  for (let i = 0; i < calls; i++) routeCall(questions[i % questions.length] as IncomingCall, routes, facts);
  return { us: ((performance.now() - from) * 1_000) / calls, loadMs };
}

const calls = 200_000;
for (const count of [10, 50_000]) run(count, calls / 10);
const rounds = Array.from({ length: 5 }, () => [run(10, calls), run(50_000, calls)] as const);
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const [few, many] = [median(rounds.map(([one]) => one.us)), median(rounds.map(([, one]) => one.us))];
const loadMs = median(rounds.map(([, one]) => one.loadMs));
console.log(
  `10 prefixes: ${few.toFixed(2)} us a call; 50,000: ${many.toFixed(2)} us; ratio ${(many / few).toFixed(2)}`,
);
console.log(`the file of 50,000 was read in ${loadMs.toFixed(0)} ms`);
