# CASTOFF_CUTS=N times (12) the machine loses power while images change hands, are copied, or come back; CASTOFF_SEED makes a
# run come again. After the boot the run ends by itself: everything is there, or nothing, and Docker's images are what they
# were, each by the digests of its layers' archives as `docker save` makes them.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"
CUTS=${CASTOFF_CUTS:-12}
RANDOM=${CASTOFF_SEED:=$((RANDOM * 32768 + RANDOM))}

# The archive of a layer is made from its files and from what Docker remembers of it: a file that is not what it was changes
# it, or stops it. The archive around it has the time of day in it.
digests() {
    on n 'for i in $(docker images -q --no-trunc | sort -u); do
        d=$(mktemp -d); docker save $i | tar x -C $d || exit; echo $i; find $d -name layer.tar -exec sha256sum {} + | cut -d" " -f1 | sort; rm -r $d; done' >"$LAB_RESULTS/$1"
}
same_digests() { digests now && [ -s "$LAB_RESULTS/before" ] && diff "$LAB_RESULTS/before" "$LAB_RESULTS/now"; }
state() { on n 'castoff history -o json' | python3 -c 'import json, sys; runs = json.load(sys.stdin)["runs"]; print(runs[-1]["state"] if runs else "none")'; }
ended() { local is; is=$(state) && case $is in dirty | running | stuck) false ;; esac || { echo "$is"; return 1; }; }
lent() { on n 'find /var/lib/docker/overlay2 -maxdepth 2 -name diff -type l | wc -l'; }
carried() { on n castoff images list -o json | python3 -c '
import json, sys
images = [i for i in json.load(sys.stdin)["images"] if i["names"]]
print([i["names"] for i in images if not i["carried"]])
sys.exit(not images or any(not i["carried"] for i in images))'; }
runs() { on n 'for i in torture derived; do [ "$(ctr -n k8s.io run --rm docker.io/zc/$i:1 cut-$i cat /etc/which)" = $i ] || exit; done'; }
nothing() { [ "$(lent)" = 0 ] && on n 'test -z "$(ctr -n k8s.io images ls -q)" && test "$(ctr -n k8s.io snapshots ls | tail -n +2 | wc -l)" = 0 && ! ctr -n k8s.io leases ls | grep castoff'; }
span() { on n 'cat $(ls -d /var/lib/castoff/runs/* | tail -n 1)/journal.jsonl' | python3 -c '
import datetime, json, sys
at = {}
for e in map(json.loads, sys.stdin):
    at[e["record"]] = datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00"))
print(int((at[sys.argv[2]] - at[sys.argv[1]]).total_seconds() * 1000) + 200)' "$1" "$2"; }

node_up bookworm-dockershim n
put n "$LAB_DIR/images" /root/images
check "images are loaded" on n 'chmod 755 /root/images/*.sh; /root/images/make.sh torture | docker load -q >/dev/null; docker image inspect zc/torture:1 >/dev/null'
digests before
save n start
declare -A takes
for mode in adopt copy; do
    check "carry by $mode, to know how long it takes" on n castoff images carry --all --yes --mode $mode
    takes[$mode]=$(span run-started run-finished)
    save n $mode
    check "its rollback" on n castoff rollback --non-interactive
    takes[back-$mode]=$(span rollback-started run-finished)
    load n start
done
note "$CUTS cuts, seed $CASTOFF_SEED; adopt ${takes[adopt]} ms, copy ${takes[copy]} ms, back ${takes[back-adopt]} ms"

for cut in $(seq "$CUTS"); do
    mode=adopt
    [ $((cut % 3)) != 2 ] || mode=copy
    if [ $((cut % 4)) = 0 ]; then
        load n $mode
        what="back from $mode" span=${takes[back-$mode]}
        on n 'setsid castoff rollback --non-interactive >/root/cut.log 2>&1 </dev/null &
            until grep -qs rollback-started /var/lib/castoff/runs/*/journal.jsonl; do :; done'
    else
        load n start
        what="$mode" span=${takes[$mode]}
        on n "setsid castoff images carry --all --yes --mode $mode >/root/cut.log 2>&1 </dev/null &
            until grep -qs run-started /var/lib/castoff/runs/*/journal.jsonl; do :; done"
    fi
    after=$((RANDOM % span))
    sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
    cut_power n
    boot n
    was=$(on n 'tail -n 1 $(ls -d /var/lib/castoff/runs/* 2>/dev/null | tail -n 1)/journal.jsonl 2>/dev/null | cut -c 1-160')
    note "-- cut $cut: $what, $after ms of $span"
    check_eventually 300 "cut $cut: the run comes to its end without anybody" ended
    end=$(state)
    note "   then $end; now: $was"
    case $end in
    committed | applied) check "cut $cut: everything is there" carried && check "cut $cut: and runs" runs ;;
    none | rolled-back) check "cut $cut: nothing is there" nothing ;;
    *) check "cut $cut: an end that is one" false ;;
    esac
    check "cut $cut: Docker has every image as it was" same_digests
done
