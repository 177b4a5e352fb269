// The recoveries there were: under way and done, in memory and in the store, the last ones only.
import type { Store, StoreWrite, Table } from '../store/store.js';
import { recoveryRecordSchema, type RecoveryRecord } from './recovery-record.js';

/** Recoveries kept for `holdfast recoveries`. */
const kept = 100;

export class RecoveryBook {
  readonly #table: Table<RecoveryRecord>;
  readonly #records = new Map<string, RecoveryRecord>();

  constructor(store: Store) {
    this.#table = store.table('recoveries', recoveryRecordSchema);
  }

  async load(): Promise<void> {
    for await (const [, { value }] of this.#table.range()) this.#records.set(value.epoch, value);
  }

  /** Oldest first. */
  list(): RecoveryRecord[] {
    return [...this.#records.values()].sort((a, b) => a.declaredMs - b.declaredMs);
  }

  get(epoch: string): RecoveryRecord | undefined {
    return this.#records.get(epoch);
  }

  /** In memory only; `putting` is for the store. */
  set(record: RecoveryRecord): void {
    this.#records.set(record.epoch, record);
  }

  putting(record: RecoveryRecord): StoreWrite {
    return this.#table.putting(record.epoch, record);
  }

  /** Writes it down, and forgets the oldest. */
  async add(record: RecoveryRecord): Promise<void> {
    this.set(record);
    await this.#table.put(record.epoch, record);
    await this.prune();
  }

  /** One more session has found its end; `upMs` where it was recovered. */
  count(epoch: string, what: 'recovered' | 'ended' | 'failed', upMs: number | null): void {
    const record = this.#records.get(epoch);
    if (!record) return;
    const sessions = { ...record.sessions, [what]: record.sessions[what] + 1 };
    this.set({ ...record, sessions, lastUpMs: upMs ?? record.lastUpMs });
  }

  async prune(): Promise<void> {
    for (const { epoch } of this.list().slice(0, -kept)) {
      this.#records.delete(epoch);
      await this.#table.delete(epoch);
    }
  }
}
