# The packages as an administrator meets them: installed, used, removed, purged; and a removal in the middle of a run.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be packaged"

ROOT=$(cd "$LAB_DIR/../.." && pwd)
PACKAGES=$LAB_RESULTS/packages
if ! "$ROOT/packaging/build" --binary "$CASTOFF_BIN" --fast --only deb,rpm --out "$PACKAGES" >"$LAB_RESULTS/build.log" 2>&1; then
    tail -n 15 "$LAB_RESULTS/build.log" | sed 's/^/       | /'
    die "packaging/build makes the packages"
fi
DEB=$(echo "$PACKAGES"/castoff_*.deb)
RPM=$(echo "$PACKAGES"/castoff-*.rpm)
VERSION=$("$CASTOFF_BIN" --version)
note "$(basename "$DEB"), $(stat -c %s "$DEB") bytes, of an unoptimised castoff"

# -- what is in them ---------------------------------------------------------------------------------------------------

UNPACKED=$LAB_RESULTS/unpacked
WANTED="usr/bin/castoff usr/lib/systemd/system/castoff-verify.timer usr/share/man/man8/castoff.8.gz usr/share/man/man8/castoff-migrate.8.gz
    usr/share/man/man5/castoff-profile.5.gz usr/share/man/man5/castoff-report.5.gz
    usr/share/bash-completion/completions/castoff usr/share/fish/vendor_completions.d/castoff.fish
    usr/share/doc/castoff/copyright usr/share/doc/castoff/examples/profile.toml
    usr/share/ansible/collections/ansible_collections/castoff/node/galaxy.yml"
holds() { # holds FOLDER FILE...
    local folder=$1 file bad=0; shift
    for file; do [ -s "$folder/$file" ] || { echo "there is no $file"; bad=1; }; done
    return $bad
}
unpack_rpm() { mkdir -p "$UNPACKED/rpm" && rpm2cpio "$RPM" | (cd "$UNPACKED/rpm" && cpio -idm --quiet); }
same_program() { cmp "$CASTOFF_BIN" "$UNPACKED/$1/usr/bin/castoff"; }
finds_page() { MANPATH=$UNPACKED/deb/usr/share/man man -w "$1" "$2" && MANPATH=$UNPACKED/deb/usr/share/man man --warnings "$1" "$2" | grep -q EXAMPLES; }

mkdir -p "$UNPACKED"
check "the .deb can be unpacked" dpkg-deb -x "$DEB" "$UNPACKED/deb"
# shellcheck disable=SC2086
check "it has program, pages, completions, example and collection" holds "$UNPACKED/deb" $WANTED usr/share/zsh/vendor-completions/_castoff
check "its program is the one that was packaged" same_program deb
check "man finds castoff-migrate(8)" finds_page 8 castoff-migrate
check "man finds castoff-profile(5)" finds_page 5 castoff-profile

if command -v rpm2cpio >/dev/null && command -v rpm >/dev/null; then
    check "the .rpm's digests are right" rpm -K --nosignature "$RPM"
    check "it can be unpacked" unpack_rpm
    # shellcheck disable=SC2086
    check "it has the same files" holds "$UNPACKED/rpm" $WANTED usr/share/zsh/site-functions/_castoff
    check "its program is the one that was packaged" same_program rpm
    check "its list names nothing outside /usr" bash -c 'rpm -qlp --nosignature "$1" | (! grep -v "^/usr/")' _ "$RPM"
    check "it refuses to go while a run is open" bash -c 'rpm -qp --nosignature --scripts "$1" | grep -q may_remove' _ "$RPM"
else
    note "rpm and rpm2cpio are not on this machine: the .rpm was not looked at"
fi

# -- on nodes ----------------------------------------------------------------------------------------------------------

