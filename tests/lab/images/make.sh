#!/bin/bash
# Makes images without any registry, as an archive that `docker load` and `ctr images import` read, on standard output:
#
#   make.sh torture            zc/torture:1 (also zc/torture:also) and zc/derived:1, which share their two lowest layers:
#                              whatever a layer can hold that a copy may get wrong
#   make.sh big [MEGABYTES [FILES [LAYERS]]]
#                              zc/big:1 (2100 MB, 80000 files, 9 layers) with contents that do not compress
#
# Runs in a node or on the host, as anybody. Needs GNU tar, coreutils, Perl's core (perl-base), and for something that can be
# run a static busybox ($BUSYBOX, /bin/busybox). The layers are made in $TMPDIR; `big` needs its size there.
set -eu -o pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUSYBOX=${BUSYBOX:-/bin/busybox}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One time for all, so that the same description is the same image on every machine.
T=1600000000
created=$(date -u -d @$T +%Y-%m-%dT%H:%M:%SZ)

# layer NAME [ARGUMENT...]: one layer into the file of that name.
layer() {
    local name=$1
    shift
    perl "$here/layer.pl" "$@" >"$work/$name"
}

# The lowest layer: what runs.
base() {
    layer base <<END
d . 755 0:0 $T
d bin 755 0:0 $T
f bin/busybox 755 0:0 $T file:$BUSYBOX
$(for each in sh cat ls mkdir mv rm sleep stat touch; do echo "l bin/$each 777 0:0 $T to:busybox"; done)
d etc 755 0:0 $T
f etc/passwd 644 0:0 $T text:root:x:0:0:root:/:/bin/sh\\x0a
d tmp 1777 0:0 $T
END
}

