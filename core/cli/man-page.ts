// The manual page holdfast(8), from the commands' own descriptions: man(7) macros. Pure.
import type { Command, Described } from './command.js';
import { description, globalOptions } from './help.js';

const environment: readonly Described[] = [
  ['HOLDFAST_CONFIG', 'the config file where none is named'],
  ['HOLDFAST_ASTERISK', 'installation prefix of another build of Asterisk'],
  ['NO_COLOR', 'no colours, whatever the terminal'],
];

const files: readonly Described[] = [
  ['/etc/holdfast/holdfast.yaml', 'the config of the system service'],
  ['/etc/default/holdfast', 'environment of the service: secrets that the config names as ${NAME}'],
  ['/var/lib/holdfast/<subnet>/', 'state of a farm: its key, its calls, its call records, its servers’ files and logs'],
  ['/run/holdfast/farm', 'leads to the state of the farm that the service runs'],
];

export function formatManPage(commands: readonly Command[], version: string, date: Date): string {
  const day = date.toISOString().slice(0, 10);
  return [
    `.TH HOLDFAST 8 ${day} "holdfast ${version}" "System administration"`,
    '.SH NAME',
    `holdfast \\- ${text(description)}`,
    ...['.SH SYNOPSIS', '.B holdfast', '.I command', '.RI [ options ]'],
    '.SH COMMANDS',
    ...commands.filter(({ internal }) => internal !== true).flatMap(commandSection),
    '.SH OPTIONS',
    'Of every command.',
    ...described(globalOptions),
    '.SH EXIT STATUS',
    ...described([
      ['0', 'done'],
      ['1', 'failed'],
      ['2', 'usage'],
    ]),
    '.SH ENVIRONMENT',
    ...described(environment),
    '.SH FILES',
    ...described(files),
    '.SH SEE ALSO',
    seeAlso(['kamailio 8', 'rtpengine 8', 'nft 8', 'systemctl 1']),
    '',
  ].join('\n');
}

function commandSection(command: Command): readonly string[] {
  const { usage, summary, actions = [], options = [], exitCodes = [], examples = [] } = command;
  const codes: readonly Described[] = exitCodes.map(([code, meaning]) => [`exit status ${code}`, meaning]);
  return [
    `.SS ${quoted(usage)}`,
    `${text(summary)}.`,
    ...described([...actions, ...options, ...codes]),
    ...(examples.length === 0 ? [] : ['.PP', '.EX', ...examples.map(line => `  ${text(line)}`), '.EE']),
  ];
}

function described(rows: readonly Described[]): readonly string[] {
  return rows.flatMap(([word, meaning]) => ['.TP', `.B ${quoted(word)}`, text(meaning)]);
}

function seeAlso(pages: readonly string[]): string {
  const lines = pages.map((page, index) => {
    const [name = '', section = ''] = page.split(' ');
    return `.BR ${name} (${section})${index < pages.length - 1 ? ' ,' : ''}`;
  });
  return lines.join('\n');
}

/** One argument of a macro. */
function quoted(word: string): string {
  return `"${text(word).replaceAll('"', '\\(dq')}"`;
}

/** Running text as roff takes it literally (groff_char(7)): a hyphen that is typed stays one, and no line is a request. */
function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
    .replace(/[^\x00-\x7f]/gu, char => `\\[u${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`);
}
