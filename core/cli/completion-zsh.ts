// The completion script for zsh. Pure.
import type { CompletedCommand, CompletedOption, Completion, Parameter, ValueKind } from './completion.js';

export function formatZshCompletion({ commands, globals }: Completion): string {
  return `#compdef holdfast
# zsh completion for holdfast, from its commands' own descriptions

# Names of nodes and rooms and ids of calls are those of the farm that the command line is about.
_holdfast_live() {
  local -a farm names
  local i
  for ((i = 2; i < $#typed; i++)); do
    case $typed[i] in
      --subnet | --state) farm+=($typed[i] $typed[i+1]) ;;
      --subnet=* | --state=*) farm+=($typed[i]) ;;
    esac
  done
  names=(\${(f)"$(holdfast complete "$@" $farm 2>/dev/null)"})
  compadd -a names
}

_holdfast() {
  local context state state_descr line
  local -a typed=("\${(Q)words[@]}")
  typeset -A opt_args
  local -a globals=(
${indented(4, globals.flatMap(optionSpecs))}
  )
  _arguments -C $globals '(-): :->command' '(-)*:: :->parameters' && return
  case $state in
    command)
      local -a commands=(
${indented(
  8,
  commands.map(({ name, summary }) => quoted(`${name}:${escaped(summary)}`)),
)}
      )
      _describe -t commands command commands
      ;;
    parameters)
      case $words[1] in
${indented(
  8,
  commands.flatMap(one => commandCase(one).split('\n')),
)}
      esac
      ;;
  esac
}

if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`;
}

/** A space in front: _arguments calls the function with the words given here alone. */
const actionOf: Readonly<Record<ValueKind, string>> = {
  file: '_files',
  folder: '_files -/',
  node: ' _holdfast_live nodes',
  call: ' _holdfast_live calls',
  room: ' _holdfast_live rooms',
  participant: ' _holdfast_live participants $line[2]',
  free: '',
};

function commandCase(command: CompletedCommand): string {
  const { name, parameters, afterAction } = command;
  const own = Object.entries(afterAction).map(([action, words]) => `${action}) ${argumentsOf(command, words)} ;;`);
  const usual = argumentsOf(command, parameters);
  if (own.length === 0) return `${name}) ${usual} ;;`;
  return [`${name})`, '  case $words[2] in', ...[...own, `*) ${usual} ;;`].map(one => `    ${one}`), '  esac ;;'].join(
    '\n',
  );
}

function argumentsOf({ options }: CompletedCommand, parameters: readonly Parameter[]): string {
  const specs = parameters.map((parameter, index) => {
    const action =
      typeof parameter === 'string'
        ? actionOf[parameter]
        : `((${parameter.map(([word, summary]) => `${word}\\:"${escaped(summary)}"`).join(' ')}))`;
    return quoted(`${index + 1}:${typeof parameter === 'string' ? parameter : 'action'}:${action}`);
  });
  return `_arguments ${['$globals', ...options.flatMap(optionSpecs), ...specs].join(' ')}`;
}

/** `--flag=` takes `--flag value` and `--flag=value`. */
function optionSpecs({ flags, summary, value }: CompletedOption): readonly string[] {
  const [equals, suffix] = value === undefined ? ['', ''] : ['=', `:${value}:${actionOf[value]}`];
  return flags.map(flag => quoted(`${flag}${equals}[${escaped(summary)}]${suffix}`));
}

/** For the description in a spec of _arguments and _describe. */
function escaped(text: string): string {
  return text.replace(/[\\[\]:"`$]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function indented(spaces: number, lines: readonly string[]): string {
  return lines.map(line => `${' '.repeat(spaces)}${line}`).join('\n');
}
