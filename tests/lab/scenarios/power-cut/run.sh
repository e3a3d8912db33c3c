# Power cuts at random instants, each from the same saved states. CASTOFF_CUTS=N cuts (3), CASTOFF_SEED=N makes a run
# come again; both are printed. Every third cut hits a rollback, the others a migration.

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
# Seconds that a command of castoff takes here, for instants within it.
measured() {
    local from=$SECONDS
    on n castoff "$@" >"$LAB_RESULTS/measured.log" 2>&1 || return 1
    took=$((SECONDS - from + 1))
}

node_up bookworm-dockershim n
check "both pods answer on Docker" on_docker
snapshot before
check "a migration, to know how long it takes" measured migrate --yes
there=$took
check "the pods run on containerd" on_containerd
snapshot after
save n moved
check "its rollback" measured rollback
back=$took
check_eventually 60 "the pods run on Docker" on_docker
save n start
note "$CUTS cuts, seed $CASTOFF_SEED; a migration takes $there s, a rollback $back s"

forward=0 backward=0
for cut in $(seq "$CUTS"); do
    if [ $((cut % 3)) = 0 ]; then what=rollback from=moved span=$back; else what=migration from=start span=$there; fi
    load n $from
    case $what in
    rollback) on n 'setsid castoff rollback >/root/cut.log 2>&1 </dev/null & sleep 0.1' ;;
    *) on n 'setsid castoff migrate --yes >/root/cut.log 2>&1 </dev/null & sleep 0.1' ;;
    esac
    instant=$((RANDOM % (span * 10)))
    sleep "$((instant / 10)).$((instant % 10))"
    cut_power n
    boot n
    note "-- cut $cut: $what after $((instant / 10)).$((instant % 10)) s; run at boot: $(state)"
    check_eventually 900 "cut $cut: the run comes to its end without anybody" ended || {
        on n 'journalctl -b -o cat -u castoff-recover -u castoff-recover-late --no-pager' | tail -n 40
        continue
    }
    case $(state) in
    committed)
        forward=$((forward + 1))
        check_eventually 300 "cut $cut: on, the pods run on containerd only" on_containerd
        check "cut $cut: every file, link and unit state is the new one" same_as_but_time after now
        ;;
    *)
        backward=$((backward + 1))
        check_eventually 300 "cut $cut: back, the pods run on Docker only" on_docker
        check "cut $cut: every file, link and unit state is the old one" same_as before now
        ;;
    esac
    check_fails "cut $cut: no unit of castoff is left" units_left
done
note "$CUTS cuts: $backward went back, $forward went on"
