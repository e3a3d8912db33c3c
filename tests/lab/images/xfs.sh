#!/bin/bash
# On the host: an empty XFS with reflinks for disk.sh in a node: xfs.sh NODE SIZE. The nodes have no mkfs.xfs; installs
# xfsprogs here when it is missing. Exit code 3: it cannot be had.
set -eu -o pipefail
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/lab
if ! command -v mkfs.xfs >/dev/null; then
    { apt-get install -y --no-install-recommends xfsprogs || { apt-get update && apt-get install -y --no-install-recommends xfsprogs; }; } \
        >/dev/null 2>&1 </dev/null || { echo "xfs.sh: xfsprogs cannot be installed" >&2; exit 3; }
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
truncate -s "$2" "$dir/xfs.img"
mkfs.xfs -q -m reflink=1 "$dir/xfs.img"
# Holes stay holes: a few kilobytes travel.
tar -C "$dir" -S -cf - xfs.img | "$lab" ssh "$1" 'mkdir -p /var/lib/lab && tar -C /var/lib/lab -S -xf -'
