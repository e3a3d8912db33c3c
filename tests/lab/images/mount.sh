#!/bin/bash
# Mounts an image's root file system read-only, as its engine would, and says which directories it is made of:
#
#   mount.sh docker IMAGE DIR        Docker's overlay2, put together by hand from what Docker says of the image
#   mount.sh containerd IMAGE DIR    a view in the namespace k8s.io; leaves a lease until `off`
#   mount.sh off DIR                 the end of either
#   mount.sh layers docker|containerd IMAGE
#                                    the layers' directories, the highest first, one a line, links followed
set -eu -o pipefail

k8s() { ctr -n k8s.io "$@"; }
docker_layers() {
    # An image of one layer has no LowerDir.
    docker image inspect -f '{{.GraphDriver.Data.UpperDir}}{{with .GraphDriver.Data.LowerDir}}:{{.}}{{end}}' "$1" | tr ':' '\n'
}
# A view shows its layers in what would be mounted; one layer is a bind mount.
containerd_layers() {
    local view=/run/lab-view-$$
    mkdir -p $view
    k8s images mount "$1" $view >/dev/null
    k8s snapshots mounts /nowhere $view |
        sed -n 's/.*lowerdir=\([^, ]*\).*/\1/p; s/^mount -t bind \([^ ]*\) .*/\1/p' | tr ':' '\n'
    k8s images unmount --rm $view >/dev/null
    rmdir $view
}

case ${1:-} in
docker)
    mkdir -p "$3"
    # By short names, as Docker does: newer versions of mount(8) cut an option at 256 bytes.
    short=$(mktemp -d /run/lab-short.XXXXXX)
    count=0
    for layer in $(docker_layers "$2"); do
        ln -s "$layer" "$short/$count"
        count=$((count + 1))
    done
    case $count in
    1) mount --bind "$short/0/" "$3" && mount -o remount,bind,ro "$3" ;;
    *) (cd "$short" && mount -t overlay overlay -o "ro,index=off,lowerdir=$(seq -s: 0 $((count - 1)))" "$3") ;;
    esac
    rm -r "$short"
    ;;
containerd)
    mkdir -p "$3"
    k8s images mount "$2" "$3" >/dev/null
    ;;
off)
    if k8s snapshots info "$2" >/dev/null 2>&1; then k8s images unmount --rm "$2" >/dev/null; else umount "$2"; fi
    ;;
layers)
    case $2 in
    docker) docker_layers "$3" ;;
    *) containerd_layers "$3" ;;
    esac | while read -r layer; do realpath "$layer"; done
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 64
    ;;
esac
