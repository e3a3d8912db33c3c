# Images are carried in every way there is, on ext4 and on XFS, and compared with what Docker had: the merged trees, each
# layer, names, and a container that runs. Then back, until nothing tells that it ever was. Then the same killed with -9 at
# random instants: CASTOFF_CRASHES=N kills (50), CASTOFF_SEED=N makes a run come again; both are printed.
#
# The images are made in the node (tests/lab/images). Without a registry every manifest is made; one on loopback shows the
# rest.

[ -x "${CASTOFF_BIN:-}" ] || die "CASTOFF_BIN names the castoff to be tried"
command -v python3 >/dev/null || die "python3 reads castoff's answers"

CRASHES=${CASTOFF_CRASHES:-50}
RANDOM=${CASTOFF_SEED:=$((RANDOM * 32768 + RANDOM))}
IMAGES=$LAB_DIR/images
NODE=n
SHAPE=bookworm-container

node() { on $NODE /root/node.sh "$@"; }
carry() { on $NODE castoff images carry --all --yes "$@"; }
load_images() { on $NODE '/root/images/make.sh torture | docker load -q >/dev/null && docker image inspect zc/torture:1 zc/derived:1 >/dev/null'; }
still_sparse() {
    local is
    is=$(on $NODE 'stat -c %b "$(/root/images/mount.sh layers containerd docker.io/zc/torture:1 | sed -n 6p)/things/zeros"') && [ "$is" -lt 512 ] || { echo "$is blocks"; return 1; }
}

# listed WAY CARRIED: what `images list` says of both images.
listed() {
    on $NODE castoff images list -o json >"$LAB_RESULTS/list.json" && python3 - "$LAB_RESULTS/list.json" "$@" <<'PY'
import json, re, sys
answer = json.load(open(sys.argv[1]))
way, carried = sys.argv[2], sys.argv[3] == "yes"
wrong = []
def want(what, have, wanted):
    if have != wanted:
        wrong.append(f"{what}: {have!r}, expected {wanted!r}")
want("kind", answer["kind"], "Images")
by_name = {name: image for image in answer["images"] for name in image["names"]}
torture, derived = by_name.get("zc/torture:1"), by_name.get("zc/derived:1")
if not torture or not derived:
    sys.exit(f"not listed: {sorted(by_name)}")
want("names", sorted(torture["names"]), ["zc/torture:1", "zc/torture:also"])
want("layers of torture", torture["layers"], 7)
want("layers of derived", derived["layers"], 3)
for image in answer["images"]:
    name = image["names"][:1]
    if not re.fullmatch("sha256:[0-9a-f]{64}", image["id"]):
        wrong.append(f"id of {name}: {image['id']}")
    if way and not carried:
        want(f"way of {name} ({image['why']})", image["way"], way)
    want(f"carried of {name}", image["carried"], carried)
    if not image["why"] and not carried:
        wrong.append(f"no reason for {name}")
    if image["bytes"] <= 0:
        wrong.append(f"bytes of {name}: {image['bytes']}")
    cost = image["cost"]
    if not carried and not (0 <= cost["seconds"] < 600 and 0 <= cost["bytes"] and 0 <= cost["inodes"]):
        wrong.append(f"cost of {name}: {cost}")
    if image["digests"]:
        wrong.append(f"digests of {name}, which no registry has seen: {image['digests']}")
    if image["manifest"] != "made":
        wrong.append(f"manifest of {name}: {image['manifest']}")
have = {image["name"] for image in answer["containerd"]}
missing = {"docker.io/zc/torture:1", "docker.io/zc/torture:also", "docker.io/zc/derived:1"} - have
if carried and missing:
    wrong.append(f"not among containerd's: {sorted(missing)}")
if not carried and have:
    wrong.append(f"containerd has {sorted(have)}")
print("\n".join(wrong))
sys.exit(bool(wrong))
PY
}
# Nothing is carried again, and nothing changes by trying.
again() {
    local before
    before=$(on $NODE 'ls /var/lib/castoff/runs; ctr -n k8s.io images ls; ctr -n k8s.io snapshots ls; ctr -n k8s.io content ls -q') || return 1
    carry "$@" || return 1
    [ "$before" = "$(on $NODE 'ls /var/lib/castoff/runs; ctr -n k8s.io images ls; ctr -n k8s.io snapshots ls; ctr -n k8s.io content ls -q')" ] || { echo "containerd's stores, or the runs, are not as before"; return 1; }
}