# Kinds, owners, modes, times, attributes and names. Nanoseconds everywhere, so that a lost one shows.
things() {
    layer things <<END
d . 755 0:0 $T.100000001
d things 750 11:22 $T.123456789
f things/empty 644 0:0 $T.000000001
f things/one-byte 644 0:0 $T.999999999 text:x
f things/oldest 644 0:0 0 text:0
f things/far-future 644 0:0 4102444800.5 text:2100
f things/large 644 0:0 $T.25 random:300001
f things/zeros 644 0:0 $T.75 zero:1048576
f things/setuid 4755 0:0 $T text:1
f things/setuid-other 4711 33:44 $T text:2
f things/setgid 2755 0:55 $T text:3
f things/sticky-file 1644 0:0 $T text:4
f things/all-bits 7777 1:1 $T text:5
f things/no-bits 0 0:0 $T text:6
f things/big-owner 600 3000000:3000001 $T text:7
f things/biggest-owner 600 4294967293:4294967292 $T text:8
d things/no-permissions 0 66:77 $T.3
f things/no-permissions/inside 400 66:77 $T text:inside
d things/setgid-dir 2775 0:88 $T.4
d things/sticky-dir 1777 0:0 $T.5
f things/capable 755 0:0 $T text:cap security.capability=\\x01\\x00\\x00\\x02\\x00\\x20\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00
f things/capable-other 4755 99:99 $T text:cap security.capability=\\x01\\x00\\x00\\x02\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00
f things/attributes 644 0:0 $T text:a user.short=v user.binary=\\x01\\x00\\xff\\x0a trusted.lab=t
f things/attribute-long 644 0:0 $T text:a user.long=%2000
f things/attributes-read-only 444 5:5 $T text:a user.short=v
d things/attributes-dir 755 0:0 $T user.dir=d trusted.lab=d
f things/acl 660 0:0 $T text:acl acl:u::6,u:1234:6,g::4,g:3000000:5,m::6,o::0
d things/acl-dir 775 0:0 $T acl:u::7,u:1234:7,g::5,m::7,o::5 default-acl:u::7,u:4321:5,g::5,m::5,o::0
p things/fifo 620 7:7 $T.6
c things/char 666 8:8 $T.7 dev:1,3
b things/block 660 9:9 $T.8 dev:7,200
c things/char-big 600 0:0 $T dev:511,262143
f things/linked-a 644 10:10 $T text:linked user.linked=yes
h things/linked-b 644 10:10 $T to:things/linked-a
d things/sub 755 0:0 $T
h things/sub/linked-c 644 10:10 $T to:things/linked-a
p things/fifo-linked 600 0:0 $T
h things/sub/fifo-linked 600 0:0 $T to:things/fifo-linked
l things/link-linked 777 3:3 $T.9 to:nowhere
h things/sub/link-linked 777 3:3 $T.9 to:things/link-linked
l things/dangling 777 12:13 $T.11 to:/does/not/exist
l things/up 777 0:0 $T to:../../../../../etc/passwd
l things/loop 777 0:0 $T to:loop
l things/long-target 777 0:0 $T to:%200/%200/%200
l things/odd-target 777 0:0 $T to:\\xff\\x0a\\x20\\x5c
d names 755 0:0 $T
f names/\\x20 644 0:0 $T text:space
f names/a\\x20b\\x20\\x20c\\x20 644 0:0 $T text:spaces
f names/new\\x0aline 644 0:0 $T text:newline
f names/-rf 644 0:0 $T text:dash
f names/--\\x20-x 644 0:0 $T text:dashes
f names/back\\x5cslash 644 0:0 $T text:backslash
f names/\\x5cx41 644 0:0 $T text:escape
f names/gl*b?[x]{y}\$z 644 0:0 $T text:glob
f names/quote'"\` 644 0:0 $T text:quotes
f names/\\x01\\x1b\\x7f 644 0:0 $T text:control
f names/gr\\xc3\\xbc\\xc3\\x9fe-\\xe2\\x82\\xac 644 0:0 $T text:utf8
f names/u\\xcc\\x88 644 0:0 $T text:decomposed
f names/\\xc3\\xbc 644 0:0 $T text:composed
f names/bad-\\xff\\xfe\\x80 644 0:0 $T text:not-utf8
d names/bad-dir-\\xc3\\x28 755 0:0 $T
f names/bad-dir-\\xc3\\x28/file 644 0:0 $T text:not-utf8
f names/%255 644 0:0 $T text:long
f names/.whx 644 0:0 $T text:not-a-whiteout
f names/... 644 0:0 $T text:dots
f names/a:b,c=d 644 0:0 $T text:mount-options
d names/colon:dir 755 0:0 $T
f names/colon:dir/x 644 0:0 $T text:x
d deep 755 0:0 $T
$(path=deep; for _ in 1 2 3 4 5 6 7 8; do path=$path/%120; echo "d $path 755 0:0 $T.5"; done; echo "f $path/bottom 644 0:0 $T.5 text:deep")
d change 755 0:0 $T
f change/removed 644 0:0 $T text:removed
f change/replaced 644 0:0 $T text:old
f change/same-content-other-mode 644 0:0 $T text:same
f change/same-content-other-time 644 0:0 $T text:same
f change/attributes-gone 644 0:0 $T text:a user.gone=yes
f change/file-dir-link 644 0:0 $T text:file
d change/dir-file-dir 755 0:0 $T
f change/dir-file-dir/old 644 0:0 $T text:old
l change/link-file 777 0:0 $T to:replaced
d change/dir-link 755 0:0 $T
f change/dir-link/old 644 0:0 $T text:old
d change/removed-dir 755 0:0 $T
f change/removed-dir/x 644 0:0 $T text:x
d change/removed-and-back 755 0:0 $T
f change/removed-and-back/old 644 0:0 $T text:old
f change/file-back 644 0:0 $T text:first
d change/opaque 755 0:0 $T
f change/opaque/old 644 0:0 $T text:old
d change/opaque/old-dir 755 0:0 $T
f change/opaque/old-dir/x 644 0:0 $T text:x
d change/opaque-twice 755 0:0 $T
f change/opaque-twice/first 644 0:0 $T text:first
d change/opaque-empty 700 14:14 $T user.opaque=before
f change/opaque-empty/old 644 0:0 $T text:old
f change/fifo 644 0:0 $T text:file
f change/hard-a 644 0:0 $T text:hard
h change/hard-b 644 0:0 $T to:change/hard-a
h change/hard-c 644 0:0 $T to:change/hard-a
d change/merged 755 0:0 $T
f change/merged/lower 644 0:0 $T text:lower
f change/removed\\x0aline 644 0:0 $T text:removed
f change/removed-\\xff 644 0:0 $T text:removed
END
}

