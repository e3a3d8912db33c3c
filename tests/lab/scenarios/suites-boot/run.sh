# Each suite as Debian ships it, booted from its image (nothing saved), one at a time.

settled() { # systemd is done with the boot; "degraded" names the reason
    local word; word=$(on "$1" 'systemctl is-system-running --wait || true')
    [ "$word" = running ] && return 0
    echo "systemd says: $word"
    on "$1" 'systemctl --failed --no-legend --no-pager; systemctl list-jobs --no-pager'
    return 1
}
# Not `ctr version`: a power cut soon after the first boot can leave containerd's never synced file
# io.containerd.grpc.v1.introspection/uuid empty, and then only that one call fails ("invalid UUID
# length: 0"; seen with 1.4.13).
answers() { on "$1" 'docker info -f "{{.ServerVersion}} {{.CgroupDriver}} {{.CgroupVersion}}" && ctr -n k8s.io containers list'; }

for suite in bullseye bookworm trixie forky; do
    if ! "$LAB" image "$suite" >"$LAB_RESULTS/image-$suite.log" 2>&1; then
        tail -n 15 "$LAB_RESULTS/image-$suite.log" | sed 's/^/       | /'
        echo "FAIL - the image of $suite is built (0.0 s)"; _count fail
        continue
    fi
    node_up "$suite" "$suite" --cold
    check "$suite: systemd has nothing to complain about" settled "$suite"
    check "$suite: Docker and containerd answer" answers "$suite"
    check "$suite: the containerd configuration is Debian's own" on "$suite" 'dpkg -V containerd'
    on "$suite" 'echo kept >/root/kept; sync /root/kept'
    cut_power "$suite"
    check "$suite: boots again after a power cut" boot "$suite"
    check_out "$suite: what was synced is there" kept on "$suite" cat /root/kept
    check_eventually 300 "$suite: Docker and containerd answer again" answers "$suite"
    node_down "$suite"
done
