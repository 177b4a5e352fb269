# How every script here talks: numbered steps, one live progress line, and failures that say which step, why and what to do.
# Sourced, never run. Callers set `set -euo pipefail`.

HOLDFAST_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HOLDFAST_CACHE=${HOLDFAST_CACHE:-/var/cache/holdfast}
HOLDFAST_LOG=${HOLDFAST_LOG:-$HOLDFAST_CACHE/log/setup.log}

# What must be undone however the script ends: functions, called in order.
exit_hooks=()
run_exit_hooks() {
  local hook
  trap - INT TERM HUP
  for hook in "${exit_hooks[@]}"; do "$hook" || true; done
}
trap run_exit_hooks EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step_number=0
step_total=${step_total:-0}
step_name=''

# step NAME: what the lines after it, and a failure, belong to. Printed by `doing` only, so a step with nothing to do is silent.
step() {
  step_number=$((step_number + 1))
  step_name=$1
}

# doing WHAT: the current step has something to do.
doing() { printf '[%d/%d] %s: %s\n' "$step_number" "$step_total" "$step_name" "$1"; }

note() { printf '      %s\n' "$1"; }

# fail WHY WHAT_TO_DO [LOG]: ends the script; with LOG, its last lines are shown.
fail() {
  local why=$1 remedy=$2 log=${3:-}
  progress_end
  {
    printf '\nSetup failed in step %d of %d, %s.\n' "$step_number" "$step_total" "$step_name"
    printf '  Why:        %s\n' "$why"
    printf '  What to do: %s\n' "$remedy"
    if [[ -n $log && -s $log ]]; then
      printf '  Log:        %s, which ends with\n' "$log"
      tail -n 12 "$log" | cut -c1-200 | sed 's/^/    | /'
    fi
  } >&2
  exit 1
}

# logged COMMAND...: its output goes to the log only.
logged() {
  mkdir -p "$(dirname "$HOLDFAST_LOG")"
  printf '\n### %s  %s\n' "$(date -Is)" "$*" >>"$HOLDFAST_LOG"
  "$@" >>"$HOLDFAST_LOG" 2>&1
}

# progress TEXT: on a terminal one line that is drawn over; elsewhere a line every 15 seconds, so that a CI log stays readable.
progress_last=-100
progress_open=''
progress() {
  if [[ -t 1 ]]; then
    printf '\r\033[K      %s' "$1"
    progress_open=yes
  elif ((SECONDS - progress_last >= 15)); then
    note "$1"
    progress_last=$SECONDS
  fi
}

progress_end() {
  if [[ -n $progress_open ]]; then printf '\r\033[K'; fi
  progress_open=''
  progress_last=-100
}

# duration SECONDS: how one would say it.
duration() {
  local seconds=$1
  if ((seconds < 90)); then
    printf '%d s' $(((seconds + 4) / 5 * 5))
  else
    printf '%d min' $(((seconds + 30) / 60))
  fi
}

# free_megabytes FOLDER: on the file system that FOLDER is, or will be, on.
free_megabytes() {
  local folder=$1
  while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
  df --output=avail -BM "$folder" | tail -n 1 | tr -dc '0-9'
}

# need_space FOLDER MEGABYTES WHAT_FOR
need_space() {
  local free
  free=$(free_megabytes "$1")
  ((free >= $2)) || fail "$3 needs $2 MB in $1, and $free MB are free." \
    "Free some space, or set HOLDFAST_CACHE to a folder on a larger disk."
}

# waiting TEXT SECONDS COMMAND...: runs COMMAND, its output in the log, and shows how long it has run of about SECONDS.
waiting() {
  local text=$1 seconds=$2 started=$SECONDS pid status=0 left
  shift 2
  logged "$@" &
  pid=$!
  waiting_child=$pid
  while kill -0 "$pid" 2>/dev/null; do
    left=$((seconds - (SECONDS - started)))
    progress "$text, about $(duration $((left > 5 ? left : 5))) left"
    sleep 0.5
  done
  wait "$pid" || status=$?
  waiting_child=''
  progress_end
  return "$status"
}

# Interrupted: a package manager that is stopped halfway leaves a mess, so its step is let finish.
waiting_child=''
await_child() {
  if [[ -z $waiting_child ]]; then return; fi
  progress_end
  note 'interrupted; letting the running installation finish'
  wait "$waiting_child"
}
exit_hooks+=(await_child)

# What the last logged command wrote.
recent_log() { tac "$HOLDFAST_LOG" 2>/dev/null | sed '/^### /q' | tac; }

# The reason of the last logged command's failure, as far as its words tell, and what to do about it.
failure_kind() {
  local words
  words=$(recent_log)
  if grep -qiE 'no space left|ENOSPC|not enough free space' <<<"$words"; then
    echo disk
  elif grep -qiE 'could not resolve|temporary failure|unable to connect|could not connect|connection (timed out|refused)|failed to fetch|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ENETUNREACH' <<<"$words"; then
    echo network
  elif grep -qiE 'could not get lock|unable to acquire the dpkg' <<<"$words"; then
    echo lock
  else
    echo other
  fi
}

reason_in_log() {
  case $(failure_kind) in
    disk) echo 'the disk is full.' ;;
    network) echo 'the network, or the server that it asked, could not be reached.' ;;
    lock) echo 'another package manager is at work.' ;;
    *) echo 'see the end of the log.' ;;
  esac
}

remedy_in_log() {
  case $(failure_kind) in
    disk) echo 'Free some space, then run the same command again.' ;;
    network) echo 'Check network, DNS and proxy settings (apt.conf, npm config), then run the same command again.' ;;
    lock) echo 'Wait until it has finished, then run the same command again.' ;;
    *) echo 'Mend what the log shows, then run the same command again; what is done already is not done twice.' ;;
  esac
}
