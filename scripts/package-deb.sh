#!/usr/bin/env bash
# npm run package [-- FOLDER]: builds holdfast_VERSION_ARCH.deb into FOLDER (default: .build). It carries the program, this machine's
# Node.js, and the Asterisk and Kamailio's library that were built here, so that whoever installs it compiles and downloads nothing but Debian packages.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
source "$HOLDFAST_ROOT/scripts/setup.sh"

PACKAGING_PACKAGES='dpkg-dev chrpath'
packaging="$HOLDFAST_ROOT/packaging"
home=/usr/lib/holdfast
work=''

remove_work() { if [[ -n $work ]]; then rm -rf "$work"; fi; }
exit_hooks+=(remove_work)

# The same sources give the same package (reproducible-builds.org): its times are that of the last commit.
source_date() { git -C "$HOLDFAST_ROOT" log -1 --format=%ct 2>/dev/null || date +%s; }

version() { node -p 'require(process.argv[1]).version' "$HOLDFAST_ROOT/package.json"; }

# --- what the package carries, below $root ---

# place MODE FROM TO
place() { install -D --mode="$1" "$2" "$root$3"; }

# filled FILE: with what is known only here.
filled() {
  sed -e "s|@VERSION@|$(version)|" -e "s|@ARCHITECTURE@|$(dpkg --print-architecture)|" -e "s|@ASTERISK_VERSION@|$ASTERISK_VERSION|" \
    -e "s|@MAINTAINER@|${DEBFULLNAME:-Holdfast} <${DEBEMAIL:-holdfast@localhost}>|" -e "s|@DEPENDS@|${depends:-}|" \
    -e "s|@INSTALLED_SIZE@|${installed_size:-}|" -e "s|@FARM_USERS@|$FARM_USERS|" -e "s|@PACKAGE_UNITS@|$PACKAGE_UNITS|" "$1"
}

# Compiled files of the program and of what the demos need of the tests' harness; tests, source maps and caches stay here.
program_files() {
  mkdir -p "$root$home/dist/test"
  tar --directory "$HOLDFAST_ROOT/dist" --create --exclude='*.map' --exclude='*.tsbuildinfo' --exclude=./.built --exclude='./test/*' . |
    tar --directory "$root$home/dist" --extract --no-same-owner
  cp -r "$HOLDFAST_ROOT/dist/test/harness" "$root$home/dist/test/"
  find "$root$home/dist" -name '*.map' -delete
  cp -r "$HOLDFAST_ROOT/package.json" "$HOLDFAST_ROOT/examples" "$root$home/"
  place 755 "$(readlink -f "$(command -v node)")" "$home/bin/node"
  place 755 "$packaging/bin/holdfast" /usr/bin/holdfast
}

# Those that package-lock.json does not mark as for development; of compiled parts only what runs on this C library.
node_packages() {
  local folder
  node -p 'Object.entries(require(process.argv[1]).packages).filter(([path, { dev, devOptional }]) => path && !dev && !devOptional)
    .map(([path]) => path).filter(path => require("fs").existsSync(path)).join("\n")' "$HOLDFAST_ROOT/package-lock.json" |
    while read -r folder; do
      mkdir -p "$root$home/$folder"
      tar --directory "$HOLDFAST_ROOT/$folder" --create --exclude=./node_modules --exclude='*.musl.node' . |
        tar --directory "$root$home/$folder" --extract --no-same-owner
    done
  ln -s .. "$root$home/node_modules/holdfast"
}

# Its folders are all named in the asterisk.conf that Holdfast writes; only where its own libraries are is compiled in.
asterisk_files() {
  local prefix=$1 to=$root$home/asterisk
  mkdir -p "$to"
  cp -r "$prefix/lib" "$prefix/share" "$to/"
  place 755 "$prefix/sbin/asterisk" "$home/asterisk/sbin/asterisk"
  find "$to" -type f \( -name '*.so*' -o -name asterisk \) -exec chrpath --replace "$home/asterisk/lib" {} + >/dev/null
  mkdir -p "$root$home/.build"
  printf '{"prefix":"%s","version":"%s","key":"%s"}\n' "$home/asterisk" "$ASTERISK_VERSION" "$(basename "$prefix")" >"$root$home/.build/asterisk.json"
}

kamailio_files() {
  local library=$home/kamailio/tls-after-fork.so
  place 644 "$(tls_after_fork)" "$library"
  printf '{"tlsAfterFork":"%s"}\n' "$library" >"$root$home/.build/kamailio.json"
}