# What later layers do to that.
changes() {
    layer changes <<END
d . 755 0:0 $T.200000002
d change 711 21:22 $T.212121212
f change/.wh.removed 644 0:0 $T
f change/.wh.removed\\x0aline 644 0:0 $T
f change/.wh.removed-\\xff 644 0:0 $T
f change/replaced 600 1:2 $T.3 text:new\\x20and\\x20longer
f change/same-content-other-mode 4600 3:4 $T text:same
f change/same-content-other-time 644 0:0 $T.000000001 text:same
f change/attributes-gone 644 0:0 $T text:a
d change/file-dir-link 755 0:0 $T
f change/file-dir-link/inside 644 0:0 $T text:inside
f change/dir-file-dir 644 0:0 $T text:file
f change/link-file 644 0:0 $T text:file
l change/dir-link 777 0:0 $T to:merged
f change/.wh.removed-dir 644 0:0 $T
f change/.wh.removed-and-back 644 0:0 $T
f change/.wh.file-back 644 0:0 $T
d change/opaque 751 5:6 $T.5 user.opaque=yes
f change/opaque/.wh..wh..opq 644 0:0 $T
f change/opaque/new 644 0:0 $T text:new
d change/opaque/old-dir 700 0:0 $T
f change/opaque/old-dir/y 644 0:0 $T text:y
d change/opaque-twice 755 0:0 $T
f change/opaque-twice/.wh..wh..opq 644 0:0 $T
f change/opaque-twice/second 644 0:0 $T text:second
d change/opaque-empty 755 0:0 $T
f change/opaque-empty/.wh..wh..opq 644 0:0 $T
p change/fifo 600 0:0 $T
f change/hard-b 644 0:0 $T text:apart
d change/merged 700 7:8 $T
f change/merged/upper 644 0:0 $T text:upper
END
}

empty() { layer empty </dev/null; }

more() {
    layer more <<END
d . 755 0:0 $T
d change 755 0:0 $T.313131313
l change/file-dir-link 777 0:0 $T to:replaced
d change/dir-file-dir 755 0:0 $T
f change/dir-file-dir/new 644 0:0 $T text:new
d change/removed-and-back 500 15:16 $T
f change/removed-and-back/new 644 0:0 $T text:new
f change/file-back 644 0:0 $T text:second
d change/opaque-twice 755 0:0 $T
f change/opaque-twice/.wh..wh..opq 644 0:0 $T
f change/opaque-twice/third 644 0:0 $T text:third
d change/opaque 755 0:0 $T
f change/opaque/.wh.new 644 0:0 $T
d names 755 0:0 $T
f names/.wh.%251 644 0:0 $T
END
}

# The root directory itself. Docker and containerd skip it when they unpack, so this must not change anything.
top() {
    layer $1 <<END
d . $3 $4 $T.404040404 user.root=$2 trusted.root=$2
d etc 755 0:0 $T
f etc/which 644 0:0 $T text:$2\\x0a
END
}

sum() { sha256sum "$work/$1" | cut -d' ' -f1; }

# image LAYERS NAME...: the configuration of an image of these layers; its entry in the manifest goes to `manifest`.
manifest='' configs=''
image() {
    local layers=$1 each ids='' files='' history='' tags='' config
    shift
    for each in $layers; do
        ids="$ids,\"sha256:$(sum "$each")\""
        files="$files,\"$each/layer.tar\""
        history="$history,{\"created\":\"$created\",\"created_by\":\"layer $each\"},{\"created\":\"$created\",\"created_by\":\"LABEL after=$each\",\"empty_layer\":true}"
    done
    for each in "$@"; do tags="$tags,\"$each\""; done
    printf '{"architecture":"%s","config":{"Env":["PATH=/bin"],"Cmd":["/bin/cat","/etc/which"],"Labels":{"test":"<&> \\u00fc"}},"created":"%s","history":[%s],"os":"linux","rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$architecture" "$created" "${history#,}" "${ids#,}" >"$work/config"
    config=$(sum config)
    mv "$work/config" "$work/$config.json"
    configs="$configs $config.json"
    manifest="$manifest,{\"Config\":\"$config.json\",\"RepoTags\":[${tags#,}],\"Layers\":[${files#,}]}"
}

# archive LAYER...: the whole. --transform instead of copies into folders: the layers may be large.
archive() {
    echo "[${manifest#,}]" >"$work/manifest.json"
    # shellcheck disable=SC2086 # a list of words
    (cd "$work" && tar --format=gnu --owner=0 --group=0 --numeric-owner --mtime=@$T --transform='s|^\([a-z0-9-]*\)$|\1/layer.tar|' \
        -cf - manifest.json $configs "$@")
}

case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac

case ${1:-} in
torture)
    base
    things
    changes
    empty
    more
    top top torture 1751 12:34
    top derived derived 755 56:78
    image "base things changes empty more empty top" zc/torture:1 zc/torture:also
    image "base things derived" zc/derived:1
    archive base things changes empty more top derived
    ;;
big)
    megabytes=${2:-2100} files=${3:-80000} layers=${4:-9}
    base
    names='base'
    # The lowest layer holds what runs, and is one of them.
    for n in $(seq $((layers - 1))); do
        layer bulk$n --bulk $((files / (layers - 1))) $((megabytes * 1000000 / (layers - 1))) "$n"
        names="$names bulk$n"
    done
    image "$names" zc/big:1
    # shellcheck disable=SC2086 # a list of words
    archive $names
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 64
    ;;
esac
