# A rollout by Ansible, as a user would do it: real ssh to the nodes' own sshd, the collection as it is built from this
# checkout, one castoff. Containers c1 to c4 (c3 is broken, c4 has no Python); then machines with pods: m1 without Python, m2 with.
# FLEET_MACHINES=0 leaves the machines out; FLEET_ANSIBLE=old takes the oldest ansible-core that is supported, Debian 12's.
#
# What is told apart by which node: c1 canary, m1 control plane, the others workers.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

MACHINES=${FLEET_MACHINES:-2}
COLLECTION=$LAB_DIR/../../ansible
TMP=$(mktemp -d /tmp/fleet.XXXXXX)   # short: ssh's control sockets go there
REPORTS=$LAB_RESULTS/castoff-reports
at_end() { rm -rf "$TMP"; }

containers="c1 c2 c3 c4" machines=""
[ "$MACHINES" -ge 1 ] && machines="m1"
[ "$MACHINES" -ge 2 ] && machines="m1 m2"
nodes="$containers $machines"
pythons="c1 c2 c3"
[ "$MACHINES" -ge 2 ] && pythons="$pythons m2"
# Everything that is healthy.
healthy=$(echo "$nodes" | tr ' ' '\n' | grep -vx 'c3\|' | sort | tr '\n' ' ' | sed 's/ $//')
all_sorted=$(echo "$nodes" | tr ' ' '\n' | grep -v '^$' | sort | tr '\n' ' ' | sed 's/ $//')

# -- what it takes ----------------------------------------------------------------------------------------------------

ANSIBLE=$("$COLLECTION/tests/run.sh" --ansible "${FLEET_ANSIBLE:-newest}" 2>"$LAB_RESULTS/ansible.log") ||
    skip "no ansible-core: $ANSIBLE"

# Python for some nodes, in packages: they reach no archive themselves.
PYTHON=${CASTOFF_LAB_CACHE:-/var/cache/castoff-lab}/python-bookworm
if [ ! -e "$PYTHON/done" ]; then
    rm -rf "$PYTHON" && mkdir -p "$PYTHON/debs" && (cd "$PYTHON/debs" && apt-get download python3 python3-minimal python3.11 \
        python3.11-minimal libpython3-stdlib libpython3.11-minimal libpython3.11-stdlib media-types libsqlite3-0 libexpat1 libdb5.3 \
        libffi8 libncursesw6 libreadline8 readline-common libtirpc3 libtirpc-common libnsl2 >"$LAB_RESULTS/python.log" 2>&1) ||
        skip "Debian's python3 cannot be had: $(tail -n 1 "$LAB_RESULTS/python.log")"
    touch "$PYTHON/done"
fi

for n in $containers; do node_up bookworm-container "$n"; done
for n in $machines; do node_up bookworm-dockershim "$n"; done

# Once more for each package that another one has to be set up for first.
give_python() {
    put "$1" "$PYTHON/debs" /var/tmp/debs
    on "$1" 'for i in 1 2 3; do dpkg --install --skip-same-version /var/tmp/debs/*.deb && break; done; rm -r /var/tmp/debs; python3 --version'
}
for n in $pythons; do check "$n gets Python" give_python "$n"; done
check_fails "c4 has none" on c4 'command -v python3'
# castoff goes there by the collection alone.
for n in $nodes; do on "$n" rm -f /usr/local/bin/castoff; done

{
    echo "Host *"
    echo "  User root"
    echo "  IdentityFile ${CASTOFF_LAB_CACHE:-/var/cache/castoff-lab}/ssh/id_ed25519"
    printf '  %s\n' "IdentitiesOnly yes" "StrictHostKeyChecking no" "UserKnownHostsFile /dev/null" "LogLevel ERROR" "BatchMode yes"
    for n in $containers; do
        # A container has no way to it from outside; this pipe leads to its sshd.
        printf 'Host %s\n  ProxyCommand %s ssh %s busybox nc 127.0.0.1 22\n' "$n" "$LAB" "$n"
    done
    for n in $machines; do
        printf 'Host %s\n  HostName 127.0.0.1\n  Port %s\n' "$n" "$(python3 "$SCENARIO_DIR/result.py" field "$CASTOFF_LAB_RUN/$n/node.json" port)"
    done
} >"$TMP/ssh_config"