# way MODE FS: there, looked at from all sides, and back.
way() {
    local mode=$1 what="$2, $1"
    note "-- $what"
    check "$what: carry" carry --mode "$mode" || return
    check "$what: every image is there by every name, and the same" node complete "$mode"
    [ "$mode" = stream ] || check "$what: layer by layer as well" node layers
    check "$what: Docker's images are the same" node docker "$mode"
    check "$what: the list says so" listed "" yes
    check "$what: containers run on containerd" node runs-containerd
    check "$what: containers run on Docker" node runs-docker
    case $mode in copy | reflink) check "$what: a sparse file is sparse" still_sparse ;; esac
    check "$what: a second time there is nothing to do" again --mode "$mode"
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: Docker's store and containerd's are as they were" node untouched || forget "$mode"
    check "$what: containers run on Docker" node runs-docker
}
# What one way left must not be blamed on the next. Not where it may be Docker's own.
forget() {
    [ "$1" = adopt ] || on $NODE 'ctr -n k8s.io images ls -q | xargs -r ctr -n k8s.io images rm --sync; ctr -n k8s.io leases ls -q | xargs -r ctr -n k8s.io leases rm --sync' >/dev/null
}

TABLE=$LAB_RESULTS/crashes.txt
# crashes N MODE FS: N kills. Where one leaves something behind, the next begin on a fresh node: they would be blamed for it.
crashes() {
    local count=$1 mode=$2 fs=$3 takes within n failed=0
    read -r takes within < <(node span "$mode") && [ "$takes" -gt 0 ] || { echo "cannot be carried at all"; return 1; }
    for n in $(seq "$count"); do
        node crash "$mode" "$takes" "$within" "$n" $RANDOM >"$LAB_RESULTS/crash.log" 2>&1 || {
            failed=$((failed + 1))
            grep -v "^@@" "$LAB_RESULTS/crash.log" | head -n 4 | cut -c 1-200
            mkdir -p "$LAB_RESULTS/crashes"
            cp "$LAB_RESULTS/crash.log" "$LAB_RESULTS/crashes/$fs-$mode-$n.log"
            on $NODE 'd=$(ls -d /var/lib/castoff/runs/* | tail -n 1); cat $d/journal.jsonl; castoff show' >>"$LAB_RESULTS/crashes/$fs-$mode-$n.log" 2>&1
        }
        sed -n "s/^@@ /$fs /p" "$LAB_RESULTS/crash.log" >>"$TABLE"
        tail -n 1 "$TABLE"
        [ $failed -lt 4 ] || { echo "enough"; break; }
        node untouched >/dev/null 2>&1 || { node_down $NODE; "node_of_$fs"; }
    done
    [ $failed = 0 ] || { echo "$failed of $n failed"; return 1; }
}
told() { awk -v fs="$1" -v mode="$2" '$1 == fs && $3 == mode { n++; if (/dirty/) cut++; if (/no run/) early++; if (/now everything/) on++ }
    END { printf "%d kills: %d in the middle, %d before anything was done, %d ended with everything carried\n", n, cut, early, on }' "$TABLE"; }

# What adopting promises beyond that: Docker lives on in directories that are containerd's.
adopted() {
    local what="ext4, adopt"
    note "-- $what, in use"
    check "$what: a container runs on Docker" on $NODE docker run -d --pull never --network none --name lab-live zc/torture:1 sleep 1000
    check "$what: carry under it" carry --mode adopt || return
    check_out "$what: it still reads" torture on $NODE docker exec lab-live cat /etc/which
    check "$what: it still writes" on $NODE 'docker exec lab-live sh -c "echo x >/etc/which; rm /things/large; mv /names /other" && docker rm -f lab-live'
    check "$what: Docker's images have none of that" node docker
    check "$what: nor have containerd's" node complete
    check "$what: both daemons are restarted" on $NODE 'systemctl restart containerd.service docker.service && docker info >/dev/null'
    check "$what: Docker's images are the same" node docker
    check "$what: containerd's as well" node complete
    check "$what: containers run on Docker" node runs-docker
    check "$what: a container runs on containerd" on $NODE ctr -n k8s.io run -d docker.io/zc/torture:1 lab-live sleep 1000
    check_fails "$what: no rollback while it runs" on $NODE castoff rollback --non-interactive
    check_out "$what: it still reads" torture on $NODE ctr -n k8s.io tasks exec --exec-id a lab-live cat /etc/which
    check "$what: it ends" on $NODE 'ctr -n k8s.io tasks kill -s KILL lab-live; for i in $(seq 50); do ctr -n k8s.io tasks rm lab-live && break; sleep 0.1; done; ctr -n k8s.io containers rm lab-live'
    check "$what: somebody removes every image from containerd" on $NODE 'ctr -n k8s.io images rm --sync $(ctr -n k8s.io images ls -q)'
    check "$what: Docker still has all" node docker
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: Docker's store and containerd's are as they were" node untouched

    what="ext4, adopt, Docker's root bound on itself"
    # dockerd does so where the mount above is private; renames do not cross it.
    check "$what: bound" on $NODE "mount --bind $root $root"
    check "$what: the list says so" listed adopt no
    check "$what: carry" carry --mode adopt
    check "$what: every image is there by every name, and the same" node complete
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: unbound" on $NODE "umount $root"
    check "$what: Docker's store and containerd's are as they were" node untouched
}

# containerd has unpacked some of the layers itself: from a registry, say. Those stay its own, whatever becomes of the rest.
shared() {
    local what="ext4, $1, some layers are there"
    note "-- $what"
    check "$what: containerd imports zc/derived:1 by itself" on $NODE 'docker save zc/derived:1 | ctr -n k8s.io images import - && ctr -n k8s.io images ls -q >/root/own'
    check "$what: carry" carry --mode "$1"
    # The lower layers are those of an import.
    check "$what: every image is there by every name, and the same" node complete stream
    check "$what: containers run on containerd" node runs-containerd
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: what containerd had is there" on $NODE '[ "$(ctr -n k8s.io images ls -q)" = "$(cat /root/own)" ] && [ "$(ctr -n k8s.io run --rm docker.io/zc/derived:1 lab-own cat /etc/which)" = derived ]'
    check "$what: it goes" on $NODE 'ctr -n k8s.io images rm --sync docker.io/zc/derived:1'
    check "$what: Docker's store and containerd's are as they were" node untouched || forget "$1"
}

# What a power cut leaves behind: containerd's books name a blob, and its file never reached the disk.
lost() {
    local what="ext4, adopt, blobs that a power cut took"
    note "-- $what"
    check "$what: carry" carry --mode adopt || return
    check "$what: they stay in containerd's books" on $NODE 'for d in $(ctr -n k8s.io content ls -q); do ctr -n k8s.io content label $d containerd.io/gc.root=lab >/dev/null || exit; done; [ -n "$d" ]'
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: their files are gone" on $NODE 'root=$(containerd config dump 2>/dev/null | sed -n "s/^root = \"\(.*\)\"/\1/p" | head -n 1)
        for d in $(ctr -n k8s.io content ls -q); do rm "$root/io.containerd.content.v1.content/blobs/sha256/${d#sha256:}" || exit; done; [ -n "$d" ]'
    check "$what: carry" carry --mode adopt
    check "$what: every image is there by every name, and the same" node complete
    check "$what: containers run on containerd" node runs-containerd
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check "$what: Docker's store and containerd's are as they were" node untouched
}

