# Power cuts at random instants, each from the same saved states. CASTOFF_CUTS=N cuts (3), CASTOFF_SEED=N makes a run
# come again; both are printed. Every third cut hits a rollback, the others a migration. Every tenth is a clean shutdown
# instead: systemd ends castoff, and refuses to start what its rollback wants started. Every seventh, the power goes once
# more while the run is being ended.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

CUTS=${CASTOFF_CUTS:-3}
RANDOM=${CASTOFF_SEED:=$((RANDOM * 32768 + RANDOM))}
HOST=http://127.0.0.1:8081/
PORT=http://10.0.2.15:8082/
answers() { on n curl -sf -m 10 "$1"; }
snapshot() { on n 'sh -s' <"$LAB_DIR/scenarios/migrate-bookworm/snapshot.sh" >"$LAB_RESULTS/$1"; }
same_as() { snapshot "$2" && diff "$LAB_RESULTS/$1" "$LAB_RESULTS/$2"; }
# Another run wrote the files, at another time.
same_as_but_time() {
    snapshot "$2" && diff <(cut -d' ' -f1-3,6- "$LAB_RESULTS/$1") <(cut -d' ' -f1-3,6- "$LAB_RESULTS/$2")
}
scopes() { on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" 2>/dev/null | wc -l'; }
in_docker() { on n 'docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l'; }
on_containerd() {
    [ "$(scopes)" = 4 ] && answers $HOST && answers $PORT && ! on n systemctl is-active docker.service docker.socket
}
on_docker() { answers $HOST && answers $PORT && [ "$(in_docker)" = 2 ] && [ "$(scopes)" = 0 ]; }
# The state of the newest run: none, dirty, committed, rolled-back, …
state() {
    on n castoff history -o json | python3 -c 'import json,sys; r=json.load(sys.stdin)["runs"]; print(r[0]["state"] if r else "none")'
}
ended() { case $(state) in none | committed | rolled-back) ;; *) state; return 1 ;; esac; }
units_left() { on n 'ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep castoff'; }
# What the node says of itself, when a cut was not recovered from.
keep_why() {
    local dir=$LAB_RESULTS/cut-$1
    mkdir -p "$dir"
    on n 'castoff history; castoff show; docker ps -a; ls -la /etc/systemd/system' >"$dir/castoff.log" 2>&1
    on n 'journalctl -b -o short-precise --no-pager' >"$dir/journal.log" 2>&1
    on n 'd=$(ls -d /var/lib/castoff/runs/* | tail -n 1); cat $d/journal.jsonl' >"$dir/journal.jsonl" 2>&1
    on n 'journalctl -b -o cat -u castoff-recover -u castoff-recover-late --no-pager' | tail -n 40
}
# What was under way when the power went, as the records from before this boot have it.
under_way() {
    on n 'echo $(($(date +%s) - $(cut -d. -f1 /proc/uptime))); cat $(ls -d /var/lib/castoff/runs/* | tail -n 1)/journal.jsonl' |
        python3 -c '
import datetime, json, sys
boot, at, ids = int(next(sys.stdin)), "before the first step", {}
for line in sys.stdin:
    e = json.loads(line)
    if datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp() >= boot:
        break
    ids[e.get("index")] = e.get("id", ids.get(e.get("index")))
    at = " ".join(filter(None, [e["record"], ids.get(e.get("index"))]))
print(at)'
}
# Seconds between two records of the newest run, for instants within a run.
span() {
    on n 'cat $(ls -d /var/lib/castoff/runs/* | tail -n 1)/journal.jsonl' | python3 -c '
import datetime, json, sys
at = {}
for e in map(json.loads, sys.stdin):
    at[e["record"]] = datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00"))
print(int((at[sys.argv[2]] - at[sys.argv[1]]).total_seconds()) + 1)' "$1" "$2"
}
shut_down() {
    on n 'systemctl poweroff --no-block'
    for _ in $(seq 300); do
        "$LAB" list | grep -q '^n .* off *$' && return
        sleep 1
    done
    note "it does not shut down; the power goes"
    cut_power n
}
# begin RECORD COMMAND: a command of castoff, out of this connection, until its journal has that record.
begin() {
    local record=$1; shift
    on n "setsid castoff $* >/root/cut.log 2>&1 </dev/null &
        until grep -qs '\"$record\"' /var/lib/castoff/runs/*/journal.jsonl; do sleep 0.05; done"
}

node_up bookworm-dockershim n
check "both pods answer on Docker" on_docker
snapshot before
check "a plan" on n castoff plan --out /root/plan.json
check "a migration, to know how long it takes" on n castoff apply --yes --no-trial /root/plan.json
there=$(span run-started run-finished)
check "the pods run on containerd" on_containerd
snapshot after
save n moved
check "its rollback" on n castoff rollback
back=$(span rollback-started run-finished)
check_eventually 120 "the pods run on Docker" on_docker
check "its run is forgotten" on n rm -r /var/lib/castoff
save n start
note "$CUTS cuts, seed $CASTOFF_SEED; a migration takes $there s, a rollback $back s"

forward=0 backward=0
TABLE=$LAB_RESULTS/cuts.tsv
printf 'cut\twhat\tafter s\tlast record\tended\ts after boot\tfailed checks\n' >"$TABLE"
for cut in $(seq "$CUTS"); do
    failed=$(grep -c '^fail' "$LAB_COUNTS")
    if [ $((cut % 3)) = 0 ]; then what=rollback from=moved span=$back; else what=migration from=start span=$there; fi
    load n $from
    case $what in
    rollback) begin rollback-started rollback ;;
    *) begin run-started apply --yes --no-trial /root/plan.json ;;
    esac
    instant=$((RANDOM % (span * 10)))
    after=$((instant / 10)).$((instant % 10))
    sleep "$after"
    if [ $((cut % 10)) = 5 ]; then
        what="$what, shut down"
        shut_down
    else
        cut_power n
    fi
    boot n
    if [ $((cut % 7)) = 4 ]; then
        second=$((RANDOM % 40))
        what="$what, once more $second s after the boot"
        sleep $second
        cut_power n
        boot n
    fi
    booted=$SECONDS
    was=$(under_way)
    note "-- cut $cut: $what after $after s: ${was:=no run}"
    check_eventually 900 "cut $cut: the run comes to its end without anybody" ended
    took=$((SECONDS - booted))
    end=$(state)
    case $end in
    committed)
        forward=$((forward + 1))
        check_eventually 300 "cut $cut: on, the pods run on containerd only" on_containerd
        check "cut $cut: every file, link and unit state is the new one" same_as_but_time after now
        ;;
    none | rolled-back)
        backward=$((backward + 1))
        check_eventually 300 "cut $cut: back, the pods run on Docker only" on_docker
        check "cut $cut: every file, link and unit state is the old one" same_as before now
        ;;
    esac
    check_fails "cut $cut: no unit of castoff is left" units_left
    failed=$(($(grep -c '^fail' "$LAB_COUNTS") - failed))
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$cut" "$what" "$after" "$was" "$end" $took $failed >>"$TABLE"
    [ $failed = 0 ] || keep_why "$cut"
done
note "$CUTS cuts, seed $CASTOFF_SEED: $backward went back, $forward went on"
