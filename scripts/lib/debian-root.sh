#!/usr/bin/env bash
# debian-root.sh FOLDER: a bare Debian 12 in FOLDER, as debootstrap makes it, with systemd. It is made once, and again when this file has changed, and kept in the cache.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/say.sh"
source "$HOLDFAST_ROOT/scripts/setup-asterisk.sh"

keep=$HOLDFAST_CACHE/debian
tarball=$keep/bookworm-$(dpkg --print-architecture)-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c1-10).tar

make_tarball() {
  local root
  root=$(mktemp -d "$keep/.root-XXXXXX")
  # Nobody misses what a power loss takes of it: dpkg need not wait for the disk.
  if DPKG_FORCE=unsafe-io debootstrap --variant=minbase --include=systemd,systemd-sysv,ca-certificates bookworm "$root" "$(debian_mirror)" &&
    rm -rf "$root"/var/cache/apt/archives/*.deb && tar --directory "$root" --create --file "$tarball.new" .; then
    rm -f "$keep"/bookworm-*.tar
    mv "$tarball.new" "$tarball"
  fi
  rm -rf "$root" "$tarball.new"
  [[ -f $tarball ]]
}

mkdir -p "$keep/archives/partial"
exec 9>"$keep/.lock"
flock 9
[[ -f $tarball ]] || make_tarball
exec 9>&-
tar --directory "$1" --extract --file "$tarball"
# A folder made by mktemp is for its owner only, and no user of the farm could pass the root of this one.
chmod 755 "$1"
# As this machine reaches the mirror, so does that one.
cp /etc/resolv.conf /etc/hosts "$1/etc/"
apt-config dump | grep -i '^Acquire::.*proxy' >"$1/etc/apt/apt.conf.d/90proxy" || true
echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
