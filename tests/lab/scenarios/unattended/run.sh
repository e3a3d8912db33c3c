# Real systemd, its timers, scopes and signals, on a container node: no pod is needed for any of this.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

node_up bookworm-container u

exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }
state_of_node() { on u 'sh -s' <"$LAB_DIR/scenarios/migrate-bookworm/snapshot.sh" >"$LAB_RESULTS/$1"; }
untouched() { state_of_node now && diff "$LAB_RESULTS/before" "$LAB_RESULTS/now"; }
run_is() {
    on u castoff history -o json | python3 -c 'import json,sys; s=json.load(sys.stdin)["runs"][0]["state"]; print(s); sys.exit(s != sys.argv[1])' "$1"
}
units_left() { on u 'ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep castoff'; }
# No pod runs here, so the proof that pods run is not asked for.
MIGRATE="castoff migrate --yes --no-trial --skip-check pod-trial-failed --keep-on-verify-failure"
# start OPTIONS…: a migration out of this connection, until it has stopped kubelet. With WITHIN, below another command.
start() {
    on u "rm -f /run/code; { setsid ${WITHIN:-} sh -c '$MIGRATE $*; echo \$? >/run/code' >/root/castoff.log 2>&1 </dev/null & }
        until systemctl show -P ActiveState kubelet.service | grep -qv '^active' || [ -e /run/code ]; do sleep 0.05; done
        [ ! -e /run/code ] || { cat /root/castoff.log; exit 1; }"
}
ended_with() { on u "until [ -e /run/code ]; do sleep 0.1; done; cat /root/castoff.log; [ \$(cat /run/code) = $1 ]"; }
signal() { on u "pkill -$1 -x castoff"; }

state_of_node before

# -- the dead man's switch --------------------------------------------------------------------------------------------

check "a run that waits to be kept" on u "$MIGRATE --try 30s"
check "it waits" run_is applied
check "another run is refused" exits 1 on u "$MIGRATE"
check_eventually 120 "nobody keeps it: it is taken back" run_is rolled-back
check "everything is as it was" untouched
check_fails "no unit of castoff is left" units_left

check "a run that waits, with a killed castoff" start --try 30s
check "kill -9 in its middle" signal KILL
check "it is dirty" run_is dirty
check_eventually 180 "nobody comes: it is taken back" run_is rolled-back
check "everything is as it was" untouched
check_fails "no unit of castoff is left" units_left

check "a run that is kept" on u "$MIGRATE --try 30s && castoff commit"
check_fails "its timer is gone" units_left
note "40 s, in which nothing may happen"
sleep 40
check "it is still kept" run_is committed
check "a rollback works after the commit" on u castoff rollback
check "everything is as it was" untouched

# -- the end of a session ---------------------------------------------------------------------------------------------

# A login session is a scope below user.slice; at its end systemd kills what is in it.
WITHIN="systemd-run --quiet --scope --slice=user-0.slice --unit=session-lab"
check "a run that is begun in a session" start
check "it has left the session" on u 'grep -q "/castoff-.*\.scope$" /proc/$(pgrep -x castoff | head -n 1)/cgroup'
check "the session ends" on u systemctl stop session-lab.scope
WITHIN=
check_eventually 120 "the run goes on, and is kept" run_is committed
check_fails "no unit of castoff is left" units_left
check "it is taken back" on u castoff rollback
check "everything is as it was" untouched

# -- signals ----------------------------------------------------------------------------------------------------------

check "a run whose terminal goes away" start
check "SIGHUP" signal HUP
check "it goes on" ended_with 0
check "it is taken back" on u castoff rollback

check "a run that is interrupted" start
check "SIGTERM" signal TERM
check "it takes itself back, exit code 130" ended_with 130
check "everything is as it was" untouched

check "a run that is interrupted twice" start
check "SIGINT twice" on u 'pkill -INT -x castoff; sleep 0.05; pkill -INT -x castoff; true'
check_eventually 60 "castoff is gone" on u '! pgrep -x castoff'
# Where the rollback of the first signal was quicker than the second one, there is nothing left to do.
if run_is dirty >/dev/null; then check "castoff rollback ends it" on u castoff rollback; else check "the first one was enough" run_is rolled-back; fi
check "everything is as it was" untouched
check_fails "no unit of castoff is left" units_left
