// The help texts, from the commands' own descriptions. Pure.
import type { Command, Described } from './command.js';
import type { Style } from './style.js';

export const description = 'A SIP back-to-back user agent whose calls outlive the servers that carry them';

/** Options of every command. */
export const globalOptions: readonly Described[] = [
  ['--json', 'print JSON, for scripts'],
  ['--subnet <network>', 'the farm on this /24, for example 127.41.0.0/24 (default: the config’s, else 127.40.0.0/24)'],
  ['--state <folder>', 'its state folder (default: /var/lib/holdfast/<subnet>)'],
  [
    '--config <file>',
    'config file (default: $HOLDFAST_CONFIG, ./holdfast.yaml, /etc/holdfast/holdfast.yaml, examples/local.yaml)',
  ],
  ['-h, --help', 'show help'],
  ['-v, --version', 'show the version'],
];

export function formatHelp(commands: readonly Command[], style: Style): string {
  const shown = commands.filter(({ internal }) => internal !== true);
  return [
    `${description}.\n`,
    `${style('bold', 'Usage:')} holdfast <command> [options]\n`,
    style('bold', 'Commands:'),
    ...columns(shown.map(({ usage, summary }) => [usage, summary])),
    `\n${style('bold', 'Options:')}`,
    ...columns(globalOptions),
    `\n${style('bold', 'Exit codes:')} 0 done, 1 failed, 2 usage`,
    'Help of one command: holdfast <command> --help\n',
  ].join('\n');
}

export function formatCommandHelp(command: Command, style: Style): string {
  const { actions = [], examples = [] } = command;
  return [
    `${style('bold', 'Usage:')} holdfast ${command.usage} [options]\n`,
    `${command.summary}.\n`,
    ...(actions.length === 0 ? [] : [style('bold', 'Actions:'), ...columns(actions), '']),
    style('bold', 'Options:'),
    ...columns([...(command.options ?? []), ...globalOptions]),
    ...exitCodeLines(command, style),
    ...(examples.length === 0 ? [] : [`\n${style('bold', 'Examples:')}`, ...examples.map(line => `  ${line}`)]),
    '',
  ].join('\n');
}

function exitCodeLines({ exitCodes }: Command, style: Style): readonly string[] {
  if (exitCodes === undefined) return [];
  return [
    `\n${style('bold', 'Exit codes beside 0, 1 and 2:')}`,
    ...columns(exitCodes.map(([code, meaning]) => [`${code}`, meaning])),
  ];
}

function columns(rows: readonly Described[]): readonly string[] {
  const width = Math.max(...rows.map(([first]) => first.length));
  return rows.map(([first, second]) => `  ${first.padEnd(width)}  ${second}`);
}
