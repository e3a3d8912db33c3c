# Images of a node's real pods change hands, come back with every digest, change hands again, and are all that is left when
# Docker's data is removed: the pods start from them after a reboot too. There is no registry.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"

HOST=http://127.0.0.1:8081/   # the pod on the host's network
PORT=http://10.0.2.15:8082/   # the pod on the bridge, by its host port
answers() { on n curl -sf -m 10 "$1"; }
on_containerd() { answers $HOST && answers $PORT && [ "$(on n 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | wc -l')" = 4 ]; }
on_docker() { answers $HOST && answers $PORT && on n 'test "$(docker ps -q --filter label=io.kubernetes.docker.type=container | wc -l)" = 2'; }
lent() { on n 'find /var/lib/docker/overlay2 -maxdepth 2 -name diff -type l | wc -l'; }
# The archive of an image is made from its files: it is the same as long as they are, with owners, modes, times and all.
digests() { on n 'for i in $(docker images -q --no-trunc | sort -u); do echo "$i $(docker save $i | sha256sum)"; done' >"$LAB_RESULTS/$1"; }
same_digests() { digests "$2" && [ -s "$LAB_RESULTS/$1" ] && diff "$LAB_RESULTS/$1" "$LAB_RESULTS/$2"; }
exits() { local wanted=$1 code; shift; "$@"; code=$?; [ $code = "$wanted" ] || { echo "exit code $code, expected $wanted"; return 1; }; }

node_up bookworm-dockershim n
check "both pods answer on Docker" on_docker
digests before
check "the list names who needs what" on n 'castoff images list | grep -q "needed by pod " && castoff images list | grep -q "^ *adopt: about"'
check_out "nothing is lent" 0 lent

note "-- there and back"
check "migrate" on n castoff migrate --yes
check "the pods run on containerd" on_containerd
check "layers are lent, not copied" test "$(lent)" -gt 0
check_out "a lease holds them" 1 on n 'ctr -n k8s.io leases ls | grep -c castoff-hold-'
check "cleanup shows what it would remove, and removes nothing" on n 'castoff cleanup --check | grep -q /var/lib/docker && test -d /var/lib/docker/overlay2'
check "rollback" on n castoff rollback
check "the pods run on Docker" on_docker
check_out "nothing is lent" 0 lent
check_out "containerd has forgotten" 0 on n 'ctr -n k8s.io images ls -q | wc -l'
check_out "no layer is left there" 0 on n 'ctr -n k8s.io snapshots ls | tail -n +2 | wc -l'
check "every image's archive is what it was" same_digests before after
check "cleanup is refused while Docker runs" exits 3 on n castoff cleanup --yes

note "-- there for good"
check "migrate" on n castoff migrate --yes
check "the pods run on containerd" on_containerd
check "without a word nothing is removed" exits 64 on n 'castoff cleanup </dev/null'
check "cleanup" on n castoff cleanup --yes
check "Docker's data is gone" on n '! test -e /var/lib/docker'
check_out "no lease is left" 0 on n 'ctr -n k8s.io leases ls | grep -c castoff || true'
check "the pods run on" on_containerd
check "a second cleanup has nothing to do" on n 'castoff cleanup --yes | grep -q "Docker left nothing"'
check_fails "no rollback any more" on n castoff rollback
check "  and it says why" on n 'castoff rollback 2>&1 | grep -q "castoff cleanup. removed /var/lib/docker"'
on n 'systemctl poweroff --no-block'
for _ in $(seq 300); do "$LAB" list | grep -q '^n .* off *$' && break; sleep 1; done
boot n
check_eventually 600 "after a reboot the pods start from what was carried" on_containerd
check "verify" exits 0 on n castoff verify --detailed-exitcode
