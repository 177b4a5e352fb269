// A thousand flow-driven calls: menus with digits of both kinds, fetches from a server that is right, wrong, slow or gone.
//
//   node dist/test/bench/flows/flows.bench.js [--calls 1000] [--at-once 20] [--write]
//
// Ends with 1 where a call did not end as its flow says. --write puts the table into docs/flows-benchmark.md.
import { Farm } from '../../harness/farm.js';
import { nothingLeft } from '../../harness/farm-quiet.js';
import {
  caseFlows,
  caseRoutes,
  flowCases,
  openCaseServer,
  runCases,
  type CaseOutcome,
} from '../../harness/flow-cases.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { writeBench } from '../bench-doc.js';

function argument(name: string, usual: number): number {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? usual : Number(process.argv[at + 1]);
}

const [calls, atOnce] = [argument('calls', 1000), argument('at-once', 20)];

const { server, ports } = await openCaseServer();
const farm = await Farm.up({
  config: `
farm: { subnet: 127.40.0.0/24 }
domain: holdfast.test
trunks: { lab: { sources: [.200-.207], gateways: [.208:5060] } }
flows:
${caseFlows(ports)}
plugins:
  transcoding-policy: { default: [PCMA, PCMU] }
  conference:
  routing:
    routes:${caseRoutes}
  registrar:
  session-recovery:
`,
});
const phone = await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMU'] });
let outcomes: readonly CaseOutcome[] = [];
let left = 'nothing is left on any server';
const startedMs = performance.now();
try {
  outcomes = await runCases(farm, phone, { calls, atOnce });
  await nothingLeft(farm, 60_000).catch((error: unknown) => (left = `left: ${String(error)}`));
} finally {
  await phone.close();
  server.closeAllConnections();
  server.close();
  await farm.down();
}
const seconds = Math.round((performance.now() - startedMs) / 1000);

const isAsSaid = ({ flowCase, ended, wrong }: CaseOutcome): boolean => ended === flowCase.ends && wrong === undefined;
const rows = flowCases.map(flowCase => {
  const own = outcomes.filter(one => one.flowCase === flowCase);
  const [asSaid, heard] = [own.filter(isAsSaid).length, own.filter(one => one.heard).length];
  return `| ${flowCase.what} | ${flowCase.by ?? ''} | ${flowCase.ends} | ${own.length} | ${asSaid} | ${heard} |`;
});
const wrong = outcomes.filter(one => !isAsSaid(one));
for (const { flowCase, ended, wrong: why } of wrong)
  process.stderr.write(`${flowCase.what} ${flowCase.by ?? ''}: ended ${ended ?? 'without a record'}: ${why ?? ''}\n`);
const table = [
  '| the caller | by | must end at | calls | ended there | its tone was heard |',
  '| --- | --- | --- | --- | --- | --- |',
  ...rows,
  '',
  `${outcomes.length} calls, ${atOnce} at a time, in ${seconds} s: ${outcomes.length - wrong.length} ended as their flow says; ${left}.`,
].join('\n');
console.log(table);
if (process.argv.includes('--write')) await writeBench('flows-benchmark.md', new Map([['outcomes', table]]));
process.exit(wrong.length === 0 && left.startsWith('nothing') ? 0 : 1);