cat >"$TMP/inventory.yml" <<END
all:
  vars:
    castoff_binaries: {x86_64: "$CASTOFF_BIN"}
    castoff_controller_binary: "$CASTOFF_BIN"
    castoff_report_dir: "$REPORTS"
    castoff_soak_seconds: 5
  children:
    castoff_canary: {hosts: {c1: {}}}
    castoff_control_plane: {hosts: {$(case $machines in *m1*) echo "m1: {}" ;; esac)}}
    castoff_workers:
      hosts: {c3: {}, c2: {}, c4: {}$(case $machines in *m2*) echo ", m2: {}" ;; esac)}
    # No pod runs in a container here, so the proof that pods run is not asked for.
    containers:
      hosts: {c1: {}, c2: {}, c3: {}, c4: {}}
      vars:
        castoff_trial: false
        castoff_skip_checks: [pod-trial-failed]
        castoff_verify_level: runtime
END

export ANSIBLE_HOME=$TMP/home ANSIBLE_COLLECTIONS_PATH=$TMP/collections ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 \
    ANSIBLE_SSH_ARGS="-F $TMP/ssh_config -o ControlMaster=auto -o ControlPersist=300s" ANSIBLE_SSH_CONTROL_PATH_DIR=$TMP/cp \
    ANSIBLE_HOST_KEY_CHECKING=False ANSIBLE_TIMEOUT=120 ANSIBLE_RETRY_FILES_ENABLED=0 ANSIBLE_PYTHON_INTERPRETER=auto_silent
unset ANSIBLE_CONFIG

install_collection() {
    cp -R "$COLLECTION" "$TMP/source" &&
        "$ANSIBLE/bin/ansible-galaxy" collection build "$TMP/source" --output-path "$TMP" &&
        "$ANSIBLE/bin/ansible-galaxy" collection install --no-deps -p "$TMP/collections" "$TMP"/castoff-node-*.tar.gz
}
check "the collection is built and installed" install_collection || exit 1
note "ansible-core $("$ANSIBLE/bin/python" -c 'from ansible.release import __version__; print(__version__)'), collection $(sed -n 's/^version: //p' "$COLLECTION/galaxy.yml")"

