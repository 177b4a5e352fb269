// One Kamailio at run time: its files written, its lists and tables reloaded one at a time and read back.
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { HoldfastError } from '../core/errors.js';
import type { DispatcherRow, EdgeBan, OfferedCalls, ShedShare } from '../core/ports/edge.js';
import type { NodeFile } from '../core/ports/node-host.js';
import { compareLists, sameOrder, type Slot } from './dispatcher-list.js';
import { counterNames, counters } from './edge-counters.js';
import { edgeTables, generationKey, type EdgeRows, type EdgeTable } from './edge-tables.js';
import type { JsonrpcClient } from './jsonrpc-client.js';

/** What an instance should hold: rendered once per state for all instances. */
export interface EdgeContent {
  readonly slots: readonly Slot[];
  readonly tables: Readonly<Record<EdgeTable, EdgeRows>>;
  readonly engines: readonly { readonly set: number; readonly address: string }[];
  readonly listFile: NodeFile;
  readonly tableFiles: Readonly<Record<EdgeTable, NodeFile>>;
  readonly engineFile: NodeFile;
  /** Of the tls module: by whom certificates of gateways must be signed. */
  readonly authorityFiles: readonly NodeFile[];
}

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
const itemReply = z.looseObject({ item: z.looseObject({ value: z.union([z.string(), z.number()]) }) });
const dumpReply = z.array(
  z.looseObject({ slot: z.array(z.looseObject({ name: z.string(), value: z.union([z.string(), z.number()]) })) }),
);
/** Table → how many rows it has. */
type HeldRows = ReadonlyMap<string, number>;

const statisticsReply = z.array(z.looseObject({ name: z.string(), all: z.number() }));
const enginesReply = z.array(z.looseObject({ url: z.string(), set: z.number() }));

/** A reply that is larger than a datagram (65,507 octets) is never sent: a table is read whole only where it surely fits. */
const mostDumpBytes = 40_000;
const mostStrayRows = 100;
const mostFoundRows = 400;

