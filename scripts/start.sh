#!/usr/bin/env bash
# npm start: sets up what is missing, then brings the farm up with examples/local.yaml, unless the arguments (which all go to
# `holdfast up`) or HOLDFAST_CONFIG name another config.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh"
export HOLDFAST_CONFIG=${HOLDFAST_CONFIG:-$root/examples/local.yaml}
# exec: Ctrl-C and the exit status are the farm's own.
exec node "$root/dist/core/cli/main.js" up "$@"
