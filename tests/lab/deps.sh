#!/bin/bash
# Installs everything the node lab needs, with apt only. Safe to run again: when all of it is there
# already, nothing is fetched and the script is done in well under a second.
#
# Exit codes: 0 all there, 3 this machine cannot run the lab (the reason is printed), 1 anything else.
set -u
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

cannot() { echo "lab deps: CANNOT RUN HERE: $*" >&2; exit 3; }
say() { echo "lab deps: $*" >&2; }

command -v apt-get >/dev/null || cannot "no apt-get (the lab is written for a Debian machine)"
command -v dpkg-query >/dev/null || cannot "no dpkg-query"

# gcc/libc6-dev: the pause image. golang-go + dpkg-dev: the kubelet from Debian's source package.
# musl-tools: a static castoff binary.
PLAIN="mmdebstrap systemd-container e2fsprogs xfsprogs openssh-client golang-go dpkg-dev gcc libc6-dev
musl-tools busybox-static python3 ca-certificates debian-archive-keyring zstd xz-utils cpio kmod
util-linux procps curl rpm rpm2cpio man-db"
QEMU="qemu-system-x86 qemu-utils"

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
qemu_major() { qemu-system-x86_64 --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p'; }

missing=""
for p in $PLAIN $QEMU; do installed "$p" || missing="$missing $p"; done
major=$(qemu_major)
if [ -z "$missing" ] && [ "${major:-0}" -ge 9 ]; then
    exit 0
fi
# A machine that had to fall back to the stock emulator once must not try again on every call.
MARK=/var/tmp/castoff-lab-stock-qemu
if [ -z "$missing" ] && [ -e "$MARK" ]; then
    say "WARNING: still on the stock QEMU ${major:-?} (no backports when it was installed; rm $MARK to retry)"
    exit 0
fi

[ "$(id -u)" = 0 ] || cannot "not root, and these packages are missing:$missing"

. /etc/os-release
suite=${VERSION_CODENAME:-}
[ "${ID:-}" = debian ] && [ -n "$suite" ] || cannot "this is not Debian (${PRETTY_NAME:-unknown})"

# The archive this machine already uses is the only address taken for granted: first deb source for
# the running suite that is not the security archive (which has a layout of its own).
archive() {
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(CREATED_BY)' 2>/dev/null |
        awk -F'|' -v s="$suite" '$2 == s && $3 == "Packages" { print $1; exit }'
}

uri=$(archive)
[ -n "$uri" ] || cannot "no apt source for $suite is configured on this machine"
say "installing:${missing:- a newer QEMU}"
out=$(apt-get update 2>&1) || { echo "$out" >&2; cannot "apt-get update fails (no archive reachable?)"; }
# apt-get update exits 0 even when every index failed to download.
if echo "$out" | grep -q '^W: Failed to fetch\|^W: Some index files failed'; then
    say "WARNING: some indexes could not be fetched:"
    echo "$out" | grep '^W:' >&2
fi

want=""
for p in $PLAIN; do installed "$p" || want="$want $p"; done
if [ -n "$want" ]; then
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $want >/tmp/castoff-lab-deps.log 2>&1 ||
        { tail -20 /tmp/castoff-lab-deps.log >&2; cannot "apt-get install fails for:$want"; }
fi

# QEMU: 10 from backports where there is one. Bookworm's own 7.2 is slower in software emulation and
# once panicked a newer guest kernel with two processors.
if [ "${major:-0}" -lt 9 ]; then
    target=""
    cand=$(apt-cache policy qemu-system-x86 | sed -n 's/ *Candidate: [0-9]*:\([0-9]*\)\..*/\1/p')
    if [ "${cand:-0}" -lt 9 ]; then
        if ! apt-cache policy | grep -q "a=$suite-backports\|n=$suite-backports"; then
            file=/etc/apt/sources.list.d/castoff-lab-backports.sources
            say "adding $suite-backports from this machine's own mirror ($file)"
            {
                echo "# Written by castoff's tests/lab/deps.sh: a newer QEMU for the node lab."
                echo "Types: deb"
                echo "URIs: $uri"
                echo "Suites: $suite-backports"
                echo "Components: main"
                echo "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
            } >"$file"
            if ! apt-get update >/tmp/castoff-lab-deps.log 2>&1 ||
                grep -q "Failed to fetch.*backports" /tmp/castoff-lab-deps.log; then
                say "WARNING: the mirror has no usable $suite-backports:"
                tail -5 /tmp/castoff-lab-deps.log >&2
                rm -f "$file"
                apt-get update >/dev/null 2>&1
            fi
        fi
        apt-cache policy | grep -q "n=$suite-backports" && target="-t $suite-backports"
    fi
    # shellcheck disable=SC2086
    if ! apt-get install -y --no-install-recommends $target $QEMU >/tmp/castoff-lab-deps.log 2>&1; then
        tail -20 /tmp/castoff-lab-deps.log >&2
        say "WARNING: QEMU from backports does not install; falling back to the stock one"
        # shellcheck disable=SC2086
        apt-get install -y --no-install-recommends $QEMU >/tmp/castoff-lab-deps.log 2>&1 ||
            { tail -20 /tmp/castoff-lab-deps.log >&2; cannot "QEMU does not install"; }
    fi
    major=$(qemu_major)
    if [ "${major:-0}" -lt 9 ]; then
        say "WARNING: ################################################################"
        say "WARNING: QEMU is version ${major:-?}, not 10: slower, and newer guest kernels may panic."
        say "WARNING: ################################################################"
        : >"$MARK"
    else
        rm -f "$MARK"
    fi
fi

for c in mmdebstrap qemu-system-x86_64 qemu-img mkfs.ext4 systemd-nspawn ssh go dpkg-source python3; do
    command -v "$c" >/dev/null || cannot "$c is still missing after the installation"
done
say "ready: QEMU $(qemu_major), $(go version | cut -d' ' -f3), mmdebstrap $(mmdebstrap --version | cut -d' ' -f2)"
