#!/usr/bin/env bash
# Builds Asterisk from Debian's source package through the series in patches/, into a folder of the cache that is named after
# everything that went into it, and records that folder in .build/asterisk.json. With the build there, it does nothing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"

# The one place that pins the version. The checksum is that of the .dsc, which holds those of all other files.
ASTERISK_VERSION='1:22.10.1+dfsg+~cs6.17.60671434-1'
ASTERISK_DSC_SHA256='8799652c4e2fc4bb4d6610b0f7144a9945bcff847d0185fb10fca20de0533eb2'
ASTERISK_SUITE=forky

# What the build takes: seconds of each stage on two cores, the source files it compiles, and its room in MB. Only used to tell
# the user how far it is.
readonly STAGE_SECONDS='unpack=5 prepare=14 configure=55 pjproject=40 compile=115 install=4'
readonly COMPILED_FILES=420
readonly BUILD_MEGABYTES=2000

asterisk_patches="$HOLDFAST_ROOT/patches"
asterisk_modules="$HOLDFAST_ROOT/scripts/lib/asterisk-modules.txt"
asterisk_sources="$HOLDFAST_CACHE/source"
asterisk_record="$HOLDFAST_ROOT/.build/asterisk.json"

# One patch file name a line, in the order of patches/series.
patch_series() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$asterisk_patches/series"; }

# VERSION-HASH: the same key means the same build: the same source, patches, modules and build functions (without their comments).
# The cache folder is in it because the prefix is compiled in.
asterisk_key() {
  local upstream=${ASTERISK_VERSION#*:} hash
  hash=$({
    printf '%s\n' "$HOLDFAST_CACHE" "$ASTERISK_DSC_SHA256"
    wanted_modules
    declare -f unpack_source pack_pjproject prepare_tree configure_tree select_modules make_tree install_tree
    patch_series | while read -r name; do cat "$asterisk_patches/$name"; done
  } | sha256sum)
  printf '%s-%s' "${upstream%%+*}" "${hash:0:10}"
}

asterisk_prefix() { printf '%s/asterisk/%s' "$HOLDFAST_CACHE" "$(asterisk_key)"; }

# Build folders are renamed into place when they are complete, so being there is being whole.
asterisk_built() { [[ -x $1/sbin/asterisk ]]; }

record_asterisk() {
  local prefix=$1 record
  record=$(printf '{"prefix":"%s","version":"%s","key":"%s"}' "$prefix" "$ASTERISK_VERSION" "$(basename "$prefix")")
  if [[ -f $asterisk_record && $(<"$asterisk_record") == "$record" ]]; then return; fi
  mkdir -p "$(dirname "$asterisk_record")"
  printf '%s\n' "$record" >"$asterisk_record.new"
  mv "$asterisk_record.new" "$asterisk_record"
}

# --- the source ---

# The Debian mirror that this system itself uses.
debian_mirror() {
  local uri
  uri=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null | sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\).*/\1/p' |
    grep -E '/debian/?$' | head -n 1 || true)
  if [[ -z $uri ]]; then
    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
      sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' | grep -E '/debian/?$' | head -n 1 || true)
  fi
  [[ -n $uri ]] || fail 'no Debian mirror is named in /etc/apt/sources.list or sources.list.d.' \
    'Add one (a line "deb URI bookworm main"), then run the same command again.'
  printf '%s' "$uri"
}

asterisk_dsc() { printf '%s/asterisk_%s.dsc' "$asterisk_sources" "${ASTERISK_VERSION#*:}"; }

# The .dsc is the pinned one, and every file that it lists is there with its checksum.
source_complete() {
  local dsc
  dsc=$(asterisk_dsc)
  [[ -f $dsc ]] || return 1
  printf '%s  %s\n' "$ASTERISK_DSC_SHA256" "$dsc" | sha256sum --check --status || return 1
  (cd "$asterisk_sources" && sed -n '/^Checksums-Sha256:/,/^[^ ]/s/^ \([0-9a-f]\{64\}\) [0-9]* \(.*\)/\1  \2/p' "$dsc" |
    sha256sum --check --status)
}

