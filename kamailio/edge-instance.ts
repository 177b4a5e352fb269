// What one Kamailio is told at run time: its files written, its lists and tables reloaded one at a time and read back.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { DispatcherRow } from '../core/ports/edge.js';
import type { NodeFile } from '../core/ports/node-host.js';
import { compareLists, sameOrder } from './dispatcher-list.js';
import type { EdgeContent } from './edge-content.js';
import { edgeTables, generationKey, type EdgeRows, type EdgeTable } from './edge-tables.js';
import { EdgeTraffic } from './edge-traffic.js';
import { EngineSets } from './engine-sets.js';
import { HashTables, type HeldRows } from './hash-tables.js';
import type { JsonrpcClient } from './jsonrpc-client.js';

export interface EdgeInstanceOptions {
  readonly name: string;
  readonly client: JsonrpcClient;
  readonly writeFiles: (files: readonly NodeFile[]) => Promise<void>;
}

const listReply = z.looseObject({
  RECORDS: z.array(
    z.looseObject({
      SET: z.looseObject({
        ID: z.number(),
        TARGETS: z.array(
          z.looseObject({ DEST: z.looseObject({ URI: z.string(), FLAGS: z.string(), PRIORITY: z.number() }) }),
        ),
      }),
    }),
  ),
});

/** A reply that is larger than a datagram (65,507 octets) is never sent: a table is read whole only where it surely fits. */
const mostDumpBytes = 40_000;
const mostStrayRows = 100;
/** More changes than these are read from the file at once. */
const mostSetRows = 400;

/** More than a second: a file written then has another time. */
const nextSecondMs = 1_050;

/** What `htable.dump` needs for these rows, with JSON around each. */
function dumpBytes(rows: EdgeRows): number {
  return Object.entries(rows).reduce((sum, [key, value]) => sum + 2 * (key.length + String(value).length) + 80, 0);
}

interface RowChange {
  readonly key: string;
  /** Undefined where the row must go. */
  readonly value: string | number | undefined;
}

function compareRows(expected: EdgeRows, held: EdgeRows): readonly RowChange[] {
  const keys = new Set([...Object.keys(expected), ...Object.keys(held)]);
  return [...keys].filter(key => expected[key] !== held[key]).map(key => ({ key, value: expected[key] }));
}

/** Operations on one instance run one after the other: concurrent reloads are known to corrupt memory in Kamailio. */
export class EdgeInstance {
  readonly #options: EdgeInstanceOptions;
  readonly #tables: HashTables;
  readonly #engines: EngineSets;
  readonly traffic: EdgeTraffic;
  #tail: Promise<unknown> = Promise.resolve();
  #lastGood: EdgeContent | undefined;
  /** Tables whose rows were set while there was no time for their files, which only a start reads: what starts is compared, too. */
  readonly #behind = new Set<EdgeTable>();
  /** The tls.cfg that it has read: its profiles are named after what is in them. */
  #profiles = '';

  constructor(options: EdgeInstanceOptions) {
    this.#options = options;
    this.#tables = new HashTables(options.client);
    this.#engines = new EngineSets(options.name, options.client);
    this.traffic = new EdgeTraffic(options.name, options.client);
  }

  get name(): string {
    return this.#options.name;
  }

  /** Makes the instance hold `content`; what it holds already is left alone. Throws DISPATCHER_DRIFT where it does not take it. */
  apply(content: EdgeContent): Promise<void> {
    return this.#serial(async () => {
      await this.#options.client.request('core.uptime', [], { timeoutMs: 500 });
      // Engines first: a table that names one the module does not know yet would cost its calls a try. The module refuses
      // a reload within seconds of the last: the tables that need it wait, nothing else does.
      const refused = await this.#engines
        .apply(content, () => this.#options.writeFiles([content.engineFile]))
        .then(
          () => undefined,
          (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
        );
      await this.#options.writeFiles([...this.#behind].map(table => content.tableFiles[table]));
      this.#behind.clear();
      const waiting = new Set<EdgeTable>(refused === undefined ? [] : ['engines', 'engineslots']);
      const held = await this.#tables.heldRows();
      for (const table of edgeTables.filter(name => !waiting.has(name))) await this.#applyTable(table, content, held);
      await this.#applyList(content);
      await this.#applyAuthorities(content);
      if (refused !== undefined) throw refused;
      this.#lastGood = content;
      await this.#engines.enable(content);
    });
  }