/** When the daemon itself is late, answers have come before it has time to read them. */
const inNeedMs = 5_000;

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
  #tail: Promise<unknown> = Promise.resolve();
  #lastGood: EdgeContent | undefined;
  /** Of the table of what comes, when it was read last. */
  #offeredRows = Infinity;
  /** The tls.cfg that it has read: its profiles are named after what is in them. */
  #profiles = '';

  constructor(options: EdgeInstanceOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  async ping(deadlineMs: number): Promise<void> {
    await this.#options.client.request('core.uptime', [], { timeoutMs: deadlineMs });
  }

  /** Makes the instance hold `content`; what it holds already is left alone. Throws DISPATCHER_DRIFT where it does not take it. */
  apply(content: EdgeContent): Promise<void> {
    return this.#serial(async () => {
      await this.ping(500);
      // Engines first: a table that names one the module does not know yet would cost its calls a try. The module refuses
      // a reload within seconds of the last: the tables that need it wait, nothing else does.
      const refused = await this.#applyEngines(content).then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
      );
      const waiting = new Set<EdgeTable>(refused === undefined ? [] : ['engines', 'engineslots']);
      const held = await this.#heldRows();
      for (const table of edgeTables.filter(name => !waiting.has(name))) await this.#applyTable(table, content, held);
      await this.#applyList(content);
      await this.#applyAuthorities(content);
      if (refused !== undefined) throw refused;
      this.#lastGood = content;
    });
  }

  /** The same where only something of what was applied last is different; that the rest is held still, it believes. */
  applyChanges(content: EdgeContent): Promise<void> {
    const last = this.#lastGood;
    if (!last || last.engineFile.content !== content.engineFile.content) return this.apply(content);
    return this.#serial(async () => {
      const generation = (of: EdgeContent, table: EdgeTable): unknown => of.tables[table][generationKey];
      for (const table of edgeTables.filter(one => generation(last, one) !== generation(content, one))) {
        await this.#options.writeFiles([content.tableFiles[table]]);
        const changes = compareRows(content.tables[table], last.tables[table]);
        if (changes.length < mostFoundRows) await this.#setRows(table, changes);
        else await this.#reloadTable(table, content);
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
      const held = await this.#heldRows();
      for (const table of edgeTables) tables.push(...(await this.#tableDrift(table, content, held)));
      if (!(await this.#holdsEngines(content))) tables.push('the RTPEngine sets differ');
      return [...this.#listDrift(content, await this.#list()), ...tables];
    });
  }

  list(): Promise<readonly DispatcherRow[]> {
    return this.#serial(() => this.#list());
  }

  pin(callId: string, destination: string, seconds: number): Promise<unknown> {
    return this.#options.client.request('htable.setxs', ['pins', callId, destination, seconds]);
  }

  unpin(callId: string): Promise<void> {
    return this.#forget('pins', callId);
  }

  /** Refused: it is not there. */
  async #forget(table: string, key: string): Promise<void> {
    await this.#options.client.request('htable.delete', [table, key]).catch((error: unknown) => {
      if (!HoldfastError.is(error, 'RPC_REFUSED')) throw error;
    });
  }

  /** Those that were found here and those that were told. */
  async bans(): Promise<readonly EdgeBan[]> {
    return Object.entries(await this.#found('bans')).map(([source, value]) => {
      const [reason = '', until = '0'] = String(value).split('|');
      return { source, reason, untilSeconds: Number(until) };
    });
  }

  /** How many rows each table has. Dear: for it the module locks every slot of every table, one after the other. */
  async #heldRows(timeoutMs = 1_000): Promise<HeldRows> {
    const statistics = statisticsReply.parse(await this.#options.client.request('htable.stats', [], { timeoutMs }));
    return new Map(statistics.map(({ name, all }) => [name, all]));
  }

  /** Rows of a table that the instance fills by itself. */
  async #found(table: string): Promise<EdgeRows> {
    const held = (await this.#heldRows()).get(table) ?? 0;
    if (held > mostFoundRows)
      throw new HoldfastError('RPC_INVALID_REPLY', `${this.name} has ${held} rows in ${table}: too many to be read`);
    return this.#rows(table);
  }

  async #rows(table: string, timeoutMs?: number): Promise<EdgeRows> {
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    const entries = dumpReply.parse(await this.#options.client.request('htable.dump', [table], options));
    return Object.fromEntries(entries.flatMap(({ slot }) => slot.map(({ name, value }) => [name, value])));
  }

  async ban({ source, reason, untilSeconds }: EdgeBan): Promise<void> {
    const seconds = Math.max(1, untilSeconds - Math.floor(Date.now() / 1000));
    await this.#options.client.request('htable.setxs', ['bans', source, `${reason}|${untilSeconds}`, seconds]);
  }

  unban(source: string): Promise<void> {
    return this.#forget('bans', source);
  }

  /** Whoever asks is in need: in one request where it can be, and with patience. Of more sources than fit into a reply only the sums are known. */
  async offeredCalls(nodes: readonly string[]): Promise<OfferedCalls> {
    const isReadable =
      this.#offeredRows < mostFoundRows / 2 || ((await this.#heldRows(inNeedMs)).get('offered') ?? 0) <= mostFoundRows;
    // Until it is read: an answer that is too large never comes.
    this.#offeredRows = Infinity;
    const rows = isReadable ? await this.#rows('offered', inNeedMs) : await this.#offeredSums(nodes);
    if (isReadable) this.#offeredRows = Object.keys(rows).length;
    const counts = Object.entries(rows).map(([key, count]) => {
      const [node = '', source, kind] = key.split('|');
      return { kind, node, count: Number(count), ...(source === undefined ? {} : { source }) };
    });
    return {
      offered: counts.filter(({ kind }) => kind === undefined),
      refused: counts.filter(({ kind }) => kind !== undefined),
    };
  }

  async #offeredSums(nodes: readonly string[]): Promise<EdgeRows> {
    const sums = nodes.map(async node => [node, (await this.#value('offered', node, inNeedMs)) ?? 0] as const);
    return Object.fromEntries(await Promise.all(sums));
  }

  async shed({ node, source, lots }: ShedShare, seconds: number): Promise<void> {
    await this.#options.client.request('htable.setxi', ['shed', `${node}|${source}`, lots, seconds], {
      timeoutMs: inNeedMs,
    });
  }

  async move(from: string, to: string): Promise<void> {
    await this.#options.client.request('htable.sets', ['moved', from, to]);
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

  async trust(address: string, seconds: number): Promise<void> {
    await this.#options.client.request('htable.setxs', ['known', address, '1', seconds]);
  }

  async counters(): Promise<Readonly<Record<string, number>>> {
    const values = new Map([...(await this.#statistics('script:')), ...(await this.#statistics('core:'))]);
    const own = Object.fromEntries(counterNames.map(name => [counters[name], values.get(name) ?? 0] as const));
    const all = (values.get('rcv_requests') ?? 0) + (values.get('rcv_replies') ?? 0);
    const received = all - (values.get('answered_probe') ?? 0);
    return { ...own, received };
  }

  close(): void {
    this.#options.client.close();
  }

  /** Names without their group, and values; lines are `group:name = value`. */
  async #statistics(group: string): Promise<readonly (readonly [string, number])[]> {
    const reply = z.array(z.string()).parse(await this.#options.client.request('stats.get_statistics', [group]));
    return reply.map(line => {
      const [name = '', value = '0'] = line.slice(group.length).split(' = ');
      return [name, Number(value)];
    });
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(work, work);
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #value(table: string, key: string, timeoutMs = 1_000): Promise<string | number | undefined> {
    try {
      return itemReply.parse(await this.#options.client.request('htable.get', [table, key], { timeoutMs })).item.value;
    } catch (error) {
      if (HoldfastError.is(error, 'RPC_REFUSED')) return undefined;
      throw error;
    }
  }

  /** Rows of a table, or undefined for one whose dump may not fit a datagram. */
  async #dump(table: EdgeTable, expected: EdgeRows, held: HeldRows): Promise<EdgeRows | undefined> {
    if (dumpBytes(expected) > mostDumpBytes) return undefined;
    if ((held.get(table) ?? 0) > Object.keys(expected).length + mostStrayRows) return undefined;
    return this.#rows(table);
  }

  /** Differences of one table in words. A table too large to be read whole is known by its generation row. */
  async #tableDrift(table: EdgeTable, content: EdgeContent, held: HeldRows): Promise<readonly string[]> {
    const expected = content.tables[table];
    const rows = await this.#dump(table, expected, held);
    if (rows) return compareRows(expected, rows).map(({ key }) => `table ${table}: ${key} differs`);
    const same = (await this.#value(table, generationKey)) === expected[generationKey];
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
      if ((await this.#value(table, generationKey)) === expected[generationKey]) return;
      await this.#options.writeFiles([content.tableFiles[table]]);
      await this.#reloadTable(table, content);
    }
    const drift = await this.#tableDrift(table, content, held);
    if (drift.length > 0) {
      throw new HoldfastError('DISPATCHER_DRIFT', `${this.name} did not take ${drift.slice(0, 5).join(', ')}`);
    }
  }

  async #setRows(table: EdgeTable, changes: readonly RowChange[]): Promise<void> {
    const { client } = this.#options;
    const last = changes.filter(({ key }) => key === generationKey);
    for (const { key, value } of [...changes.filter(({ key }) => key !== generationKey), ...last]) {
      if (value === undefined) await client.request('htable.delete', [table, key]);
      else await client.request(typeof value === 'number' ? 'htable.seti' : 'htable.sets', [table, key, value]);
    }
  }

  async #reloadTable(table: EdgeTable, content: EdgeContent): Promise<void> {
    await this.#options.client.request('htable.reload', [table]);
    if ((await this.#value(table, generationKey)) === content.tables[table][generationKey]) return;
    await delay(nextSecondMs);
    await this.#options.writeFiles([content.tableFiles[table]]);
    await this.#options.client.request('htable.reload', [table]);
  }

  /** The rtpengine module refuses a reload in its first seconds: the next round tries again. */
  async #applyEngines(content: EdgeContent): Promise<void> {
    if (await this.#holdsEngines(content)) return;
    await this.#options.writeFiles([content.engineFile]);
    await this.#options.client.request('rtpengine.reload');
    if (!(await this.#holdsEngines(content))) {
      throw new HoldfastError(
        'DISPATCHER_DRIFT',
        `${this.name} did not take the RTPEngine sets: read back they differ`,
      );
    }
  }

  async #holdsEngines(content: EdgeContent): Promise<boolean> {
    const shown = enginesReply.safeParse(await this.#options.client.request('rtpengine.show', ['all']));
    const held = new Set((shown.data ?? []).map(one => `${one.set} ${one.url.replace(/^udp:|:\d+$/g, '')}`));
    // A set that is no longer named in any table harms nobody: the module keeps it until it restarts.
    return content.engines.every(engine => held.has(`${engine.set} ${engine.address}`));
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