# Everything but what dpkg, apt, the journal and the node's pods write for themselves.
list() {
    on "$1" "find /usr /etc /opt /var/lib -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/docker \
        -o -path /var/lib/containerd -o -path /var/lib/kubelet -o -path /var/lib/cni -o -path /var/lib/systemd -o -path /var/lib/private \) -prune -o -print | sort" >"$LAB_RESULTS/$2"
}
# The images leave pages and documentation out of every package; here they are what is looked at.
install_deb() { on "$1" "dpkg -i --path-include='/usr/share/man/*' --path-include='/usr/share/doc/*' --path-include='/usr/share/lintian/*' /root/castoff.deb"; }
completes() { # completes NODE WORDS... EXPECTED
    on "$1" "bash --norc -c 'source /usr/share/bash-completion/completions/castoff
        f=\$(complete -p castoff | sed -n \"s/.* -F \\([^ ]*\\) .*/\\1/p\")
        COMP_WORDS=(castoff $2); COMP_CWORD=\$((\${#COMP_WORDS[@]} - 1)); compopt() { :; }
        \"\$f\" castoff \"\${COMP_WORDS[COMP_CWORD]}\" \"\${COMP_WORDS[COMP_CWORD-1]}\"
        [ \"\${COMPREPLY[*]}\" = \"$3\" ] || { echo \"\${COMPREPLY[*]}\"; exit 1; }'"
}

# The service in its own confinement: it sees enough of the node, writes its one file, and nothing is denied to it that it asks for.
verifies() { # verifies NODE
    on "$1" 'set -e; mkdir -p /var/lib/prometheus/node-exporter; systemctl daemon-reload
        systemctl start castoff-verify.service && code=0 || code=$?
        journalctl -u castoff-verify.service -o cat --no-pager | tail -n 20
        grep -q "^castoff_build_info{" /var/lib/prometheus/node-exporter/castoff.prom
        # What it finds is what root finds at a terminal.
        castoff verify --quiet --non-interactive --level config --metrics /root/by-root.prom && by_root=0 || by_root=$?
        [ $code = 0 ] && [ $by_root = 0 ] || { [ $code != 0 ] && [ $by_root != 0 ]; }
        grep castoff_verify_check /var/lib/prometheus/node-exporter/castoff.prom >/root/by-unit
        grep castoff_verify_check /root/by-root.prom | diff /root/by-unit -'
}
ticks() { # ticks NODE
    on "$1" 'systemctl enable --now castoff-verify.timer && systemctl list-timers --no-legend castoff-verify.timer | grep -q castoff-verify.service && systemctl disable --now castoff-verify.timer
        rm -rf /var/lib/prometheus /root/by-root.prom /root/by-unit; systemctl reset-failed castoff-verify.service 2>/dev/null || true'
}

on_node() { # on_node SUITE
    local node=$1
    # With a kubelet where one can be built: there is nothing to verify without it.
    case $node in
    bullseye | bookworm) node_up "$node-dockershim" "$node" ;;
    *) node_up "$node" "$node" ;;
    esac
    on "$node" rm -f /usr/local/bin/castoff
    list "$node" "before-$node"
    put "$node" "$DEB" /root/castoff.deb
    check "$node: dpkg installs it" install_deb "$node" || return
    check_out "$node: it runs" "$VERSION" on "$node" /usr/bin/castoff --version
    check "$node: it looks at the node" on "$node" castoff inspect
    check "$node: dpkg finds every file of it unchanged" on "$node" 'dpkg -V castoff'
    check "$node: its page is there" on "$node" 'zcat /usr/share/man/man8/castoff-rollback.8.gz | grep -q "EXIT STATUS"'
    check "$node: its service verifies the node and writes metrics" verifies "$node"
    check "$node: its timer can be enabled" ticks "$node"
    check "$node: bash completes a command" completes "$node" mig migrate
    check "$node: bash completes a finding" completes "$node" "explain no-cn" no-cni
    check "$node: the demo goes through" on "$node" castoff demo

    # A run that was cut off: the demo's own, without its last record.
    on "$node" 'set -e; tree=$(castoff demo --keep 2>/dev/null | sed -n "s/^Left for you in \([^;]*\);.*/\1/p")
        cp -a "$tree/var/lib/castoff" /var/lib/; rm -rf "$tree"
        sed -i "\$d" /var/lib/castoff/runs/*/journal.jsonl; castoff history | grep -q dirty'
    check_fails "$node: dpkg does not remove it while a run is cut off" on "$node" dpkg -r castoff
    check_out "$node: it is still there" "$VERSION" on "$node" /usr/bin/castoff --version
    check "$node: it can be installed over itself meanwhile" install_deb "$node"
    check_fails "$node: nor purge it" on "$node" dpkg -P castoff
    on "$node" 'rm -rf /var/lib/castoff/runs/*'

    # A run that has ended.
    on "$node" 'set -e; tree=$(castoff demo --keep 2>/dev/null | sed -n "s/^Left for you in \([^;]*\);.*/\1/p")
        cp -a "$tree/var/lib/castoff/." /var/lib/castoff/; rm -rf "$tree"; mkdir -p /etc/castoff; echo >/etc/castoff/profile.toml'
    check "$node: dpkg removes it" on "$node" dpkg -r castoff
    check "$node: and leaves what it keeps about its runs" on "$node" 'ls -d /var/lib/castoff/runs/*/journal.jsonl && ls /etc/castoff/profile.toml'
    check "$node: dpkg purges it" on "$node" dpkg -P castoff
    list "$node" "after-$node"
    check "$node: nothing is left of it" diff "$LAB_RESULTS/before-$node" "$LAB_RESULTS/after-$node"
    check_fails "$node: dpkg knows it no more" on "$node" 'dpkg-query -W castoff'
    node_down "$node"
}

for suite in bullseye bookworm trixie forky; do on_node $suite; done
