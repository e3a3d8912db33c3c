#!/bin/bash
# Gets the containerd and runc of Debian's suites, to ask the real programs what they make of a configuration.
# Packages come with apt from the archive this machine itself uses, signatures checked, into a private apt state; they
# are unpacked, never installed. See README.md.
#
# Exit codes: 0 all there, 3 they cannot be had on this machine (the reason is printed), 1 anything else.
set -eu
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

suites='bullseye bookworm trixie forky'
programs='containerd containerd-shim-runc-v2 ctr runc'

usage() {
    cat <<'END_OF_USAGE'
usage: tests/containerd/fetch.sh            fetch what is missing, print the folder
       tests/containerd/fetch.sh --refresh  look for newer packages, too
       tests/containerd/fetch.sh --list     what is there: suite, containerd, runc, folder

  CASTOFF_CACHE=DIR  where they are kept (default ~/.cache/castoff), below `containerd`
END_OF_USAGE
}

cannot() {
    echo "fetch.sh: CANNOT RUN HERE: $*" >&2
    exit 3
}

say() { echo "fetch.sh: $*" >&2; }

cache=${CASTOFF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/castoff}/containerd

there() {
    local suite=$1 program
    for program in $programs; do
        [ -x "$cache/$suite/$program" ] || return 1
    done
}

refresh=''
case ${1:-} in
'') ;;
--refresh) refresh=yes ;;
--list)
    for suite in $suites; do
        if there "$suite"; then
            echo "$suite $(cat "$cache/$suite/versions") $cache/$suite"
        else
            echo "$suite is not there"
        fi
    done
    exit 0
    ;;
-h | --help)
    usage
    exit 0
    ;;
*)
    usage >&2
    exit 64
    ;;
esac

missing=''
for suite in $suites; do
    if [ -n "$refresh" ] || ! there "$suite"; then missing="$missing $suite"; fi
done
if [ -z "$missing" ]; then
    echo "$cache"
    exit 0
fi

for tool in apt-get dpkg-deb sha256sum flock; do
    command -v "$tool" >/dev/null || cannot "no $tool (the programs come out of Debian packages)"
done
[ "$(dpkg --print-architecture)" = amd64 ] || say "note: these are the packages for $(dpkg --print-architecture)"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || cannot "no $keyring (package debian-archive-keyring)"

# The archive this machine already uses is the only address taken for granted.
archive() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    apt-get indextargets --format '$(REPO_URI)|$(RELEASE)|$(CREATED_BY)' 2>/dev/null |
        awk -F'|' -v suite="$codename" '$2 == suite && $3 == "Packages" { print $1; exit }'
}
uri=$(archive)
[ -n "$uri" ] || cannot "apt knows no Debian archive on this machine"

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "waiting for another fetch" && flock 9; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# apt with a state of its own per suite; nothing of the machine's is touched.
private_apt() {
    local suite=$1 home
    home=$scratch/$suite
    shift
    apt-get -q -o Dir::State="$home/state" -o Dir::State::status="$home/status" -o Dir::Cache="$home/cache" \
        -o Dir::Etc::SourceList="$home/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::PreferencesParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 \
        -o APT::Update::Error-Mode=any "$@"
}

fetch() {
    local suite=$1 home=$scratch/$1 fresh='' deb
    mkdir -p "$home/state/lists/partial" "$home/cache/archives/partial" "$home/debs" "$home/root"
    : >"$home/status"
    # A testing suite on a mirror that is not refreshed daily outlives its Release file.
    if [ "$suite" = forky ]; then fresh='check-valid-until=no '; fi
    echo "deb [${fresh}signed-by=$keyring] $uri $suite main" >"$home/sources.list"
    private_apt "$suite" update >"$home/log" 2>&1 || { tail -n 5 "$home/log" >&2 && return 3; }
    (cd "$home/debs" && private_apt "$suite" download containerd runc) >>"$home/log" 2>&1 ||
        { tail -n 5 "$home/log" >&2 && return 3; }
    for deb in "$home"/debs/*.deb; do dpkg-deb -x "$deb" "$home/root"; done
    keep "$suite"
}

# Kept by content; the suite's name is a link to it.
keep() {
    local suite=$1 home=$scratch/$1 folder program from versions
    versions=$(for program in containerd runc; do
        dpkg-deb -f "$home"/debs/"$program"_*.deb Version
    done | tr '\n' ' ')
    folder=${versions%%[~+-]*}-$(cat "$home"/debs/*.deb | sha256sum | cut -c 1-12)
    if [ ! -d "$cache/$folder" ]; then
        mkdir "$home/kept"
        for program in $programs; do
            # Completions for shells have the programs' names, too.
            from=$(find "$home/root/usr/bin" "$home/root/usr/sbin" -type f -name "$program" 2>/dev/null | head -n 1)
            [ -n "$from" ] || { say "no $program in the packages of $suite" && return 1; }
            install -m 755 "$from" "$home/kept/$program"
        done
        echo "${versions% }" >"$home/kept/versions"
        (cd "$home/debs" && sha256sum -- *.deb) >"$home/kept/SHA256SUMS"
        cp -r "$home/kept" "$cache/.new-$folder"
        mv -T "$cache/.new-$folder" "$cache/$folder"
    fi
    ln -sfn "$folder" "$cache/.link-$suite"
    mv -T "$cache/.link-$suite" "$cache/$suite"
    say "$suite: containerd and runc ${versions% }"
}

for suite in $missing; do
    code=0
    fetch "$suite" || code=$?
    if [ $code != 0 ]; then
        rm -rf "$cache"/.new-*
        if [ $code = 3 ]; then cannot "apt cannot fetch the packages of $suite (see above)"; fi
        exit $code
    fi
    rm -rf "${scratch:?}/$suite"
done
echo "$cache"
