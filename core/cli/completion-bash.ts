// The completion script for bash. Pure. It needs nothing of the bash-completion package, so it can be sourced by itself.
import type { CompletedCommand, CompletedOption, Completion, Parameter, ValueKind } from './completion.js';

export function formatBashCompletion({ commands, globals }: Completion): string {
  const all = [...globals, ...commands.flatMap(({ options }) => options)];
  const valued = all.filter(({ value }) => value !== undefined);
  const flags = [...new Set(valued.flatMap(option => option.flags))];
  return `# bash completion for holdfast, from its commands' own descriptions           -*- shell-script -*-

# Names of nodes and rooms and ids of calls are those of the farm that the command line is about.
_holdfast_live() {
  local name
  while read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$name")
  done < <(holdfast complete "$@" "\${farm[@]}" 2>/dev/null)
}

_holdfast_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_holdfast_paths() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' i word
  local -a farm=() parameters=()
  COMPREPLY=()
  # "--state=/x" comes as three words.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      ${flags.join(' | ')})
        i=$((i + 1))
        [[ \${COMP_WORDS[i]} == = ]] && i=$((i + 1))
        [[ $word == --subnet || $word == --state ]] && farm+=("$word" "\${COMP_WORDS[i]}")
        ;;
      -*) ;;
      *) if [[ -z $command ]]; then command=$word; else parameters+=("$word"); fi ;;
    esac
  done
  case $command:$prev in
${byKind([{ name: '*', options: globals }, ...commands])}
  esac
  if [[ $cur == -* ]]; then
    local options='${words(globals)}'
    case $command in
${commands
  .filter(({ options }) => options.length > 0)
  .map(({ name, options }) => `      ${name}) options+=' ${words(options)}' ;;`)
  .join('\n')}
    esac
    _holdfast_words "$options"
    return
  fi
  case $command:\${#parameters[@]}:\${parameters[0]} in
    :*) _holdfast_words '${commands.map(({ name }) => name).join(' ')}' ;;
${commands.flatMap(parameterCases).join('\n')}
  esac
}

complete -F _holdfast holdfast
`;
}

const reply: Readonly<Record<Exclude<ValueKind, 'free'>, string>> = {
  file: '_holdfast_paths -f',
  folder: '_holdfast_paths -d',
  node: '_holdfast_live nodes',
  call: '_holdfast_live calls',
  room: '_holdfast_live rooms',
  participant: '_holdfast_live participants "${parameters[1]}"',
};

function words(options: readonly CompletedOption[]): string {
  return options.flatMap(({ flags }) => flags).join(' ');
}

/** What stands after an option that takes a value is that value. */
function byKind(commands: readonly Pick<CompletedCommand, 'name' | 'options'>[]): string {
  const valued = commands.flatMap(({ name, options }) =>
    options.flatMap(({ flags, value }) =>
      value === undefined ? [] : flags.map(flag => [`${name}:${flag}`, value] as const),
    ),
  );
  const kinds = [...new Set(valued.map(([, value]) => value))];
  const cases = kinds.map(kind => {
    const options = valued.filter(([, value]) => value === kind).map(([option]) => option);
    return `    ${options.join(' | ')}) ${kind === 'free' ? '' : `${reply[kind]}; `}return ;;`;
  });
  return cases.join('\n');
}

/** What comes after an action of its own is tried first. */
function parameterCases({ name, parameters, afterAction }: CompletedCommand): readonly string[] {
  const own = Object.entries(afterAction).flatMap(([action, words]) =>
    words.slice(1).map((word, i) => `    ${name}:${i + 1}:${action}) ${replyTo(word)} ;;`),
  );
  // Those that end with the room have nothing after it.
  const ended = Object.entries(afterAction).flatMap(([action, { length }]) =>
    length < parameters.length ? [`    ${name}:*:${action}) ;;`] : [],
  );
  const usual = parameters.flatMap((word, i) => (word === 'free' ? [] : [`    ${name}:${i}:*) ${replyTo(word)} ;;`]));
  return [...own, ...ended, ...usual];
}

function replyTo(parameter: Parameter): string {
  if (typeof parameter === 'string') return parameter === 'free' ? '' : reply[parameter];
  return `_holdfast_words '${parameter.map(([word]) => word).join(' ')}'`;
}
