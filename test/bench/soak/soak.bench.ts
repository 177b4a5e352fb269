// A soak from the command line: calls through a whole farm while its servers are killed, and what they leave behind.
//
//   node dist/test/bench/soak/soak.bench.js [--calls 2000] [--rate 25] [--pause 5] [--write]
//
// `--pause`: seconds between the farm being whole again and the next kill. --write puts the result into docs/soak.md. Exits 1 where
// something is left, or a record is missing or there twice, in the file or at the webhook.
import { parseArgs } from 'node:util';
import { writeBench } from '../bench-doc.js';
import { killable } from './kills.js';
import { soak, type Comparison, type SoakReport } from './soak.js';
import { localConfig } from '../../harness/local-config.js';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '2000' },
    rate: { type: 'string', default: '25' },
    pause: { type: 'string', default: '5' },
    write: { type: 'boolean', default: false },
  },
});

const report = await soak(await localConfig(), {
  ...{ calls: Number(values.calls), rate: Number(values.rate), pauseMs: Number(values.pause) * 1000 },
  progress: line => process.stderr.write(`${line}\n`),
});
const [summary, kills, resources] = [summaryOf(report), killsOf(report), resourcesOf(report)];
process.stdout.write(`${[summary, kills, resources].join('\n\n')}\n`);
const wrong = [...report.accounts.wrong, ...report.deliveries.wrong, ...report.left];
for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`);
if (values.write) await writeBench('soak.md', new Map(Object.entries({ summary, kills, resources })));
process.exitCode = wrong.length === 0 ? 0 : 1;

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  return [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n');
}

function summaryOf({ accounts, deliveries, phonesLeft, left, seconds, quietSeconds, kills }: SoakReport): string {
  const { placed, answered, refused, records, answeredRecords, withoutRecord, wrong } = accounts;
  return table(
    ['', ''],
    [
      ['calls placed', `${placed}, in ${Math.round(seconds)} s`],
      ['kills', kills.length],
      ['answered', answered],
      ['refused with a final response', refused],
      ['neither: the INVITE had no answer', placed - answered - refused],
      ['call records', `${records}, ${answeredRecords} of them of an answer`],
      ['calls without a record: no daemon had heard of them', withoutRecord],
      ['records that are missing, or there twice', wrong.length],
      ['deliveries that the webhook took', `${deliveries.taken}, in ${deliveries.attempts} requests`],
      ['requests that the webhook refused, or never answered', deliveries.refused + deliveries.unanswered],
      ['deliveries that a killed daemon left to the next one', deliveries.inherited],
      ['records that the webhook does not have as the file has them', deliveries.wrong.length],
      ['phones that never heard the end of their call', phonesLeft],
      ['left in any server, or in the store', left.length],
      ['from the last call until nothing was left', `${Math.round(quietSeconds)} s`],
    ],
  );
}

function killsOf({ kills }: SoakReport): string {
  const of = (what: string): readonly number[] => kills.filter(kill => kill.what === what).map(kill => kill.backMs);
  return table(
    ['killed', 'times', 'whole again after, longest'],
    killable.map(what => [what, of(what).length, `${(Math.max(...of(what)) / 1000).toFixed(1)} s`]),
  );
}

function resourcesOf({ files, memory }: SoakReport): string {
  const pair = (all: Comparison, name: string): string => all.get(name)?.join(' → ') ?? '';
  return table(
    ['process', 'open files', 'resident, MB'],
    [...files.keys()].map(name => [name, pair(files, name), pair(memory, name)]),
  );
}