# apt-get with a configuration of its own: the system's sources and package lists are neither read nor changed. A list that a
# mirror has not renewed for a while is good enough: signed it is, and what it leads to is pinned by checksum.
private_apt() {
  local apt=$1
  shift
  apt-get -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/sources" -o "Dir::State::Lists=$apt/lists" \
    -o "Dir::Cache=$apt/cache" -o APT::Get::List-Cleanup=0 -o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 -o Acquire::http::Timeout=20 "$@"
}

fetch_source() {
  if source_complete; then return; fi
  note "downloading Asterisk's source package (13 MB)"
  local apt=$asterisk_work/apt mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(debian_mirror)
  [[ -f $keyring ]] || fail "$keyring, with which Debian's packages are verified, is missing." 'apt-get install debian-archive-keyring'
  mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial" "$asterisk_sources"
  printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$ASTERISK_SUITE" "$keyring" \
    >"$apt/sources/asterisk.sources"
  logged private_apt "$apt" update --error-on=any || fail "the package list of $mirror ($ASTERISK_SUITE) could not be read." \
    'Check that this machine reaches the mirror (network, DNS, proxy in apt.conf), then run the same command again.' "$HOLDFAST_LOG"
  (cd "$asterisk_sources" && logged private_apt "$apt" source --download-only "asterisk=$ASTERISK_VERSION") ||
    source_gone "$mirror" "$(offered_versions "$apt")"
  source_complete || fail 'the downloaded source is not the one that this version of the project was made for (checksum).' \
    "Remove $asterisk_sources and run the same command again." "$HOLDFAST_LOG"
}

# offered_versions LISTS: those in the package list, without a word of apt's in the log.
offered_versions() {
  apt-cache -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$1/sources" -o "Dir::State::Lists=$1/lists" \
    -o "Dir::Cache=$1/cache" showsrc --only-source asterisk 2>/dev/null | sed -n 's/^Version: //p' | sort -u | tr '\n' ' ' | sed 's/ $//' || true
}

