#!/usr/bin/env bash
# Everything that is missing between a fresh clone and a farm that can start: Debian packages, system users, npm packages, Asterisk,
# a library for Kamailio, the compiled program. Idempotent; with nothing missing it takes well under a second. `--tests` adds what only the tests need.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
source "$HOLDFAST_ROOT/scripts/lib/packages.sh"
source "$HOLDFAST_ROOT/scripts/setup-asterisk.sh"
source "$HOLDFAST_ROOT/scripts/setup-kamailio.sh"

FARM_USERS='holdfast-kamailio holdfast-asterisk holdfast-rtpengine'
SOURCE_FOLDERS='core plugins kamailio asterisk rtpengine test'

# OS_RELEASE and EUID as parameters, so that a test can be another machine.
system_step() {
  local os_release=${1:-/etc/os-release} uid=${2:-$EUID}
  step 'this machine'
  [[ $uid == 0 ]] || fail 'this needs root: it installs packages, makes users and sets up addresses.' \
    'sudo env "PATH=$PATH" npm start      (or npm test)'
  local id version
  id=$(sed -n 's/^ID=//p' "$os_release" | tr -d '"')
  version=$(sed -n 's/^VERSION_ID=//p' "$os_release" | tr -d '"')
  if [[ $id != debian || $version != 12 ]] && [[ ${HOLDFAST_ANY_SYSTEM:-} != yes ]]; then
    fail "this is ${id:-an unknown system} ${version:-}, and only Debian 12 is known to work." \
      'Use Debian 12 (a container or a virtual machine will do), or try with HOLDFAST_ANY_SYSTEM=yes in the environment.'
  fi
  node_version "$(node --version 2>/dev/null || true)"
}

node_version() {
  local version=${1#v}
  [[ -n $version ]] || fail 'there is no `node` in the PATH.' 'Install Node.js 20 or later: https://nodejs.org/en/download'
  ((${version%%.*} >= 20)) || fail "Node.js is version $version." 'Install Node.js 20 or later: https://nodejs.org/en/download'
  command -v npm >/dev/null || fail 'there is no `npm` in the PATH.' 'Install it: it comes with Node.js from nodejs.org.'
}

packages_step() {
  local -a wanted missing
  step 'Debian packages'
  read -r -d '' -a wanted <<<"$FARM_PACKAGES" || true
  if ! asterisk_built "$(asterisk_prefix)"; then wanted+=($BUILD_PACKAGES); fi
  if [[ ! -e $(tls_after_fork) ]]; then wanted+=($KAMAILIO_BUILD_PACKAGES); fi
  if [[ $1 == tests ]]; then wanted+=($TEST_PACKAGES); fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
}

users_step() {
  local name
  step 'system users'
  for name in $FARM_USERS; do
    if getent passwd "$name" >/dev/null; then continue; fi
    doing "making $name"
    logged useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$name" ||
      fail "the user $name could not be made." 'Mend what the log shows, then run the same command again.' "$HOLDFAST_LOG"
  done
}

npm_step() {
  local lock="$HOLDFAST_ROOT/package-lock.json" installed="$HOLDFAST_ROOT/node_modules/.package-lock.json"
  step 'npm packages'
  if [[ -e $installed && ! $lock -nt $installed ]]; then return; fi
  doing 'npm ci'
  need_space "$HOLDFAST_ROOT" 500 'Installing the npm packages'
  # No package needs its install script: lmdb brings its compiled part along.
  waiting 'installing npm packages' 30 npm --prefix "$HOLDFAST_ROOT" ci --ignore-scripts --no-audit --no-fund --loglevel=warn ||
    fail "npm ci failed: $(reason_in_log)" "$(remedy_in_log)" "$HOLDFAST_LOG"
  # The examples import holdfast/testing as a package of its own would.
  ln -sfn .. "$HOLDFAST_ROOT/node_modules/holdfast"
  touch "$installed"
}

# True when a source is newer than the last build, or there was none. What the build itself writes does not count.
build_stale() {
  local built="$HOLDFAST_ROOT/dist/.built"
  [[ -e $built && -e $HOLDFAST_ROOT/dist/core/cli/main.js ]] || return 0
  local -a folders
  read -r -a folders <<<"$SOURCE_FOLDERS"
  [[ -n $(cd "$HOLDFAST_ROOT" && find "${folders[@]}" package.json tsconfig.json .build/asterisk.json scripts/generate-ari-types.mjs \
    -not -path 'asterisk/generated/*' \( -name '*.ts' -o -name '*.json' -o -name '*.mjs' \) -newer "$built" -print -quit) ]]
}

build_step() {
  step 'the program'
  build_stale || return 0
  doing 'compiling TypeScript'
  mkdir -p "$HOLDFAST_ROOT/dist"
  touch "$HOLDFAST_ROOT/dist/.building" # what is edited while the compiler runs is newer than this
  waiting 'compiling' 30 npm --prefix "$HOLDFAST_ROOT" run build ||
    fail "npm run build failed: $(reason_in_log)" "$(remedy_in_log)" "$HOLDFAST_LOG"
  mv "$HOLDFAST_ROOT/dist/.building" "$HOLDFAST_ROOT/dist/.built"
}

setup() {
  local purpose=$1
  step_total=7
  system_step
  mkdir -p "$HOLDFAST_CACHE/log" "$HOLDFAST_ROOT/.build"
  exec 8>"$HOLDFAST_ROOT/.build/setup.lock"
  flock --nonblock 8 || { note 'another set-up of this folder is running, waiting for it' && flock 8; }
  packages_step "$purpose"
  users_step
  npm_step
  asterisk_step
  kamailio_step
  build_step
  exec 8>&-
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  if [[ ${1:-} == --tests ]]; then setup tests; else setup farm; fi
fi