# The registry of the lab's stand-in alone: the rest of that program needs kubelet's sources.
registry_program() {
    local dir
    dir=$(mktemp -d)
    cp "$LAB_DIR/standin/registry.go" "$dir"
    printf 'package main\n\nimport "os"\n\nfunc main() {\n\tif err := registry(os.Args[1:]); err != nil {\n\t\tpanic(err)\n\t}\n}\n' >"$dir/main.go"
    (cd "$dir" && GO111MODULE=off CGO_ENABLED=0 GOCACHE="$dir/cache" go build -o lab-registry .) && put $NODE "$dir/lab-registry" /root/lab-registry
    local built=$?
    rm -rf "$dir"
    return $built
}
# pulled KEPT|MADE: what the list says of the manifest of the image that was pulled.
manifest_is() {
    on $NODE castoff images list -o json | python3 -c '
import json, sys
image = next(i for i in json.load(sys.stdin)["images"] if sys.argv[2] in i["names"])
print(image["manifest"], image["digests"])
sys.exit(image["manifest"] != sys.argv[1] or len(image["digests"]) != 1)' "$1" $PULLED
}
target() { on $NODE "ctr -n k8s.io images ls | awk '\$1 == \"$1\" { print \$3 }'"; }
# What a registry has: its manifest comes along where Docker kept it, and else can be asked for.
registry() {
    local what="ext4, a registry" digest
    PULLED=127.0.0.1:5000/zc/pulled:1
    note "-- $what"
    check "$what: it is built" registry_program || return
    check "$what: it serves an image" on $NODE 'mkdir -p /srv/registry/zc__pulled && docker save zc/derived:1 | tar x -C /srv/registry/zc__pulled &&
        systemd-run -q --unit lab-registry /root/lab-registry /srv/registry 127.0.0.1:5000 && for i in $(seq 50); do curl -sf -m 5 http://127.0.0.1:5000/v2/ && exit; sleep 0.1; done; exit 1'
    check "$what: Docker pulls it" on $NODE docker pull -q $PULLED || return
    digest=$(on $NODE "docker image inspect -f '{{index .RepoDigests 0}}' $PULLED" | cut -d@ -f2)
    check "$what: Docker kept the manifest" manifest_is kept
    check "$what: carry" on $NODE castoff images carry --yes --image $PULLED
    check_out "$what: the tag has the registry's digest" "$digest" target $PULLED
    check_out "$what: so has the name by digest" "$digest" target "127.0.0.1:5000/zc/pulled@$digest"
    check "$what: it goes away, and a container runs from the name by digest" on $NODE "systemctl stop lab-registry && ctr -n k8s.io run --rm 127.0.0.1:5000/zc/pulled@$digest lab-pulled cat /etc/which"
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    note "-- $what, and a Docker that kept nothing"
    on $NODE 'for l in $(ctr -n moby leases ls -q); do ctr -n moby leases rm --sync $l; done' >/dev/null
    check "$what: a manifest would be made" manifest_is made
    check "$what: CRI is switched on" on $NODE 'cp -a /etc/containerd/config.toml /root/config.toml; sed -i "s/^disabled_plugins.*/disabled_plugins = []/" /etc/containerd/config.toml; systemctl restart containerd && for i in $(seq 100); do ctr plugins ls | grep -q "cri .* ok" && exit; sleep 0.1; done; exit 1'
    check "$what: carry without it" on $NODE castoff images carry --yes --image $PULLED
    check "$what: the digest is another one" test "$(target $PULLED)" != "$digest"
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    on $NODE 'systemd-run -q --unit lab-registry /root/lab-registry /srv/registry 127.0.0.1:5000; sleep 1'
    check "$what: carry, and ask it" on $NODE castoff images carry --yes --image $PULLED --online
    check_out "$what: it was asked for the manifest" "$digest" target "127.0.0.1:5000/zc/pulled@$digest"
    check_fails "$what: and for no layer" on $NODE 'journalctl -u lab-registry -o cat _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID lab-registry) | grep "GET .*/blobs/"'
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    on $NODE "systemctl stop lab-registry; docker rmi $PULLED; cp -a /root/config.toml /etc/containerd/config.toml; systemctl restart containerd" >/dev/null
    note "-- ext4, adopt, with archives, everything checked"
    check "$what: carry" carry --mode adopt --with-blobs --verify-layers --compare full
    check "$what: containerd can export an image" on $NODE 'test "$(ctr -n k8s.io images export - docker.io/zc/derived:1 | tar t | grep -c blobs/)" -ge 5'
    check "$what: rollback" on $NODE castoff rollback --non-interactive
}

