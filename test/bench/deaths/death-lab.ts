// A farm with calls up whose servers and keepers are killed, and what became of each call: whole with sound at both ends, or ended with a record.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, signal } from '../../../core/host/process-table.js';
import { readSupervisorNote } from '../../../core/cli/supervisor-note.js';
import { statePaths } from '../../../core/host/state-folder.js';
import { dialogSchema } from '../../../core/ledger/dialog.js';
import { recordOf } from '../../harness/call-records.js';
import { nothingLeft } from '../../harness/farm-quiet.js';
import { Farm } from '../../harness/farm.js';
import { keptRecords } from '../../harness/kept-records.js';
import type { OutgoingCall } from '../../harness/outgoing-call.js';
import { PhonePair } from '../../harness/phone-pair.js';
import { SipEndpoint } from '../../harness/sip-endpoint.js';
import { waitFor } from '../../harness/wait-for.js';

interface LogLine {
  readonly level: string;
  readonly time: string;
  readonly msg: string;
}

const tones = [440, 620, 830];
/** Lines at `info` that tell what became of calls. */
const told = /recover|found|took up|died|media of|conference .* (is made|has)|has left/;

export class Lab {
  readonly farm: Farm;
  alice: SipEndpoint;
  bob: SipEndpoint;
  pairs: PhonePair[] = [];
  room: OutgoingCall[] = [];
  /** What does not hold of the scene, in words. */
  wrong: string[] = [];
  /** Lines of the log that are not told. */
  #said = 0;

  private constructor(farm: Farm, [alice, bob]: readonly [SipEndpoint, SipEndpoint]) {
    this.farm = farm;
    this.alice = alice;
    this.bob = bob;
  }

  static async open(config: string): Promise<Lab> {
    const farm = await Farm.up({ config });
    return new Lab(farm, await phonesOf(farm));
  }

  /** Phones that end without a word, and others in their places. */
  async otherPhones(): Promise<void> {
    this.pairs = [];
    await Promise.allSettled([this.alice.close(), this.bob.close()]);
    [this.alice, this.bob] = await phonesOf(this.farm);
  }

