#!/usr/bin/env node
// The program: the commands of Holdfast, on this process's terminal.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { runCli } from './cli.js';
import { processIo } from './cli-io.js';
import { commands } from './commands.js';
import { loadComposition } from './load-composition.js';

const packageJson = new URL('../../../package.json', import.meta.url);
const { version } = z.object({ version: z.string() }).parse(JSON.parse(readFileSync(packageJson, 'utf8')));

const code = await runCli(process.argv.slice(2), processIo(), { commands, version, loadComposition });
// What is written to a pipe is written when this calls back; then nothing that is still open may hold us up.
process.exitCode = code;
process.stdout.write('', () => process.exit(code));
