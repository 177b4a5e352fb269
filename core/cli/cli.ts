// Reads a command line and runs its command: cac takes it apart, we check it and decide the exit code.
import { cac, type CAC } from 'cac';
import { HoldfastError } from '../errors.js';
import { commandName, CommandContext, exitCodes, usage, type Command } from './command.js';
import type { CliIo } from './cli-io.js';
import type { Composition } from './composition.js';
import { formatError, formatErrorJson } from './error-report.js';
import { formatCommandHelp, formatHelp, globalOptions } from './help.js';
import { suggest } from './suggest.js';
import { terminalStyle } from './style.js';

export interface CliParts {
  readonly commands: readonly Command[];
  readonly version: string;
  readonly loadComposition: () => Promise<Composition>;
}

/** Runs one command line (without node and script); resolves to the exit code and never rejects. */
export async function runCli(argv: readonly string[], io: CliIo, parts: CliParts): Promise<number> {
  try {
    return await runChecked(argv, io, parts);
  } catch (error) {
    if (argv.includes('--json')) io.err(formatErrorJson(error));
    else io.err(formatError(error, terminalStyle(io.colours)));
    return HoldfastError.is(error, 'USAGE') ? exitCodes.usage : exitCodes.failed;
  }
}

async function runChecked(argv: readonly string[], io: CliIo, parts: CliParts): Promise<number> {
  const cli = parse(argv, parts.commands);
  const command = parts.commands.find(({ usage: text }) => commandName(text) === cli.matchedCommandName);
  const style = terminalStyle(io.colours);
  // cac gives numbers where an argument looks like one.
  const args = cli.args.map(String);
  if (cli.options['help'] === true) {
    if (command === undefined && args[0] !== undefined) throw unknownCommand(args[0], parts.commands);
    io.out(command ? formatCommandHelp(command, style) : formatHelp(parts.commands, style));
    return exitCodes.done;
  }
  if (!command) {
    if (cli.options['version'] === true) {
      io.out(`holdfast ${parts.version}\n`);
      return exitCodes.done;
    }
    if (args[0] !== undefined) throw unknownCommand(args[0], parts.commands);
    io.err(formatHelp(parts.commands, style));
    return exitCodes.usage;
  }
  check(cli, command);
  checkAction(args[0], command);
  return command.run(args, new CommandContext(io, cli.options, parts.loadComposition));
}

function parse(argv: readonly string[], commands: readonly Command[]): CAC {
  const cli = cac('holdfast');
  for (const [flag, description] of globalOptions) cli.option(flag, description);
  for (const { usage: text, summary, options } of commands) {
    const command = cli.command(text, summary);
    for (const [flag, description] of options ?? []) command.option(flag, description);
  }
  cli.parse(['node', 'holdfast', ...argv], { run: false });
  return cli;
}

/** Throws USAGE for what the command does not take. */
function check(cli: CAC, command: Command): void {
  const flags = [...globalOptions, ...(command.options ?? [])].map(([flag]) => longName(flag));
  const remedy = `see: holdfast ${commandName(command.usage)} --help`;
  for (const name of Object.keys(cli.options)) {
    if (name === '--' || cli.matchedCommand?.hasOption(name) || cli.globalCommand.hasOption(name)) continue;
    const near = suggest(name, flags);
    throw usage(`unknown option --${name}${near === undefined ? '' : `: did you mean --${near}?`}`, remedy);
  }
  try {
    cli.matchedCommand?.checkOptionValue();
    cli.matchedCommand?.checkRequiredArgs();
    cli.matchedCommand?.checkUnusedArgs();
  } catch {
    throw usage(`it is written: holdfast ${command.usage}`, remedy);
  }
}

/** Throws USAGE for an action that the command does not have. */
function checkAction(action: string | undefined, { usage: text, actions }: Command): void {
  const names = actions?.map(([name]) => name) ?? [];
  if (action === undefined || names.length === 0 || names.includes(action)) return;
  const near = suggest(action, names);
  const hint = near === undefined ? `it can be ${names.join(', ')}` : `did you mean "${near}"?`;
  throw usage(
    `unknown action "${action}" of ${commandName(text)}: ${hint}`,
    `see: holdfast ${commandName(text)} --help`,
  );
}

function longName(flag: string): string {
  return /--([a-z-]+)/.exec(flag)?.[1] ?? flag;
}

function unknownCommand(typed: string, commands: readonly Command[]): HoldfastError {
  const names = commands.filter(({ internal }) => internal !== true).map(({ usage: text }) => commandName(text));
  const near = suggest(typed, names);
  return usage(`unknown command "${typed}"${near === undefined ? '' : `: did you mean "${near}"?`}`);
}
