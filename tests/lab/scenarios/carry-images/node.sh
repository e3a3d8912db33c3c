#!/bin/bash
# In the node: what carrying images has to leave as it was, and what it has to bring about.
#
#   node.sh odd                makes Docker's zc/torture:1 more odd than `docker load` can
#   node.sh remember           Docker's images as they are now: names, trees, layers on disk; containerd's stores
#   node.sh complete [WAY]     containerd has every remembered image, by every name, with the remembered tree; WAY relaxes what
#                              that way cannot keep (hardlink: link counts; stream: the root directory itself)
#   node.sh layers             each layer of an image is the same in both stores
#   node.sh docker             Docker's images have the remembered trees
#   node.sh untouched          Docker's store and containerd's are as remembered, and nothing of castoff's is mounted
#   node.sh runs-docker | runs-containerd
#                              a container runs from each of zc/torture:1 and zc/derived:1 and says which it is
#   node.sh span MODE | crash MODE SPAN RUN N SEED
#                              how long carrying takes; carries, kills it, recovers, looks: see below
# Silent when all is well; otherwise says what is wrong and ends with 1. $CASTOFF_LAB_ONLY: a pattern of the images to look at.
set -u -o pipefail
export LC_ALL=C
here=/root/images
kept=/root/remembered
tree=$here/tree.sh
mounts=$here/mount.sh
wrong=0

bad() { echo "$*"; wrong=1; }
docker_root() { docker info -f '{{.DockerRootDir}}'; }
containerd_root() { containerd config dump 2>/dev/null | sed -n 's/^root = "\(.*\)"/\1/p' | head -n 1; }

# What containerd calls it.
full_name() {
    case ${1%%/*} in
    "$1") echo "docker.io/library/$1" ;;
    *.* | *:* | localhost) echo "$1" ;;
    *) echo "docker.io/$1" ;;
    esac
}

# One line an image: its id and its names.
docker_images() {
    docker images -q --no-trunc | sort -u | xargs docker image inspect -f '{{.Id}}{{range .RepoTags}} {{.}}{{end}}'
}
remembered_images() { grep -E -- "${CASTOFF_LAB_ONLY:-.}" $kept/images; }

# docker_tree IMAGE, containerd_tree IMAGE
mounted_tree() {
    "$mounts" "$1" "$2" "/run/lab-$1" || return
    "$tree" --links "/run/lab-$1"
    "$mounts" off "/run/lab-$1"
}
docker_tree() { mounted_tree docker "$1"; }
containerd_tree() { mounted_tree containerd "$1"; }

# All layers of all images as they lie on disk. Of the directories around them only the names: their times change with every
# container, and with every exchange. `committed` appears with the first container, `work` is for Docker's own mounts.
docker_store() {
    local root
    root=$(docker_root)
    "$tree" --links "$root/overlay2" | sed -E '/^[^ \/]+\/(committed|work|work\/work) /d; s/^([^ \/]+) (dir|link).*/\1 \2/'
    (cd "$root/image/overlay2" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}
containerd_store() {
    local space
    for space in k8s.io moby; do
        echo "# $space"
        ctr -n $space images ls -q
        ctr -n $space snapshots ls
        ctr -n $space leases ls -q
        ctr -n $space content ls -q
    done
    find "$(containerd_root)/io.containerd.snapshotter.v1.overlayfs/snapshots" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

mounted() { findmnt -rn -o TARGET,SOURCE,OPTIONS | sort; }

# Docker writes no holes and leaves an image's root directory as it makes it, unless the image was built here by BuildKit.
# All of that is in Docker's store then, so it may be put there: of zc/torture:1 a file with holes, and the root of the
# highest layer and of the one with everything in it.
odd() {
    local layers each call
    mapfile -t layers < <("$mounts" layers docker zc/torture:1)
    case $(uname -m) in x86_64) call=188 ;; *) call=5 ;; esac
    touch -r "${layers[5]}/things/zeros" /run/lab-time
    fallocate --dig-holes "${layers[5]}/things/zeros" || bad "no hole"
    touch -r /run/lab-time "${layers[5]}/things/zeros"
    for each in "${layers[0]}" "${layers[5]}"; do
        chown 12:34 "$each"
        chmod 1751 "$each"
        # setxattr: the nodes have no setfattr.
        # shellcheck disable=SC2016
        perl -e 'for my $name ("user.root", "trusted.root") { syscall($ARGV[0] + 0, $ARGV[1], my $own = $name, my $value = "odd", 3, 0) == 0 or die "$name: $!\n" }' $call "$each" || bad "no attribute"
        touch -d @1500000000.123456789 "$each"
    done
}

remember() {
    local id name rest
    rm -rf $kept
    mkdir -p $kept
    docker_images >$kept/images
    docker_store >$kept/docker
    containerd_store >$kept/containerd
    mounted >$kept/mounts
    while read -r id name rest; do docker_tree "$id" >"$kept/$id"; done <$kept/images
    cut -d' ' -f2- $kept/images
}

# same_tree HAVE WANT WHAT [WAY]
same_tree() {
    local drop='s/^$//'
    case ${4:-} in
    hardlink) drop='s/ links=[0-9]*//' ;;
    # What containerd does with any image that it unpacks: the root directory is its own, and it leaves out trusted.*
    stream) drop='/^\. /d; s/ xattr trusted\.[^ ]*//g' ;;
    esac
    diff <(sed "$drop" "$2") <(sed "$drop" "$1") >/run/lab-diff || {
        bad "$3: $(grep -c '^[<>]' /run/lab-diff) lines differ (< as it was, > as it is)"
        grep '^[<>]' /run/lab-diff | cut -c 1-300 | head -n 12
    }
}