# The node moves, and Docker's copy goes.
cleanup() {
    local mode=$1 what="$2, $1, cleanup"
    note "-- $what"
    check "$what: carry" carry --mode "$mode" || return
    check_fails "$what: not as long as kubelet needs Docker" on $NODE castoff cleanup --yes
    check "$what: Docker's images are the same" node docker
    on $NODE 'systemctl start kubelet.service'
    check_eventually 60 "$what: kubelet is healthy" on $NODE curl -sf -m 10 http://127.0.0.1:10248/healthz
    check "$what: the node moves" on $NODE 'castoff migrate --yes --keep-on-verify-failure --skip-check pod-trial-failed; c=$?; [ $c = 0 ] || [ $c = 6 ]'
    check "$what: Docker is stopped and disabled" on $NODE 'systemctl disable --now docker.socket docker.service 2>/dev/null; ! systemctl is-active docker.socket docker.service'
    check "$what: every image is there by every name, and the same" node complete
    check "$what: cleanup" on $NODE castoff cleanup --yes
    check "$what: Docker's root is gone" on $NODE "! ls -d $root/*"
    check "$what: every image is there by every name, and the same" node complete
    check "$what: containers run on containerd" node runs-containerd
    check "$what: containerd is restarted" on $NODE systemctl restart containerd.service
    check "$what: every image is there after that" node complete
    check "$what: nothing points into Docker's root" on $NODE "! find /var/lib/containerd /srv/images/containerd -type l -lname '$root/*' 2>/dev/null | grep ."
    check_out "$what: no lease is left" "" on $NODE ctr -n k8s.io leases ls -q
}

