// Run as a process of its own: opens an LMDB folder and reads every record. A damaged file ends a process with SIGSEGV or
// SIGBUS (LMDB reads through a memory map), and that must not be the daemon.
import { open } from 'lmdb';

const path = process.argv[2];
if (path === undefined) throw new TypeError('usage: lmdb-probe FOLDER');
const database = open({ path, keyEncoding: 'binary', encoding: 'json', useVersions: true });
database.getRange().forEach(() => undefined);
await database.close();