docker_trees() {
    local id name
    while read -r id name; do
        docker_tree "$id" >/run/lab-tree || { bad "Docker's $name cannot be mounted" && continue; }
        same_tree /run/lab-tree "$kept/$id" "Docker's $name" "${1:-}"
    done < <(remembered_images)
}

complete() {
    local id names each have
    have=$(ctr -n k8s.io images ls -q)
    while read -r id names; do
        for each in $names; do
            grep -qxF "$(full_name "$each")" <<<"$have" || bad "containerd has no name $(full_name "$each")"
        done
        grep -qxF "$id" <<<"$have" || bad "containerd has no name $id"
        containerd_tree "$id" >/run/lab-tree || { bad "containerd's $names cannot be mounted" && continue; }
        same_tree /run/lab-tree "$kept/$id" "containerd's $names" "${1:-}"
    done < <(remembered_images)
}

# The merged tree hides what a higher layer covers.
layers() {
    local id names docker containerd
    while read -r id names; do
        mapfile -t docker < <("$mounts" layers docker "$id")
        mapfile -t containerd < <("$mounts" layers containerd "$id")
        [ ${#docker[@]} = ${#containerd[@]} ] || { bad "$names: ${#docker[@]} layers in Docker, ${#containerd[@]} in containerd" && continue; }
        for n in "${!docker[@]}"; do
            "$tree" "${docker[n]}" >/run/lab-layer-a
            "$tree" "${containerd[n]}" >/run/lab-layer-b
            same_tree /run/lab-layer-b /run/lab-layer-a "$names, layer $n from above"
        done
    done < <(remembered_images)
}

untouched() {
    docker_store >/run/lab-store
    diff $kept/docker /run/lab-store >/run/lab-diff || { bad "Docker's store (< as it was, > as it is):"; cut -c 1-300 /run/lab-diff | head -n 20; }
    containerd_store >/run/lab-store
    # Collected in the background as soon as nothing holds it.
    for _ in $(seq 20); do
        cmp -s $kept/containerd /run/lab-store && break
        sleep 0.5
        containerd_store >/run/lab-store
    done
    diff $kept/containerd /run/lab-store >/run/lab-diff || { bad "containerd's store (< as it was, > as it is):"; cut -c 1-300 /run/lab-diff | head -n 20; }
    mounted | diff $kept/mounts - >/run/lab-diff || { bad "mounts (< as it was, > as it is):"; cat /run/lab-diff; }
}

runs() {
    local engine=$1 which got
    for which in torture derived; do
        case $engine in
        docker) got=$(docker run --rm --pull never --network none "zc/$which:1" cat /etc/which 2>&1) ;;
        *) got=$(ctr -n k8s.io run --rm --runtime io.containerd.runc.v2 "docker.io/zc/$which:1" "lab-$which-$$" cat /etc/which 2>&1) ;;
        esac
        [ "$got" = $which ] || bad "$engine run zc/$which:1: $got"
    done
}

