// The mark that every process of a farm bears in its environment from its birth, so that whoever ends the farm finds all of them:
// one that was forked in the moment in which its parent was killed is in no record.
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { readProcess, type ProcessEntry } from './process-table.js';

const keeperName = 'HOLDFAST_KEEPER_OF';
const nodeName = 'HOLDFAST_NODE_FOLDER';

/** For the environment of a supervisor: its daemon inherits it, and what the daemon forks until it is a server. */
export function keeperMark(stateFolder: string): Readonly<Record<string, string>> {
  return { [keeperName]: resolve(stateFolder) };
}

/** For the environment of a node's server, whose children inherit it. */
export function nodeMark(nodeFolder: string): Readonly<Record<string, string>> {
  return { [nodeName]: resolve(nodeFolder) };
}

/** The living supervisors and daemons of a farm, and their helpers; never the process that asks. */
export function keepersOf(stateFolder: string): readonly ProcessEntry[] {
  return markedWith(keeperName, value => value === resolve(stateFolder)).map(({ entry }) => entry);
}

/** The living processes of all nodes below `nodesFolder`, each with its node's folder. */
export function serversBelow(
  nodesFolder: string,
): readonly { readonly entry: ProcessEntry; readonly folder: string }[] {
  const below = `${resolve(nodesFolder)}/`;
  return markedWith(nodeName, value => value.startsWith(below)).map(({ entry, value }) => ({ entry, folder: value }));
}

/** The living processes of every farm's nodes on this machine, each with its node's folder. */
export function allServers(): readonly { readonly entry: ProcessEntry; readonly folder: string }[] {
  return markedWith(nodeName, () => true).map(({ entry, value }) => ({ entry, folder: value }));
}

function markedWith(
  name: string,
  fits: (value: string) => boolean,
): { readonly entry: ProcessEntry; readonly value: string }[] {
  return readdirSync('/proc').flatMap(pid => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    const value = environmentOf(pid)
      .find(line => line.startsWith(`${name}=`))
      ?.slice(name.length + 1);
    const entry = value !== undefined && fits(value) ? readProcess(Number(pid)) : undefined;
    return entry && !'ZX'.includes(entry.state) ? [{ entry, value: value ?? '' }] : [];
  });
}

/** As it was at the process's start (proc(5)); empty where it cannot be read: another user's in a container without CAP_SYS_PTRACE. */
function environmentOf(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    return [];
  }
}
