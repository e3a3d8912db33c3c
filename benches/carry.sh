#!/bin/bash
# What it costs to get an image of 2 GB, 80,000 files and 9 layers from Docker into containerd: castoff's default way beside
# `docker save | ctr images import`, in one run on one node: carry.sh CASTOFF [RUNS]
#
# The node is the lab's bookworm-container, so it needs root and what tests/lab/README.md says. Docker's and containerd's
# roots share a file system of their own on a loop device, first ext4, then XFS with reflinks, so that what it grows by is
# what the image costs. Everything is read once before each run: the figures are for a warm page cache. Prints a Markdown
# table: median of RUNS (3) and every run. Nothing here asserts on time.
#
#   CASTOFF_BIG="2100 80000 9"   another image: megabytes, files, layers
#   CASTOFF_MODES="hardlink …"   these modes of castoff as well
#   CASTOFF_FS="ext4 xfs"        these file systems only
set -eu -o pipefail
[ $# -ge 1 ] && [ -x "$1" ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 64; }
CASTOFF_BIN=$(realpath "$1")
export CASTOFF_BIN
runs=${2:-3}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
lab=tests/lab/lab
images=tests/lab/images
node=carry-bench
figures=$(mktemp)
trap '"$lab" down $node >/dev/null 2>&1; rm -f "$figures"' EXIT
trap 'exit 130' INT TERM
on() { "$lab" ssh $node "$@"; }
say() { printf '%s\n' "$*" >&2; }

# In the node. measure COMMAND: its seconds, and what the file system grew by in bytes and inodes.
# shellcheck disable=SC2016 # the node's variables
prelude='
used() { sync; sync; stat -f -c "%S %b %f %c %d" /srv/images | { read -r size all free nodes left; echo $(((all - free) * size)) $((nodes - left)); }; }
warm() { find /srv/images/docker/overlay2 -xdev -type f -print0 | xargs -0 cat >/dev/null; }
# What an earlier run left may still be on its way out.
settled() { for n in $(seq 60); do set -- $(used) $1 $2; [ $(($1 - $3)) -lt 1048576 ] && [ $(($2 - $4)) -lt 16 ] && return; sleep 1; done; echo "the file system is not as it was" >&2; exit 1; }
measure() {
    warm
    set -- "$1" $(used)
    from=$(date +%s%N)
    eval "$1" >/run/measured.log 2>&1 || { cat /run/measured.log >&2; exit 1; }
    to=$(date +%s%N)
    ctr -n k8s.io images ls -q | grep -qx docker.io/zc/big:1 || { echo "the image is not there" >&2; exit 1; }
    set -- "$2" "$3" $(used)
    echo $(((to - from) / 1000000)) $(($3 - $1)) $(($4 - $2))
}'
node_script() { on "set -eu; $prelude
$*"; }

"$lab" up bookworm-container --name $node >&2
on 'systemctl stop kubelet.service; mkdir -p /root/images'
"$lab" put $node $images /root/images
on 'chmod 755 /root/images/*.sh'

read -r -a big <<<"${CASTOFF_BIG:-2100 80000 9}"
# row FS WHAT: reads "MILLISECONDS BYTES INODES" a run from `figures`.
row() {
    local walls
    walls=$(awk '{ printf "%s%.2f", (NR > 1 ? ", " : ""), $1 / 1000 }' "$figures")
    sort -n "$figures" | awk -v fs="$1" -v what="$2" -v walls="$walls" '{ ms[NR] = $1; mib[NR] = $2 / 1048576; nodes[NR] = $3 }
        END { m = int((NR + 1) / 2); printf "| %s | %s | %.2f | %s | %+.1f | %+d |\n", fs, what, ms[m] / 1000, walls, mib[m], nodes[m] }'
}

table=''
for fs in ${CASTOFF_FS:-ext4 xfs}; do
    say "$fs: a file system, and ${big[*]} (megabytes, files, layers) into Docker"
    if [ "$fs" = xfs ]; then $images/xfs.sh $node 24G; fi
    on "/root/images/disk.sh $fs 24G && TMPDIR=/var/tmp /root/images/make.sh big ${big[*]} | docker load >/dev/null"
    base=$(node_script used)
    on 'du -sm --apparent-size /srv/images/docker/overlay2 | cut -f1; find /srv/images/docker/overlay2 -type f | wc -l' | paste -s -d' ' >&2
    for mode in '' ${CASTOFF_MODES:-}; do
        : >"$figures"
        for run in $(seq "$runs"); do
            node_script "settled $base; measure 'castoff images carry --image zc/big:1 --yes ${mode:+--mode $mode}'" >>"$figures"
            say "$fs: castoff ${mode:-default}, run $run: $(tail -n 1 "$figures")"
            [ -n "$mode" ] || way=$(on 'cat /run/measured.log' | grep -o -m 1 -w -e adopt -e reflink -e copy -e hardlink -e stream || true)
            on 'castoff rollback --non-interactive >/run/rollback.log 2>&1 || cat /run/rollback.log'
        done
        if [ -n "$mode" ]; then what="\`… --mode $mode\`"; else what="\`castoff images carry --image zc/big:1 --yes\`${way:+ ($way)}"; fi
        table="$table$(row "$fs" "$what")
"
    done
    : >"$figures"
    for run in $(seq "$runs"); do
        node_script "settled $base; measure 'docker save zc/big:1 | ctr -n k8s.io images import -'" >>"$figures"
        say "$fs: docker save | ctr import, run $run: $(tail -n 1 "$figures")"
        on 'ctr -n k8s.io images rm --sync docker.io/zc/big:1 >/dev/null'
    done
    table="$table$(row "$fs" '`docker save zc/big:1 \| ctr -n k8s.io images import -`')
"
    on /root/images/disk.sh off
done

echo "zc/big: ${big[0]} MB, ${big[1]} files, ${big[2]} layers; median of $runs, warm;" \
    "$(on 'docker version -f "Docker {{.Server.Version}}"; containerd --version | cut -d" " -f3 | sed "s/^/containerd /"; uname -r | sed "s/^/kernel /"' | paste -s -d, | sed 's/,/, /g')," \
    "$(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
echo
echo "| file system | way | s | every run | MiB on disk | inodes |"
echo "|---|---|---|---|---|---|"
printf '%s' "$table"
