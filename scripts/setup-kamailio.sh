#!/usr/bin/env bash
# Compiles the library that is preloaded into Kamailio (kamailio/tls-after-fork.c) into a file of the cache that is named after its
# source, and records it in .build/kamailio.json. In the cache, as Kamailio's user may not be let into the checkout.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"

KAMAILIO_BUILD_PACKAGES='gcc libc6-dev'
kamailio_record="$HOLDFAST_ROOT/.build/kamailio.json"

tls_after_fork_source() { printf '%s/kamailio/tls-after-fork.c' "$HOLDFAST_ROOT"; }

# The same source and the same command give the same file.
tls_after_fork() {
  local hash
  hash=$({ declare -f compile_tls_after_fork && cat "$(tls_after_fork_source)"; } | sha256sum)
  printf '%s/kamailio/tls-after-fork-%s.so' "$HOLDFAST_CACHE" "${hash:0:10}"
}

compile_tls_after_fork() { gcc -std=gnu11 -O2 -Wall -Werror -fPIC -shared -fvisibility=hidden -o "$2" "$1"; }

# The step as setup.sh runs it. Two set-ups at once write the same.
kamailio_step() {
  local library
  step "Kamailio's library for TLS"
  library=$(tls_after_fork)
  if [[ ! -e $library ]]; then
    doing 'compiling it'
    mkdir -p "$(dirname "$library")"
    logged compile_tls_after_fork "$(tls_after_fork_source)" "$library.$$" || fail 'the compiler failed.' 'Mend what the log shows, then run the same command again.' "$HOLDFAST_LOG"
    chmod 644 "$library.$$"
    mv "$library.$$" "$library"
  fi
  if grep -qsF "\"$library\"" "$kamailio_record"; then return; fi
  mkdir -p "$(dirname "$kamailio_record")"
  printf '{"tlsAfterFork":"%s"}\n' "$library" >"$kamailio_record.new"
  mv "$kamailio_record.new" "$kamailio_record"
}
