#!/usr/bin/env bash
# npm start: sets up what is missing, then brings the farm up. Arguments go to `holdfast up`; examples/local.yaml unless they name a config.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
config=(--config "$root/examples/local.yaml")
for argument in "$@"; do
  case $argument in -c | --config | --config=*) config=() ;; esac
done
# exec: Ctrl-C and the exit status are the farm's own.
exec node "$root/dist/core/cli/main.js" up "${config[@]}" "$@"
