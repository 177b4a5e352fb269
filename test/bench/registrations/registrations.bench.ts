// 2,000 subscribers register at 100 a second while a Kamailio and a registrar are killed; then again with everything up.
// Run: node dist/test/bench/registrations/registrations.bench.js [SUBSCRIBERS [A SECOND]]
import { Farm } from '../../harness/farm.js';
import { localConfig } from '../../harness/local-config.js';
import { registerAll, type StormReport } from '../../harness/register-storm.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { waitFor } from '../../harness/wait-for.js';

const [count = 2_000, perSecond = 100] = process.argv.slice(2).map(Number);
const users = Array.from({ length: count }, (_, i) => `2${String(i).padStart(5, '0')}`);
const secretOf = (user: string): string => `secret-of-${user}`;

function print(what: string, { registered, failures, again, tookMs }: StormReport): void {
  const at = (part: number): number => Math.round(tookMs[Math.floor(part * (tookMs.length - 1))] ?? 0);
  console.log(`${what}: ${registered} registered, ${failures.length} failed, ${again} challenged twice`);
  console.log(`  ms to the 200: ${at(0.5)} (half), ${at(0.99)} (99 of 100), ${at(1)} (all)`);
  for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
}

const example = await localConfig();
const lines = users.map(user => `  '${user}': { secret: ${secretOf(user)} }\n`).join('');
const farm = await Farm.up({ config: example.replace('subscribers:\n', `subscribers:\n${lines}`), upMs: 120_000 });
try {
  const endpoint = await SipEndpoint.open({ address: farm.host(203) });
  const registrar = `sip:${farm.host(100)}:5060`;
  const all = { endpoint, registrar, domain: 'holdfast.test', users, secretOf, perSecond };
  const kill = async (name: string): Promise<void> => void process.kill(await farm.pid(name), 'SIGKILL');
  const at = { [count / 4]: () => kill('kamailio-2'), [count / 2]: () => kill('registrar-1') };
  const bound = async (): Promise<number> => (await farm.registrations()).length;
  print('a Kamailio and a registrar killed', await registerAll({ ...all, at }));
  await farm.whole();
  console.log(`  ${await bound()} of ${count} were known when all servers were up again`);
  print('nothing killed', await registerAll(all));
  const most = { deadlineMs: 30_000, everyMs: 500, describe: async () => `${await bound()} of ${count}` };
  await waitFor('all bindings', async () => (await bound()) === count, most);
  await endpoint.close();
} finally {
  await farm.down();
}
