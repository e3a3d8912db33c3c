#!/bin/bash
# In a node: gives Docker and containerd a file system of their own, one for both, on a loop device:
#
#   disk.sh ext4|xfs SIZE    makes it (ext4) or takes /var/lib/lab/xfs.img (the nodes have no mkfs.xfs; see xfs.sh), mounts it
#                            on /srv/images, and restarts both daemons with their roots in there
#   disk.sh off              back to the roots of before; what was in there is gone
#
# Growth of that file system is what a way of carrying images costs, to the byte.
set -eu
place=/srv/images
daemon=/etc/docker/daemon.json
config=/etc/containerd/config.toml

restart() {
    systemctl stop docker.socket docker.service containerd.service
    "$@"
    systemctl reset-failed docker.service docker.socket containerd.service 2>/dev/null || true
    systemctl start containerd.service docker.service
    docker info >/dev/null
}

# /dev of a container node has no loop devices. The mount lets the device go by itself when it ends with the node.
attach() {
    local device
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    device=$(losetup -f)
    [ -e "$device" ] || mknod "$device" b 7 "${device#/dev/loop}"
    mkdir -p $place
    mount -o loop "$1" $place
}

# The newer suites come without either file.
on() {
    mkdir -p $place/docker $place/containerd
    [ -e $daemon ] || printf '{\n  "log-level": "info"\n}\n' >$daemon
    [ -e $config ] || { mkdir -p "${config%/*}" && containerd config default >$config && sed -i '/^root = /d' $config; }
    cp -a $daemon $daemon.before
    cp -a $config $config.before
    sed -i "0,/{/s|{|{\n  \"data-root\": \"$place/docker\",|" $daemon
    # The first line: a key behind a table would belong to it.
    sed -i "1i root = \"$place/containerd\"" $config
}

# dockerd binds its root on itself where it is not shared; that mount can stay.
off() {
    mv $daemon.before $daemon
    mv $config.before $config
    while mountpoint -q $place/docker; do umount $place/docker; done
    umount $place
}

case ${1:-} in
ext4 | xfs)
    image=/var/lib/lab/$1.img
    mkdir -p /var/lib/lab
    if [ "$1" = ext4 ]; then
        rm -f "$image"
        truncate -s "$2" "$image"
        # Nothing may be written later in the background: what grows is counted.
        mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$image"
    fi
    attach "$image"
    # Gone with the mount.
    rm "$image"
    restart on
    ;;
off) restart off ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 64 ;;
esac
