# Debian packages: which ones are needed, and how the missing ones get here without a service of theirs starting.

# What the farm runs. kamailio-tls-modules holds crypto.so; no kernel module of rtpengine is used.
FARM_PACKAGES='kamailio kamailio-extra-modules kamailio-tls-modules kamailio-utils-modules rtpengine-daemon nftables iproute2
  procps ca-certificates openssl libedit2 libjansson4 libxml2 libsqlite3-0 libsrtp2-1 libssl3 libcap2 libuuid1 libcap2-bin'
# What Asterisk is compiled with; wanted only while there is no build.
BUILD_PACKAGES='build-essential dpkg-dev autoconf automake pkg-config bzip2 xz-utils patch debian-archive-keyring libedit-dev
  uuid-dev libjansson-dev libxml2-dev libsqlite3-dev libssl-dev libsrtp2-dev libcap-dev'
TEST_PACKAGES='sip-tester tcpdump dnsmasq-base baresip-core linphone-cli systemd zsh mandoc groff-base debootstrap'
# Units that Debian enables when it installs the packages above; the farm runs processes of its own.
PACKAGE_UNITS='kamailio:kamailio.service rtpengine-daemon:rtpengine-daemon.service rtpengine-daemon:ngcp-rtpengine-daemon.service'

# missing_packages NAME...: those that are not installed, one a line.
missing_packages() {
  local installed
  installed=$(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^.i *//p' || true)
  comm -23 <(printf '%s\n' "$@" | sort -u) <(sort -u <<<"$installed")
}

# install_packages NAME...: progress while apt works; fails with a reason that can be acted on.
install_packages() {
  local -a names=("$@")
  doing "installing ${#names[@]} Debian packages: ${names[*]}"
  need_space /usr 1000 'Installing the packages'
  # Lists may be old or, in a container, absent. One unreachable third-party source must not stop us: the install decides.
  waiting 'reading the package lists' 10 apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 update || true
  hold_services
  waiting 'installing packages' $((20 + 3 * ${#names[@]})) env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l \
    apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 install --yes --no-install-recommends "${names[@]}" || {
    packages_failed
  }
  release_services
  disable_units "${names[@]}"
}

# A policy-rc.d that refuses every start (Debian's own way, see invoke-rc.d(8)), unless the machine has one of its own.
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# Of a holdfast set-up that is installing packages; it removes this file.'

hold_services() {
  if [[ -e $POLICY ]]; then return; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
  chmod 755 "$POLICY"
}

release_services() {
  if grep -qsF "$POLICY_MARK" "$POLICY"; then rm -f "$POLICY"; fi
}
exit_hooks+=(release_services)

# Only units of packages that we installed just now: what an operator enabled stays as it is. Removing the links is what
# `systemctl disable` does, and Debian's upgrades respect it; this way also where systemd is not running, or not there yet.
disable_units() {
  local entry name
  for name in "$@"; do
    for entry in $PACKAGE_UNITS; do
      if [[ ${entry%%:*} == "$name" ]]; then rm -f /etc/systemd/system/*.wants/"${entry#*:}"; fi
    done
  done
}

packages_failed() {
  local gone
  gone=$(recent_log | sed -nE "s/^E: (Unable to locate package |Package '?)([^' ]*).*/\2/p" | sort -u | tr '\n' ' ')
  if [[ -n $gone ]]; then
    fail "Debian's package sources on this machine do not have: $gone" \
      "Check that /etc/apt has bookworm's main component, run apt-get update, and then the same command again." "$HOLDFAST_LOG"
  fi
  fail "apt-get failed: $(reason_in_log)" "$(remedy_in_log)" "$HOLDFAST_LOG"
}