operator_files() {
  local main="$HOLDFAST_ROOT/dist/core/cli/main.js" docs=/usr/share/doc/holdfast
  # The first lines of the example speak of a checkout.
  {
    printf '# yaml-language-server: $schema=/usr/share/holdfast/holdfast.schema.json\n'
    cat "$packaging/debian/holdfast.yaml.head"
    sed '1,/^$/d' "$HOLDFAST_ROOT/examples/local.yaml"
  } >"$work/holdfast.yaml"
  place 640 "$work/holdfast.yaml" /etc/holdfast/holdfast.yaml
  place 640 "$packaging/debian/default" /etc/default/holdfast
  place 644 "$packaging/systemd/holdfast.service" /lib/systemd/system/holdfast.service
  place 644 "$HOLDFAST_ROOT/dist/holdfast.schema.json" /usr/share/holdfast/holdfast.schema.json
  node "$main" man | gzip -9n >"$work/holdfast.8.gz"
  place 644 "$work/holdfast.8.gz" /usr/share/man/man8/holdfast.8.gz
  node "$main" completion bash >"$work/completion"
  place 644 "$work/completion" /usr/share/bash-completion/completions/holdfast
  node "$main" completion zsh >"$work/completion"
  place 644 "$work/completion" /usr/share/zsh/vendor-completions/_holdfast
  filled "$packaging/debian/copyright" >"$work/copyright"
  place 644 "$work/copyright" $docs/copyright
  place 644 "$HOLDFAST_ROOT/LICENSE" $docs/LICENSE
  cp -r "$HOLDFAST_ROOT"/{README.md,docs,patches} "$root$docs/"
  install -d --mode=711 "$root/var/lib/holdfast"
}

# --- the package ---

# The shared libraries that the compiled files need, by the packages of this Debian; and the servers, which are run, not linked.
dependencies() {
  local -a objects
  mapfile -t objects < <(find "$root$home" -type f \( -name '*.so*' -o -name '*.node' -o -path '*/sbin/asterisk' -o -path '*/bin/node' \))
  mkdir -p "$work/shlibs/debian"
  printf 'Source: holdfast\n\nPackage: holdfast\nArchitecture: any\n' >"$work/shlibs/debian/control"
  local libraries
  libraries=$(cd "$work/shlibs" && dpkg-shlibdeps -O -l"$root$home/asterisk/lib" "${objects[@]/#/-e}" 2>>"$HOLDFAST_LOG" |
    sed -n 's/^shlibs:Depends=//p')
  [[ -n $libraries ]] || fail 'dpkg-shlibdeps found no libraries.' 'Mend what the log shows.' "$HOLDFAST_LOG"
  printf '%s, %s, passwd' "$(tr -s ' \n' '\n' <<<"$FARM_PACKAGES" | sed '/^$/d' | paste -sd, | sed 's/,/, /g')" "$libraries"
}

control_files() {
  local script
  install -d --mode=755 "$root/DEBIAN"
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
  depends=$(dependencies)
  installed_size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
  filled "$packaging/debian/control" >"$root/DEBIAN/control"
  printf '%s\n' /etc/holdfast/holdfast.yaml /etc/default/holdfast >"$root/DEBIAN/conffiles"
  for script in preinst postinst prerm postrm; do
    filled "$packaging/debian/$script" >"$root/DEBIAN/$script"
    chmod 755 "$root/DEBIAN/$script"
  done
  chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}
}

package() {
  local to=$1 prefix missing
  setup farm
  step_total=8
  step 'the package'
  mapfile -t missing < <(missing_packages $PACKAGING_PACKAGES)
  if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
  prefix=$(asterisk_prefix)
  SOURCE_DATE_EPOCH=$(source_date)
  export SOURCE_DATE_EPOCH
  work=$(mktemp -d "$HOLDFAST_ROOT/.build/package-XXXXXX")
  root=$work/root
  mkdir -p "$root" "$to"
  chmod 755 "$root"
  cd "$HOLDFAST_ROOT"
  program_files
  node_packages
  asterisk_files "$prefix"
  kamailio_files
  operator_files
  chmod -R go+rX,go-w "$root/usr" "$root/lib"
  control_files
  # zstd: Debian 12's dpkg reads it, and it takes seconds where xz takes minutes.
  logged dpkg-deb --root-owner-group -Zzstd --build "$root" "$to" || fail 'dpkg-deb failed.' 'Mend what the log shows.' "$HOLDFAST_LOG"
  printf '%s/holdfast_%s_%s.deb\n' "$to" "$(version)" "$(dpkg --print-architecture)"
}

umask 022
package "$(realpath -m "${1:-$HOLDFAST_ROOT/.build}")"
