// The dispatcher lists: a fixed number of slots per farm, whose rows never change order.
import { HoldfastError } from '../core/errors.js';
import { ports, type FarmName, type NodeState } from '../core/farm/farm-plan.js';
import type { DispatcherRow, EdgeNode, EdgeState } from '../core/ports/edge.js';
import { rendezvous } from './edge-tables.js';

/** Rows of each set: INVITEs go by hash of Call-ID (set 1), REGISTERs by hash of the address of record (set 2). */
const slots = 128;

export const dispatcherSets: readonly { readonly setid: number; readonly farm: FarmName }[] = [
  { setid: 1, farm: 'call' },
  { setid: 2, farm: 'registrar' },
];

/** Flags column of the list file (dispatcher module, §"list file"): 0 active, 1 inactive, 4 disabled. */
const fileFlags: Readonly<Record<NodeState, number>> = { up: 0, suspect: 1, dead: 1, draining: 4 };
/** The same as `dispatcher.list` reports it: state, then X where nothing probes. */
const shownFlags: Readonly<Record<NodeState, string>> = { up: 'A', suspect: 'I', dead: 'I', draining: 'D' };

/** A slot keeps its node, and is flagged when that node takes no calls; algorithm 0 then probes on from there. */
export interface Slot {
  readonly setid: number;
  readonly node: EdgeNode;
}

/** All slots for a state, in file order. Throws DISPATCHER_REFUSED for a farm without nodes. */
export function assignSlots(state: EdgeState): readonly Slot[] {
  return dispatcherSets.flatMap(({ setid, farm }) => {
    const nodes = state.nodes.filter(node => node.farm === farm);
    const names = nodes.map(node => node.name);
    if (nodes.length === 0) {
      throw new HoldfastError(
        'DISPATCHER_REFUSED',
        `dispatcher set ${setid} would be empty: there are no ${farm} nodes`,
        {
          remedy: `configure at least one ${farm} node; the last good list stays`,
        },
      );
    }
    // With nobody surely alive, a suspect is a better chance for a call than a refusal.
    const anyUp = nodes.some(node => node.state === 'up');
    return Array.from({ length: slots }, (_, slot): Slot => {
      const name = rendezvous(`${farm} ${slot}`, names);
      const node = nodes.find(one => one.name === name) as EdgeNode;
      return { setid, node: !anyUp && node.state === 'suspect' ? { ...node, state: 'up' } : node };
    });
  });
}

/** The list file of the dispatcher module. */
export function formatDispatcherList(rows: readonly Slot[]): string {
  const lines = rows.map(({ setid, node }) => `${setid} sip:${node.address}:${ports.sip} ${fileFlags[node.state]} 0`);
  return `# Generated: changes are overwritten. setid destination flags priority\n${lines.join('\n')}\n`;
}

/** How instances report destination and state: compared with what they say. The order within a set is theirs. */
export function compareLists(expected: readonly Slot[], actual: readonly DispatcherRow[]): readonly string[] {
  return dispatcherSets.flatMap(({ setid }) => {
    const wanted = count(expected.filter(row => row.setid === setid).map(describeSlot));
    const found = count(actual.filter(row => row.setid === setid).map(describeRow));
    const keys = [...new Set([...wanted.keys(), ...found.keys()])].sort();
    return keys.flatMap(key => {
      const should = wanted.get(key) ?? 0;
      const is = found.get(key) ?? 0;
      return should === is ? [] : [`set ${setid}: ${key}: ${is} rows, should be ${should}`];
    });
  });
}

/**
 * The order of rows decides where a call goes: two instances are equal only when it is equal too. Among rows of one
 * priority the module puts the last of the file first (dispatcher, `reindex_dests`).
 */
export function sameOrder(expected: readonly Slot[], actual: readonly DispatcherRow[]): boolean {
  return dispatcherSets.every(({ setid }) => {
    const wanted = expected.filter(row => row.setid === setid).map(row => `sip:${row.node.address}:${ports.sip}`);
    const found = actual.filter(row => row.setid === setid).map(row => row.destination);
    return found.length === wanted.length && found.every((destination, i) => destination === wanted.at(-1 - i));
  });
}

function describeSlot({ node }: Slot): string {
  return `sip:${node.address}:${ports.sip} ${shownFlags[node.state]}`;
}

function describeRow(row: DispatcherRow): string {
  return `${row.destination} ${row.flags.slice(0, 1)}`;
}

function count(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
