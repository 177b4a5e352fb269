#!/usr/bin/env node
// The program: the commands of Holdfast, on this process's terminal.
import { runCli } from './cli.js';
import { processIo } from './cli-io.js';
import { commands } from './commands.js';
import { loadComposition } from './load-composition.js';
import { programVersion } from './version.js';

const parts = { commands, version: programVersion(), loadComposition };
const code = await runCli(process.argv.slice(2), processIo(), parts);
// What is written to a pipe is written when this calls back; then nothing that is still open may hold us up.
process.exitCode = code;
process.stdout.write('', () => process.exit(code));