# play LOG PLAYBOOK…: exit code and output are kept. The nodes have no sudo, and ssh is root's already.
play() {
    local log=$LAB_RESULTS/$1.log
    shift
    (cd "$TMP" && "$ANSIBLE/bin/ansible-playbook" -i inventory.yml -e castoff_become=false "$@") >"$log" 2>&1 || { local code=$?; tail -n 40 "$log"; return $code; }
}
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
result() { python3 "$SCENARIO_DIR/result.py" "$@"; }
recap() { result recap "$LAB_RESULTS/$1.log" "$2"; }
record() { result field "$REPORTS/nodes/$1.json" "$2"; }
snapshot() { mkdir -p "$LAB_RESULTS/$2" && on "$1" 'sh -s' <"$LAB_DIR/scenarios/migrate-bookworm/snapshot.sh" >"$LAB_RESULTS/$2/$1"; }
# state NAME NODE…, same NAME NODE…: every file, owner, mode, time, link and unit state.
state() { local name=$1 n; shift; for n in "$@"; do snapshot "$n" "$name" || return 1; done; }
same() { local name=$1 n; shift; for n in "$@"; do snapshot "$n" now && diff "$LAB_RESULTS/$name/$n" "$LAB_RESULTS/now/$n" || { echo "on $n"; return 1; }; done; }
runs_containerd() {
    local n
    for n in "$@"; do
        on "$n" 'test "$(systemctl is-enabled docker.service)" = masked && tr "\0" " " </proc/$(systemctl show -P MainPID kubelet.service)/cmdline |
            grep -q container-runtime-endpoint=unix:///run/containerd/containerd.sock' || { echo "$n does not"; return 1; }
    done
}
answers() { on "$1" curl -sf -m 10 http://127.0.0.1:8081/; }

# -- what Ansible itself costs ----------------------------------------------------------------------------------------

seconds() { local from; from=$(_now); "$@" >/dev/null 2>&1 || echo "failed: $*" >&2; _since "$from"; }
# times N TASK: a playbook with that many of them, on c1.
times() {
    python3 -c 'import json, sys
print(json.dumps([{"hosts": sys.argv[3], "gather_facts": False, "tasks": [json.loads(sys.argv[2])] * int(sys.argv[1])}]))' "$1" "$2" "$3" >"$TMP/times.yml"
    (cd "$TMP" && "$ANSIBLE/bin/ansible-playbook" -i inventory.yml times.yml)
}
overhead() {
    local noop='{"ansible.builtin.raw": ":", "changed_when": false}' none few plan="$1" many
    none=$(seconds times 1 "$noop" "$2")
    few=$(seconds times 11 "$noop" "$2")
    many=$(seconds times 6 "$plan" "$2")
    awk -v a="$none" -v b="$few" -v c="$many" 'BEGIN { printf "a task that does nothing %.2f s, a look by castoff %.2f s (ansible-playbook itself %.1f s)", (b - a) / 10, c / 6, a }'
}
plan_task='{"castoff.node.runtime": {"state": "planned", "trial": false}}'

check "castoff is installed where there is Python" play install castoff.node.preflight -e castoff_install=true -e castoff_preflight_fatal=false --limit "$(echo "$pythons" | tr ' ' ',')"
by_hand=$(seconds ssh -F "$TMP/ssh_config" c1 castoff plan --no-trial -o json)
note "overhead, Python door (c1): $(overhead "$plan_task" c1); by hand over a new ssh connection: $by_hand s"
note "overhead, binary door, castoff sent each time (c4, $(($(stat -c %s "$CASTOFF_BIN") / 1048576)) MB): $(overhead "$plan_task" c4)"

# -- preflight, review ------------------------------------------------------------------------------------------------

put c3 "$SCENARIO_DIR/broken.conf" /etc/systemd/system/containerd.service.d/50-lab.conf
on c3 'systemctl daemon-reload && systemctl restart containerd.service'
for n in $machines; do check_eventually 300 "$n: its pod answers on Docker" answers "$n"; done
# shellcheck disable=SC2086
{
    state before $nodes
    check "preflight" play preflight castoff.node.preflight
    check "every plan is saved" sh -c "cd '$REPORTS/plans' && test \$(ls *.json | wc -l) = $(echo $nodes | wc -w)"
    check "nothing was changed" same before $nodes

    check "check mode with diffs" play check castoff.node.rollout --check --diff -e '{"castoff_waves": ["100%"]}'
    check_out "every node would change" "$all_sorted" recap check changed
    check "nothing was changed" same before $nodes
    on c2 castoff plan --no-trial --skip-check pod-trial-failed >"$LAB_RESULTS/c2.plan"
    check "the diffs are those of castoff plan" result diff "$LAB_RESULTS/check.log" "$LAB_RESULTS/c2.plan"

    # Somebody edits a node after the review.
    on c2 'cp -p /etc/containerd/config.toml /root/reviewed.toml && echo "# edited" >>/etc/containerd/config.toml'
    check "another plan than the reviewed one is refused" exits 2 play other castoff.node.rollout -e castoff_require_reviewed_plan=true
    check "and it is said of which node" grep -q 'the plan of c2 is not the one that was reviewed' "$LAB_RESULTS/other.log"
    on c2 'cp -p /root/reviewed.toml /etc/containerd/config.toml && rm /root/reviewed.toml'
    # A copy leaves another time on the directory.
    state before c2
    check "nothing was changed" same before $nodes

    # -- a rollout that stops -----------------------------------------------------------------------------------------

    note "-- c3 cannot start containerd with the new configuration; no failure is allowed"
    check "the rollout stops" exits 2 play stops castoff.node.rollout -e castoff_require_reviewed_plan=true
    check_out "one node failed" c3 recap stops failed
    check_out "it was rolled back" rolled-back record c3 result.outcome
    check_out "with castoff's exit code" 4 record c3 result.exit_code
    check "its record has summary, cause and fix" sh -c "python3 '$SCENARIO_DIR/result.py' field '$REPORTS/nodes/c3.json' error | tee /dev/stderr | grep -q cause:"
    check_out "and the run's report" RunReport record c3 result.report.kind
    check "c3 is as it was" same before c3
    check "workers behind it are as they were" same before c2 c4
    check "the canary stays migrated" runs_containerd c1
    check_out "the retry file names it" c3 cat "$REPORTS/fleet.retry"

    # -- and goes on --------------------------------------------------------------------------------------------------

    check "run again with room for a failure" exits 2 play goes-on castoff.node.rollout -e castoff_require_reviewed_plan=true \
        -e '{"castoff_waves": ["100%"], "castoff_max_fail_percentage": 50}'
    check_out "one node failed" c3 recap goes-on failed
    check "c3 is as it was" same before c3
    check "all others run on containerd" runs_containerd $healthy
    for n in $machines; do check_eventually 300 "$n: its pod answers on containerd" answers "$n"; done

    note "-- c3 is mended"
    on c3 'rm /etc/systemd/system/containerd.service.d/50-lab.conf && rmdir --ignore-fail-on-non-empty /etc/systemd/system/containerd.service.d && systemctl daemon-reload'
    state before c3
    check "check mode" play mended-check castoff.node.rollout --check
    check_out "c3 would change" c3 recap mended-check changed
    check "the rollout" play mended castoff.node.rollout
    check_out "exactly that has changed" c3 recap mended changed
    check "all nodes run on containerd" runs_containerd $nodes

    state after $nodes
    check "once more" play again castoff.node.rollout
    check_out "nothing has changed" "" recap again changed
    check "nothing really" same after $nodes

    # -- doors --------------------------------------------------------------------------------------------------------

    check_out "c4 was served by castoff itself" binary record c4 result.door
    check_out "c2 by Python" python record c2 result.door
    check "castoff lies where a reboot leaves it" on c4 test -x /var/lib/castoff/bin/castoff
    note "overhead, binary door, castoff there already (c4): $(overhead "$plan_task" c4)"
    mkdir -p "$TMP/library" && cp "$CASTOFF_BIN" "$TMP/library/runtime"
    alone() { (cd "$TMP" && ANSIBLE_LIBRARY=$TMP/library "$ANSIBLE/bin/ansible" -i inventory.yml c4 -m runtime -a state=planned) | tee /dev/stderr | grep -q 'SUCCESS =>'; }
    check "castoff as a file in library/, without the collection" alone

    # -- the report ---------------------------------------------------------------------------------------------------

    check "the report alone" play report castoff.node.report
    check "as a page" grep -q '<html' "$REPORTS/fleet.html"
    check_out "as a document" FleetReport result field "$REPORTS/fleet.json" kind
    sed 's/^/     | /' "$REPORTS/fleet.txt"

    # -- back ---------------------------------------------------------------------------------------------------------

    check "check mode of the rollback" play back-check castoff.node.rollback --check -e '{"castoff_waves": ["100%"]}'
    check_out "every node would go back" "$all_sorted" recap back-check changed
    check "nothing was changed" same after $nodes
    check "rollback" play back castoff.node.rollback -e '{"castoff_waves": ["100%"]}'
    check_out "every node went back" "$all_sorted" recap back changed
    check "every file, link and unit state is as it was" same before $nodes
    for n in $machines; do check_eventually 300 "$n: its pod answers on Docker" answers "$n"; done
    check "once more" play back-again castoff.node.rollback -e '{"castoff_waves": ["100%"]}'
    check_out "nothing has changed" "" recap back-again changed
}