new_node() {
    NODE=$1
    node_up "$SHAPE" "$NODE"
    put "$NODE" "$IMAGES" /root/images
    put "$NODE" "$SCENARIO_DIR/node.sh" /root/node.sh
    # kubelet would see Docker come and go.
    on "$NODE" 'chmod 755 /root/node.sh /root/images/*.sh; systemctl stop kubelet.service 2>/dev/null || true'
}
# The node's own roots, on the host's file system; where that is something else, ext4 on a loop device.
node_of_ext4() {
    new_node e
    root=/var/lib/docker
    if [ "$(on $NODE stat -f -c %T $root)" != ext2/ext3 ]; then
        check "ext4: roots on a loop device" on $NODE /root/images/disk.sh ext4 4G || die "no ext4"
        root=/srv/images/docker
    fi
    begin ext4
}
node_of_XFS() {
    new_node x
    check "XFS: an empty one is made" "$IMAGES/xfs.sh" $NODE 4G || die "no XFS, no reflinks"
    check "XFS: roots on it" on $NODE /root/images/disk.sh xfs || die "no XFS, no reflinks"
    root=/srv/images/docker
    begin XFS
}
# begin FS: the images, and what all this has to come back to.
begin() {
    check_out "$1: Docker's driver is overlay2" overlay2 on $NODE docker info -f '{{.Driver}}'
    check "$1: images are loaded" load_images || die "no images, no test"
    check "$1: they are made odder" node odd
    check "$1: remembered" node remember
    check "$1: containers run on Docker" node runs-docker
    check "$1: and leave the stores as remembered" node untouched || die "the comparison itself is not to be trusted"
}
ended_well() { cat "$LAB_RESULTS/kills.log"; return "$1"; }
# kills FS MODE SHARE: that many per cent of all kills.
kills() {
    local count=$((CRASHES * $3 / 100))
    [ $count -gt 0 ] || return 0
    # Not inside of the check: a fresh node has checks of its own.
    crashes $count "$2" "$1" >"$LAB_RESULTS/kills.log" 2>&1
    check "$1, $2: killed $count times, it is everything or nothing" ended_well $?
    note "$(told "$1" "$2")"
}

