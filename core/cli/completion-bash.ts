// The completion script for bash. Pure. It needs nothing of the bash-completion package, so it can be sourced by itself.
import type { CompletedCommand, CompletedOption, Completion, ValueKind } from './completion.js';

export function formatBashCompletion({ commands, globals }: Completion): string {
  const all = [...globals, ...commands.flatMap(({ options }) => options)];
  const valued = all.filter(({ value }) => value !== undefined);
  const flags = [...new Set(valued.flatMap(option => option.flags))];
  return `# bash completion for holdfast, from its commands' own descriptions           -*- shell-script -*-

# Node names and call ids are those of the farm that the command line is about.
_holdfast_live() {
  local name
  while read -r name; do
    [[ $name == "$cur"* ]] && COMPREPLY+=("$name")
  done < <(holdfast complete "$1" "\${farm[@]}" 2>/dev/null)
}

_holdfast_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }

_holdfast_paths() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' parameters=0 i word
  local -a farm=()
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
      *) if [[ -z $command ]]; then command=$word; else parameters=$((parameters + 1)); fi ;;
    esac
  done
  case $prev in
${byKind(valued)}
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
  case $command:$parameters in
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
};

function words(options: readonly CompletedOption[]): string {
  return options.flatMap(({ flags }) => flags).join(' ');
}

/** What stands after an option that takes a value is that value. */
function byKind(valued: readonly CompletedOption[]): string {
  const kinds = [...new Set(valued.map(({ value }) => value ?? 'free'))];
  const cases = kinds.map(kind => {
    const flags = new Set(valued.filter(({ value }) => value === kind).flatMap(option => option.flags));
    return `    ${[...flags].join(' | ')}) ${kind === 'free' ? '' : `${reply[kind]}; `}return ;;`;
  });
  return cases.join('\n');
}

function parameterCases({ name, parameters }: CompletedCommand): readonly string[] {
  return parameters.flatMap((parameter, index) => {
    if (parameter === 'free') return [];
    const choices = typeof parameter === 'string' ? [] : parameter.map(([word]) => word);
    const answer = typeof parameter === 'string' ? reply[parameter] : `_holdfast_words '${choices.join(' ')}'`;
    return [`    ${name}:${index}) ${answer} ;;`];
  });
}
