#!/usr/bin/env bash
# npm test: sets up what is missing, also what only tests need, then runs them. Arguments choose: `npm test -- unit`, `npm test -- e2e/calls`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/scripts/setup.sh" --tests
cd "$root"
exec node scripts/run-tests.mjs "$@"