# source_gone MIRROR VERSIONS
source_gone() {
  local name=${ASTERISK_VERSION#*:}
  fail "asterisk $ASTERISK_VERSION could not be downloaded from $1 ($ASTERISK_SUITE); Debian may have replaced it by a later one." \
    "Update this project; or fetch asterisk_$name.dsc and the files it lists from https://snapshot.debian.org/package/asterisk/ into
              $asterisk_sources (their checksums are verified) and run the same command again;
              or pin another version: ASTERISK_VERSION and ASTERISK_DSC_SHA256 at the top of scripts/setup-asterisk.sh
              (the suite has now: ${2:-unknown}), on which patches/ must still apply." "$HOLDFAST_LOG"
}

# --- progress ---

stage=''
stage_started=0
build_started=0
stages_done=0

stage_seconds() { sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" <<<"$STAGE_SECONDS"; }

begin_stage() {
  if [[ -n $stage ]]; then stages_done=$((stages_done + $(stage_seconds "$stage"))); else build_started=$SECONDS; fi
  stage=$1
  stage_started=$SECONDS
}

# estimate WHAT THOUSANDTHS_OF_STAGE: the whole build's percentage, and the time left judged by this machine's speed so far.
estimate() {
  local whole=0 item points elapsed left='' stage_length
  for item in $STAGE_SECONDS; do whole=$((whole + ${item#*=})); done
  stage_length=$(stage_seconds "$stage")
  points=$(((stages_done * 1000 + stage_length * $2) / whole)) # thousandths of the whole
  elapsed=$((SECONDS - build_started))
  if ((points > 50)); then left=$((elapsed * (1000 - points) / points)); else left=$((whole - elapsed)); fi
  ((left > 5)) || left=5
  progress "$(printf '%3d%%  %s, about %s left' $((points / 10)) "$1" "$(duration "$left")")"
}

# watched STAGE COUNT_COMMAND TEXT FUNCTION...: runs FUNCTION, its output in the log, and shows TEXT with an estimate each second.
# COUNT_COMMAND prints the stage's thousandths; `clock` judges by time alone. In TEXT, {} is what COUNT_COMMAND printed second.
# FUNCTION runs in a shell of its own because `set -e` is void in whatever is called before an `||`.
watched() {
  local count=$2 text=$3 pid thousandths detail
  begin_stage "$1"
  shift 3
  logged "$BASH" "${BASH_SOURCE[0]}" --stage "$@" &
  pid=$!
  asterisk_child=$pid
  while kill -0 "$pid" 2>/dev/null; do
    read -r thousandths detail < <("$count") || true
    estimate "${text//\{\}/$detail}" "$thousandths"
    sleep 1
  done
  asterisk_child=''
  wait "$pid"
}

clock() {
  local part=$(((SECONDS - stage_started) * 1000 / $(stage_seconds "$stage")))
  echo $((part > 950 ? 950 : part)) ''
}

compiled() {
  local files
  files=$(tail -c "+$log_start" "$HOLDFAST_LOG" | grep -c '\[CC\]' || true)
  echo $((files > COMPILED_FILES ? 1000 : files * 1000 / COMPILED_FILES)) "$files of $COMPILED_FILES"
}

# --- the build ---

unpack_source() {
  dpkg-source --no-check --extract "$(asterisk_dsc)" "$1"
  local name
  cd "$1"
  patch_series | while read -r name; do
    echo "patch $name"
    patch --strip=1 --forward --batch --no-backup-if-mismatch <"$asterisk_patches/$name"
  done
}

# As debian/rules does: pjproject is in the source package as a folder, and Asterisk's configure wants it as a tar file.
pack_pjproject() {
  local md5 version
  md5=$(echo third-party/pjproject/pjproject-*.tar.bz2.md5)
  version=${md5#*pjproject-}
  version=${version%.tar.bz2.md5}
  mkdir -p externals
  ln -sfn ../Xpjproject "externals/pjproject-$version"
  (cd externals && tar --create "pjproject-$version"/* | bzip2 --fast >"pjproject-$version.tar.bz2" &&
    md5sum "pjproject-$version.tar.bz2") >"$md5"
}

prepare_tree() {
  cd "$1"
  pack_pjproject
  ./bootstrap.sh
  # Else the first make starts with a clean, which configures pjproject a second time.
  cp .cleancount .lastclean
}

configure_tree() {
  cd "$1"
  # The Debian tree has a program `fetch` that always fails: nothing is ever downloaded by the build itself.
  chmod 755 debian/dummyprogs/fetch
  PATH=$PATH:$PWD/debian/dummyprogs ./configure --prefix="$2" --sysconfdir="$2/etc" --localstatedir="$2/var" \
    --with-pjproject-bundled --with-externals-cache="$PWD/externals" --without-x11 --without-gtk2 --without-libxslt
  make menuselect.makeopts
  select_modules
}

select_modules() {
  local category name
  local -a choice=()
  for category in ADDONS APPS BRIDGES CDR CEL CHANNELS CODECS FORMATS FUNCS PBX RES TESTS UTILS AGIS CORE_SOUNDS MOH EXTRA_SOUNDS; do
    choice+=(--disable-category "MENUSELECT_$category")
  done
  # BUILD_NATIVE would tie the build to this very processor; the test framework slows Asterisk's taskprocessors and hides races.
  choice+=(--disable BUILD_NATIVE --disable TEST_FRAMEWORK)
  while read -r name; do choice+=(--enable "$name"); done < <(wanted_modules)
  menuselect/menuselect "${choice[@]}" menuselect.makeopts
}

wanted_modules() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$asterisk_modules"; }

# -g1: a core file still gives function names and lines.
make_tree() {
  cd "$1"
  shift
  make -j"$(nproc)" OPTIMIZE=-O2 DEBUG=-g1 "$@"
}

install_tree() {
  local tree=$1 stage_root=$2 prefix=$3 name missing=''
  cd "$tree"
  make OPTIMIZE=-O2 DEBUG=-g1 DESTDIR="$stage_root" install
  for name in $(wanted_modules); do
    [[ -f $stage_root$prefix/lib/asterisk/modules/$name.so ]] || missing+=" $name"
  done
  if [[ -n $missing ]]; then
    echo "not built:$missing"
    return 1
  fi
  rm -rf "$stage_root$prefix/include" "$stage_root$prefix/share/man"
  cp COPYING LICENSE "$stage_root$prefix/share/asterisk/"
  chmod -R go+rX "$stage_root$prefix"
}

stage_failed() {
  fail "$1" "Look at the log; when it is not plain from there, remove $asterisk_sources and run the same command again." "$HOLDFAST_LOG"
}

build_asterisk() {
  local prefix=$1 tree=$asterisk_work/tree root=$asterisk_work/root
  need_space "$HOLDFAST_CACHE" "$BUILD_MEGABYTES" 'Building Asterisk'
  fetch_source
  log_start=$(($(stat -c %s "$HOLDFAST_LOG" 2>/dev/null || echo 0) + 1))
  watched unpack clock 'unpacking and patching' unpack_source "$tree" || stage_failed 'a patch of the series, or the unpacking, failed.'
  watched prepare clock 'preparing' prepare_tree "$tree" || stage_failed "Asterisk's bootstrap failed."
  watched configure clock 'configuring' configure_tree "$tree" "$prefix" || stage_failed "Asterisk's configure failed."
  watched pjproject clock 'compiling pjproject' make_tree "$tree" third-party || stage_failed 'the compiler failed in pjproject.'
  watched compile compiled 'compiling Asterisk, {} files' make_tree "$tree" || stage_failed 'the compiler failed.'
  watched install clock 'installing' install_tree "$tree" "$root" "$prefix" || stage_failed 'the installation failed.'
  progress_end
  mv -T "$root$prefix" "$prefix"
}

asterisk_work=''
asterisk_child=''

# However it ends: no compiler is left running, and no half of a build lies about.
stop_build() {
  local pid
  if [[ -n $asterisk_child ]]; then
    for pid in $(descendants "$asterisk_child"); do kill -TERM "$pid" 2>/dev/null || true; done
  fi
  if [[ -n $asterisk_work ]]; then rm -rf "$asterisk_work"; fi
}
exit_hooks+=(stop_build)

descendants() {
  local child
  for child in $(pgrep -P "$1" || true); do descendants "$child"; done
  echo "$1"
}

# The step as setup.sh runs it.
asterisk_step() {
  local prefix
  step 'Asterisk'
  prefix=$(asterisk_prefix)
  if ! asterisk_built "$prefix"; then
    mkdir -p "$HOLDFAST_CACHE/asterisk"
    exec 9>"$HOLDFAST_CACHE/asterisk/.lock"
    if ! flock --nonblock 9; then
      note 'another set-up is building it, waiting for that'
      flock 9
    fi
    if ! asterisk_built "$prefix"; then build_in_workplace "$prefix"; fi
    exec 9>&-
  fi
  record_asterisk "$prefix"
}

build_in_workplace() {
  local started=$SECONDS
  doing "building $(basename "$1") with $(patch_series | wc -l) patch(es) of ours, log in $HOLDFAST_LOG"
  rm -rf "$HOLDFAST_CACHE"/asterisk/.work-* # of a set-up that was killed: we hold the lock
  asterisk_work=$(mktemp -d "$HOLDFAST_CACHE/asterisk/.work-XXXXXX")
  chmod 755 "$asterisk_work"
  build_asterisk "$1"
  rm -rf "$asterisk_work"
  note "built in $(duration $((SECONDS - started)))"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  if [[ ${1:-} == --stage ]]; then
    shift
    "$@"
    exit
  fi
  step_total=1
  asterisk_step
  cat "$asterisk_record"
fi