# Docker's images in containerd's own store: a feature since Docker 24, the default of new installations since 29.
moby() { on $NODE 'ctr -n moby images ls -q; ctr -n moby snapshots ls; ctr -n moby content ls -q'; }
k8s() { on $NODE 'ctr -n k8s.io images ls -q; ctr -n k8s.io snapshots ls | tail -n +2; ctr -n k8s.io leases ls -q; ctr -n k8s.io content ls -q'; }
nothing_for_kubelet() { [ -z "$(k8s)" ] || { k8s; return 1; }; }
ways_of_store() {
    on $NODE castoff images list -o json | python3 -c '
import json, sys
images = json.load(sys.stdin)["images"]
print([(i["names"], i["id"], i["way"], i["why"]) for i in images])
images = [i for i in images if any("zc/" in n for n in i["names"])]
sys.exit(len(images) != 2 or any(i["way"] != sys.argv[1] or i["carried"] for i in images))' "$1"
}
same_trees() {
    local each
    for each in torture derived; do
        on $NODE "for s in moby k8s.io; do mkdir -p /run/lab-\$s; ctr -n \$s images mount docker.io/zc/$each:1 /run/lab-\$s >/dev/null && /root/images/tree.sh --links /run/lab-\$s >/run/lab-tree-\$s; ctr -n \$s images unmount --rm /run/lab-\$s >/dev/null; done
            [ \$(wc -l </run/lab-tree-moby) -gt 3 ] && diff /run/lab-tree-moby /run/lab-tree-k8s.io" || return
    done
}
# image_store SUITE WAY
image_store() {
    local what="$1, images in containerd's store" before
    note "-- $what"
    check "$what: switched on" on $NODE 'sed -i "0,/{/s|{|{\n  \"features\": {\"containerd-snapshotter\": true},|" /etc/docker/daemon.json 2>/dev/null || echo "{\"features\": {\"containerd-snapshotter\": true}}" >/etc/docker/daemon.json
        systemctl restart docker.service && docker info -f "{{.DriverStatus}}" | grep io.containerd.snapshotter' || return
    check "$what: images are loaded" load_images || return
    check "$what: containers run on Docker" node runs-docker
    before=$(moby)
    check "$what: containerd has none of them for kubelet" nothing_for_kubelet
    check "$what: the list says how" ways_of_store "$2"
    check "$what: carry" carry --compare full || return
    check "$what: the trees are the same" same_trees
    check "$what: containers run on containerd" node runs-containerd
    check "$what: containers run on Docker" node runs-docker
    check "$what: a second time there is nothing to do" again
    check "$what: rollback" on $NODE castoff rollback --non-interactive
    check_eventually 20 "$what: nothing is left for kubelet" nothing_for_kubelet
    check "$what: Docker has what it had" [ "$before" = "$(moby)" ]
    check "$what: containers run on Docker" node runs-docker
}

# Newer packages of Docker and containerd (carry-suites): every way, on the node's own disk and on XFS, and the other store.
for SHAPE in ${CARRY_SUITES:-}; do
    node_of_ext4
    for mode in adopt copy hardlink stream; do way $mode "$SHAPE"; done
    image_store "$SHAPE" copy
    node_down $NODE
    node_of_XFS
    for mode in reflink adopt; do way $mode "$SHAPE on XFS"; done
    image_store "$SHAPE on XFS" reflink
    node_down $NODE
done
[ -z "${CARRY_SUITES:-}" ] || return 0

note "$CRASHES kills, seed $CASTOFF_SEED"
: >"$TABLE"

node_of_ext4
check "ext4: the list knows both, to be adopted" listed adopt no
for mode in adopt copy hardlink stream; do way $mode ext4; done
check_fails "ext4: no reflinks there" carry --mode reflink
check "ext4: Docker's store and containerd's are as they were" node untouched
adopted
shared adopt
shared copy
lost
kills ext4 adopt 40
kills ext4 copy 14
kills ext4 hardlink 14
kills ext4 stream 12
registry
cleanup adopt ext4
node_down $NODE

node_of_XFS
check "XFS: the list knows both, to be reflinked" listed reflink no
way reflink XFS
way adopt XFS
kills XFS reflink 20
cleanup reflink XFS
while read -r line; do note "$line"; done <"$TABLE"