  /** The same where only something of what was applied last is different; that the rest is held still, it believes. */
  applyChanges(content: EdgeContent): Promise<void> {
    const last = this.#lastGood;
    if (!last || last.engineFile.content !== content.engineFile.content) return this.apply(content);
    return this.#serial(async () => {
      const generation = (of: EdgeContent, table: EdgeTable): unknown => of.tables[table][generationKey];
      for (const table of edgeTables.filter(one => generation(last, one) !== generation(content, one))) {
        const changes = compareRows(content.tables[table], last.tables[table]);
        if (changes.length < mostSetRows) {
          this.#behind.add(table);
          await this.#setRows(table, changes);
        } else {
          await this.#options.writeFiles([content.tableFiles[table]]);
          await this.#reloadTable(table, content);
        }
      }
      if (last.listFile.content !== content.listFile.content) await this.#applyList(content, false);
      await this.#applyAuthorities(content);
      this.#lastGood = content;
    });
  }

  async #applyAuthorities({ authorityFiles: files }: EdgeContent): Promise<void> {
    const profiles = files.find(({ path }) => path === 'tls.cfg')?.content ?? '';
    // It starts with what it is to hold; so where there never was any, it has none.
    if (profiles === this.#profiles || (this.#profiles === '' && !profiles.includes('[client:any]'))) return;
    await this.#options.writeFiles(files);
    await this.#reloadTls();
    this.#profiles = profiles;
  }

  /** Differences between the instance and `content`, in words. */
  diff(content: EdgeContent): Promise<readonly string[]> {
    return this.#serial(async () => {
      const tables: string[] = [];
      const held = await this.#tables.heldRows();
      for (const table of edgeTables) tables.push(...(await this.#tableDrift(table, content, held)));
      if (!(await this.#engines.hold(content))) tables.push('the RTPEngine sets differ');
      return [...this.#listDrift(content, await this.#list()), ...tables];
    });
  }

  list(): Promise<readonly DispatcherRow[]> {
    return this.#serial(() => this.#list());
  }

  /** New connections are shown it; those that are up go on. */
  certify(files: readonly NodeFile[]): Promise<void> {
    return this.#serial(async () => {
      await this.#options.writeFiles(files);
      await this.#reloadTls();
    });
  }

  /** Each profile is made for each process, and calls go on meanwhile. */
  async #reloadTls(): Promise<void> {
    await this.#options.client.request('tls.reload', [], { timeoutMs: 20_000 });
  }

  close(): void {
    this.#options.client.close();
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work, work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** Rows of a table, or undefined for one whose dump may not fit a datagram. */
  async #dump(table: EdgeTable, expected: EdgeRows, held: HeldRows): Promise<EdgeRows | undefined> {
    if (dumpBytes(expected) > mostDumpBytes) return undefined;
    if ((held.get(table) ?? 0) > Object.keys(expected).length + mostStrayRows) return undefined;
    return this.#tables.rows(table);
  }

  /** Differences of one table in words. A table too large to be read whole is known by its generation row. */
  async #tableDrift(table: EdgeTable, content: EdgeContent, held: HeldRows): Promise<readonly string[]> {
    const expected = content.tables[table];
    const rows = await this.#dump(table, expected, held);
    if (rows) return compareRows(expected, rows).map(({ key }) => `table ${table}: ${key} differs`);
    const same = (await this.#tables.value(table, generationKey)) === expected[generationKey];
    return same ? [] : [`table ${table}: differs`];
  }

  /**
   * Row by row, as db_text tells a changed file by its time in seconds: a reload may not see the second change within one.
   * The file is for the next start. The generation row comes last: an instance that has it has all the others.
   */
  async #applyTable(table: EdgeTable, content: EdgeContent, held: HeldRows): Promise<void> {
    const expected = content.tables[table];
    const rows = await this.#dump(table, expected, held);
    if (rows) {
      const changes = compareRows(expected, rows);
      if (changes.length === 0) return;
      await this.#options.writeFiles([content.tableFiles[table]]);
      await this.#setRows(table, changes);
    } else {
      if ((await this.#tables.value(table, generationKey)) === expected[generationKey]) return;
      await this.#options.writeFiles([content.tableFiles[table]]);
      await this.#reloadTable(table, content);
    }
    const drift = await this.#tableDrift(table, content, held);
    if (drift.length > 0) {
      throw new HoldfastError('DISPATCHER_DRIFT', `${this.name} did not take ${drift.slice(0, 5).join(', ')}`);
    }
  }

  async #setRows(table: EdgeTable, changes: readonly RowChange[]): Promise<void> {
    const last = changes.filter(({ key }) => key === generationKey);
    for (const { key, value } of [...changes.filter(({ key }) => key !== generationKey), ...last]) {
      if (value === undefined) await this.#tables.delete(table, key);
      else await this.#tables.set(table, key, value);
    }
  }

  async #reloadTable(table: EdgeTable, content: EdgeContent): Promise<void> {
    await this.#tables.reload(table);
    if ((await this.#tables.value(table, generationKey)) === content.tables[table][generationKey]) return;
    await delay(nextSecondMs);
    await this.#options.writeFiles([content.tableFiles[table]]);
    await this.#tables.reload(table);
  }

  /** A reload of a broken file answers "Ok" and the set is gone: so it is read back, and the last good one restored. */
  async #applyList(content: EdgeContent, mayHold = true): Promise<void> {
    if (mayHold && this.#listDrift(content, await this.#list()).length === 0) return;
    await this.#reloadList(content);
    const drift = this.#listDrift(content, await this.#list());
    if (drift.length === 0) return;
    if (this.#lastGood) await this.#reloadList(this.#lastGood);
    throw new HoldfastError(
      'DISPATCHER_DRIFT',
      `${this.name} did not take the dispatcher list (${drift.slice(0, 5).join('; ')}); the last good one is back`,
    );
  }

  /** Differences in words; the order within a set decides where a call goes, so it counts too. */
  #listDrift(content: EdgeContent, actual: readonly DispatcherRow[]): readonly string[] {
    const drift = compareLists(content.slots, actual);
    if (drift.length > 0 || sameOrder(content.slots, actual)) return drift;
    return ['the rows stand in another order'];
  }

  async #reloadList(content: EdgeContent): Promise<void> {
    await this.#options.writeFiles([content.listFile]);
    await this.#options.client.request('dispatcher.reload');
  }

  async #list(): Promise<readonly DispatcherRow[]> {
    let reply: unknown;
    try {
      reply = await this.#options.client.request('dispatcher.list');
    } catch (error) {
      // "No Destination Sets": the module's words for an empty list.
      if (HoldfastError.is(error, 'RPC_REFUSED')) return [];
      throw error;
    }
    const parsed = listReply.safeParse(reply);
    if (!parsed.success) {
      throw new HoldfastError('RPC_INVALID_REPLY', `${this.name}: dispatcher.list answered in a form not known`, {
        details: { reply: JSON.stringify(reply).slice(0, 200) },
      });
    }
    return parsed.data.RECORDS.flatMap(({ SET }) =>
      SET.TARGETS.map(({ DEST }) => ({
        setid: SET.ID,
        destination: DEST.URI,
        flags: DEST.FLAGS,
        priority: DEST.PRIORITY,
      })),
    );
  }
}