# The newest run: its name and state, or nothing.
newest() {
    castoff history -o json | tr -d ' \n' | grep -o '"run":"[^"]*"\|"state":"[^"]*"' | head -n 2 | cut -d'"' -f4 | paste -s -d' '
}
# Where its journal is, without starting anything.
last_run() { set -- /var/lib/castoff/runs/*; echo "${!#}"; }
at() { date -d "$(sed -n "$1s/^{\"time\":\"\([^\"]*\)\".*/\1/p" "$2")" +%s%3N; }

# span MODE: milliseconds from the start of castoff to its end, and of these from the start of its run.
span() {
    local from to journal
    from=$(date +%s%3N)
    castoff images carry --all --mode "$1" --yes >/run/lab-carry.log 2>&1 || { cat /run/lab-carry.log; exit 1; }
    to=$(date +%s%3N)
    journal=$(last_run)/journal.jsonl
    set -- "$((to - from)) $(($(at '$' "$journal") - $(at 1 "$journal")))"
    # Before it says so: the first kill comes at once.
    recover rollback
    SPAN=$1
}

# crash MODE SPAN RUN N SEED: SPAN and RUN are what `span` says, N a number for the output. Every sixth kill falls anywhere, the
# others within the run, which is the smaller part of so few images. Every fifth recovery is killed too. Afterwards everything
# must be in containerd, or nothing, and Docker's store as it was when it is nothing. The first line it prints:
#
#   @@ N MODE killed after MS ms: STATE; then HOW; now END
crash() {
    local mode=$1 n=$4 before after code state how='' end pid old
    RANDOM=$5
    before=$(newest)
    old=$(last_run)
    castoff images carry --all --mode "$mode" --yes >/run/lab-carry.log 2>&1 &
    pid=$!
    # No time is like the last: the very end is met too.
    if [ $((n % 6)) = 0 ]; then
        after=$((RANDOM % $2))
    else
        after=$((RANDOM % ($3 * 9 / 10 + 1)))
        while [ "$(last_run)" = "$old" ] && kill -0 $pid 2>/dev/null; do :; done
    fi
    sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    code=$?
    state=$(newest)
    if [ "$state" = "$before" ]; then state="no run"; else state=${state#* }; fi
    case $state in
    "no run") end=nothing how=nothing ;;
    dirty | stuck)
        if [ $((RANDOM % 2)) = 0 ]; then how=resume end=everything; else how=rollback end=nothing; fi
        if [ $((n % 5)) = 0 ]; then
            castoff $how --non-interactive >/run/lab-recover.log 2>&1 &
            pid=$!
            sleep "0.$(printf '%03d' $((RANDOM % ($2 + 50))))"
            kill -9 $pid 2>/dev/null
            wait $pid 2>/dev/null
        fi
        # That one may have come to its end before it was killed.
        case $(newest) in
        *dirty | *stuck) recover $how ;;
        esac
        [ $((n % 5)) != 0 ] || how="$how (killed, and again)"
        ;;
    *) end=everything how="nothing (it had ended with $code)" ;;
    esac
    echo "@@ $n $mode killed after $after ms: $state; then $how; now $end"
    if [ $end = everything ]; then
        complete "$mode"
        recover rollback
    fi
    untouched
    [ $wrong = 0 ] || { echo "the carrying castoff said:"; tail -n 15 /run/lab-carry.log; castoff history | head -n 3; }
}
recover() {
    local code
    castoff "$1" --non-interactive >/run/lab-recover.log 2>&1
    code=$?
    [ $code = 0 ] || { bad "castoff $1: exit code $code" && tail -n 15 /run/lab-recover.log; }
}

case ${1:-} in
odd) odd ;;
remember) remember ;;
complete) complete "${2:-}" ;;
layers) layers ;;
docker) docker_trees "${2:-}" ;;
untouched) untouched ;;
runs-docker) runs docker ;;
runs-containerd) runs containerd ;;
# Twice: the first time is slower.
span) span "$2" && span "$2" && echo "$SPAN" ;;
crash) shift && crash "$@" ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 64 ;;
esac
exit $wrong