  /** Takes the farm down, and gives what is left of it. */
  async close(): Promise<string[]> {
    await Promise.allSettled([this.alice.close(), this.bob.close()]);
    const { state, subnet } = this.farm;
    await this.farm.down();
    const left = execFileSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
      .split('\n')
      .filter(line => line.includes(state));
    const rules = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })
      .split('\n')
      .filter(line => line.includes(subnet.host(0).replaceAll('.', '_')));
    return [...left, ...rules];
  }

  /** So many pairs talk, and the store has their dialogs. */
  async talk(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.pairs.push(await PhonePair.call(this.farm, this.alice, this.bob));
    for (const pair of this.pairs) await pair.isKept(this.farm);
  }

  async enterRoom(): Promise<void> {
    this.room = [];
    for (const hz of tones) {
      const call = await this.alice.invite(this.farm.uri('8001'));
      await call.answered();
      call.audio.sendTone(hz);
      this.room.push(call);
    }
    await this.roomHears();
    const kept = (): string[] => keptRecords(this.farm.state, 'dialogs').map(value => dialogSchema.parse(value).callId);
    await waitFor('their dialogs to be in the store', () => this.room.every(call => kept().includes(call.callId)));
  }

  async roomHears(): Promise<void> {
    await Promise.all(
      this.room.map((call, i) =>
        call.audio.hearsMix(
          tones.filter((_, j) => j !== i),
          [tones[i] ?? 0],
          30_000,
        ),
      ),
    );
  }

  /** What daemons have logged since the scene began, or its last daemon was killed. */
  said(): LogLine[] {
    return this.#log()
      .slice(this.#said)
      .map(line => JSON.parse(line) as LogLine);
  }

  #log(): string[] {
    const lines = readFileSync(statePaths(this.farm.state).daemonLog, 'utf8').split('\n');
    return lines.filter(line => line.startsWith('{'));
  }

  async killKeepers(): Promise<void> {
    const note = await readSupervisorNote(this.farm.state);
    this.#said = this.#log().length;
    const keepers = [note?.supervisor, note?.daemon].flatMap(one => one ?? []);
    for (const { pid } of keepers) signal(pid, 'SIGKILL');
    await waitFor('its keepers to be gone', () => !keepers.some(isRunning));
  }

  pidOf(node: string): number {
    return (JSON.parse(readFileSync(join(this.farm.state, 'processes', `${node}.json`), 'utf8')) as { pid: number })
      .pid;
  }

  nodes(): string[] {
    return readdirSync(join(this.farm.state, 'processes')).map(name => name.replace('.json', ''));
  }

  kill(...nodes: string[]): void {
    for (const node of nodes) signal(this.pidOf(node), 'SIGKILL');
  }

  async back(config?: string): Promise<number> {
    if (config !== undefined) await writeFile(this.farm.configFile, config);
    const began = performance.now();
    await this.farm.start();
    return Math.round(performance.now() - began);
  }

  /** Each call is whole, or has ended with a record: what became of it, in words. */
  async account(): Promise<string[]> {
    const fates: string[] = [];
    for (const [i, pair] of this.pairs.entries()) fates.push(`pair ${i}: ${await this.#fateOf(pair, i)}`);
    this.pairs = [];
    if (this.room.length > 0) fates.push(await this.#fateOfRoom());
    this.room = [];
    return fates;
  }

  async #fateOf(pair: PhonePair, i: number): Promise<string> {
    const wrong = (error: unknown): void => void this.wrong.push(`pair ${i}: ${String(error).split('\n')[0]}`);
    const over = (): boolean => pair.calls.some(call => call.state === 'terminated');
    const looks = async (): Promise<boolean> => over() || pair.hear(2_000).then(() => true);
    await waitFor('sound at both ends, or an end', looks, { deadlineMs: 45_000 }).catch(wrong);
    if (over()) await Promise.all(pair.calls.map(call => call.ended(40_000))).catch(wrong);
    else await this.#leave(pair).catch(wrong);
    const record = await recordOf(this.farm, pair.caller.callId).catch(wrong);
    if (!record) return 'no record';
    const { outcome, endedBy, reason, nodes, recoveries } = record;
    return `${outcome}, ended by ${endedBy}: ${reason}; on ${nodes.join(', ')}, ${recoveries} recoveries`;
  }

  /** A call that is whole: both hear one stream from one place, both can hold, and a BYE comes through. */
  async #leave(pair: PhonePair): Promise<void> {
    await pair.soundsAgain();
    await pair.holdAndResume();
    for (const call of pair.calls) call.audio.resetReport();
    await sleep(500);
    for (const call of pair.calls) {
      const { sources, ssrcs } = call.audio.report();
      if (sources.length !== 1 || ssrcs.length !== 1) throw new Error(`hears ${sources.join()} (${ssrcs.join()})`);
    }
    await pair.hangup('caller');
  }

  async #fateOfRoom(): Promise<string> {
    const heard = await this.roomHears().then(
      () => 'all hear each other',
      (error: unknown) => {
        this.wrong.push(`room: ${String(error).split('\n')[0]} ${this.room.map(call => call.state).join()}`);
        return 'deaf';
      },
    );
    const reinvites = this.room.map(call => call.reinvites.length).join();
    for (const call of this.room) if (call.state === 'confirmed') await call.hangup();
    return `room: ${heard}, re-INVITEs ${reinvites}`;
  }

  /** True where all holds. */
  async scene(name: string, run: () => Promise<void>): Promise<boolean> {
    this.wrong = [];
    this.#said = this.#log().length;
    const began = performance.now();
    console.log(`\n=== ${name}`);
    try {
      await run();
      for (const fate of await this.account()) console.log(`  ${fate}`);
      await nothingLeft(this.farm);
      await this.farm.whole();
    } catch (error) {
      this.wrong.push(String(error).slice(0, 1_500));
    }
    const isTold = ({ level, msg }: LogLine): boolean => level !== 'info' || told.test(msg);
    for (const { level, time, msg } of this.said().filter(isTold))
      console.log(`    ${time.slice(11)} ${level} ${msg.slice(0, 230)}`);
    for (const one of this.wrong) console.log(`  WRONG ${one}`);
    console.log(
      `  ${this.wrong.length === 0 ? 'holds' : 'does not hold'}, ${Math.round(performance.now() - began)} ms`,
    );
    return this.wrong.length === 0;
  }
}

async function phonesOf(farm: Farm): Promise<readonly [SipEndpoint, SipEndpoint]> {
  return [
    await SipEndpoint.open({ address: farm.host(200), user: '100', codecs: ['PCMA'] }),
    await SipEndpoint.open({ address: farm.host(208), codecs: ['PCMU'] }),
  ];
}
