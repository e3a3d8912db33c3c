#!/bin/sh
# Builds castoff from this checkout and installs it. `./install.sh --help` says how.
set -eu

usage() {
    cat <<'END'
usage: ./install.sh [OPTION...]

Builds castoff from this checkout, installs it, and shows it on a sample node. In an unpacked archive nothing is built:
the castoff in it is installed.

  --prefix DIR    where to: DIR/bin/castoff, and man pages and shell completions below DIR/share
                  (default: /usr/local as root, ~/.local otherwise)
  --from ARCHIVE  install from castoff-VERSION-ARCH.tar.gz, which packaging/build makes, instead of building; its checksum
                  is compared where a SHA256SUMS lies beside it
  --binary FILE   install this castoff instead of building one
  --no-demo       do not run `castoff demo` at the end
  --dry-run       say what would be done, and do nothing
  --uninstall     remove exactly what this script installed below the prefix
  --version       print the version that would be installed
  -h, --help      print this

Building needs cargo and a C compiler; as root on a Debian-like system a missing C compiler (gcc libc6-dev), and TLS
certificates for cargo's downloads (ca-certificates), are installed with apt.
Nothing else is changed: no shell profile, no service, no setting. Downloaded crates stay in cargo's cache and what is
built stays in target/.
END
}

usage_error() {
    printf 'error: %s\nhint: ./install.sh --help\n' "$*" >&2
    exit 64
}

main() {
    root=$(cd "$(dirname "$0")" && pwd)
    # shellcheck source=packaging/build.sh
    . "$root/packaging/build.sh"

    prefix='' binary='' from='' demo=yes dry_run='' uninstall=''
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix | --binary | --from)
            [ -n "${2:-}" ] || usage_error "$1 needs a value"
            case $1 in
            --prefix) prefix=$2 ;;
            --binary) binary=$2 ;;
            --from) from=$2 ;;
            esac
            shift
            ;;
        --prefix=?*) prefix=${1#*=} ;;
        --binary=?*) binary=${1#*=} ;;
        --from=?*) from=${1#*=} ;;
        --no-demo) demo='' ;;
        --dry-run) dry_run=yes ;;
        --uninstall) uninstall=yes ;;
        --version)
            version
            return 0
            ;;
        -h | --help)
            usage
            return 0
            ;;
        *) usage_error "unknown argument \`$1\`" ;;
        esac
        shift
    done
    if [ -n "$from" ] && [ -n "$binary" ]; then usage_error "--from and --binary: one of them, please"; fi
    # An archive that was unpacked brings its own.
    if [ -z "$from$binary" ] && [ -f "$root/bin/castoff" ] && [ ! -d "$root/src" ]; then binary=$root/bin/castoff; fi
    choose_prefix
    umask 022
    record=share/castoff/installed-files
    if [ -n "$uninstall" ]; then
        uninstall
    else
        install_castoff
    fi
}

version() { sed -n 's/^version *= *"\([^"]*\)".*/\1/p' "$root/Cargo.toml" | head -n 1; }

choose_prefix() {
    if [ -z "$prefix" ]; then
        if [ "$(id -u)" = 0 ]; then
            prefix=/usr/local
        else
            [ -n "${HOME:-}" ] || usage_error "HOME is not set: say where to with --prefix DIR"
            prefix=$HOME/.local
        fi
    fi
    case $prefix in
    /*) ;;
    *) prefix=$PWD/$prefix ;;
    esac
    prefix=${prefix%/}
    case $prefix in
    "" | *"
"*) usage_error "the prefix must be a folder below /" ;;
    esac
}

install_castoff() {
    check_prefix
    trap 'rm -rf "${stage:-}" "${unpacked:-}"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [ -n "$from" ]; then unpack; fi
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || die "there is no castoff $binary"
        say "castoff:    ${from:-$binary}, as it is"
    else
        prepare_build
    fi
    say "install to: $prefix"
    if [ -n "$dry_run" ]; then
        say "would install $prefix/bin/castoff, man pages and completions below $prefix/share, as far as it offers them,"
        say "and list them in $prefix/$record${demo:+; would run \`castoff demo\`}"
        say "nothing was changed"
        return 0
    fi
    if [ -z "$binary" ]; then
        say "building; the first time this takes a few minutes"
        build_castoff release || die "castoff does not build (see above); nothing was installed"
        binary=$built
    fi
    # Where it will be: the folder for temporary files may be mounted noexec, and it is asked for its pages.
    stage=$(mktemp -d "$place/.castoff-install.XXXXXX")
    collect
    check_foreign
    put_in_place
    say "installed ${what:-castoff} to $prefix/bin/castoff$extras"
    path_hint
    say "to remove it: ./install.sh --uninstall --prefix $(quoted "$prefix")"
    if [ -n "$demo" ]; then
        say ""
        "$prefix/bin/castoff" demo ||
            die "castoff is installed, but \`castoff demo\` failed here; please report what it says above"
    fi
}

# unpack: takes castoff out of the archive `from`; sets `binary`.
unpack() {
    [ -f "$from" ] || die "there is no archive $from"
    sums=$(dirname "$from")/SHA256SUMS name=$(basename "$from")
    if [ -f "$sums" ]; then
        wanted=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$sums")
        [ -n "$wanted" ] || die "$sums does not name $name"
        found=$(sha256sum <"$from" | cut -d' ' -f1)
        [ "$found" = "$wanted" ] || die "$from is damaged or another one: its SHA-256 is $found, $sums says $wanted"
        say "checksum:   as in $sums"
    else
        say "note: no SHA256SUMS lies beside $from; its checksum is not compared"
    fi
    unpacked=$(mktemp -d)
    # One member by name: nothing else in the archive is written anywhere.
    member=$(tar -tzf "$from" 2>/dev/null | grep -x 'castoff-[^/]*/bin/castoff' | head -n 1) || true
    [ -n "$member" ] || die "$from is no archive with a castoff in it"
    tar -xzOf "$from" "$member" >"$unpacked/castoff" || die "$from cannot be unpacked"
    chmod 755 "$unpacked/castoff"
    binary=$unpacked/castoff
}

# Found out before minutes of building, not after.
check_prefix() {
    place=$prefix
    [ -e "$place" ] || place=$(dirname "$prefix")
    [ -d "$place" ] || die "cannot install to $prefix: there is no folder $place"
    [ -w "$place" ] || die "cannot install to $prefix: no right to write to $place
hint: run as root, or choose a place of your own with --prefix DIR"
}

prepare_build() {
    need_rust
    say "rustc:      $rustc_version"
    if [ -n "$dry_run" ]; then
        certificates_here || say "certificates: missing; as root on a Debian-like system ca-certificates would be installed with apt"
        if ! linker_works; then
            say "C compiler: missing; as root on a Debian-like system gcc and libc6-dev would be installed with apt"
            return 0
        fi
    else
        need_linker
        need_certificates
    fi
    choose_build
    say "castoff:    $(version), built for $build_target ($build_kind)"
}

# Everything to install goes to $stage first, laid out as below the prefix.
collect() {
    mkdir -p "$stage/tree/bin" "$stage/man"
    cp "$binary" "$stage/tree/bin/castoff"
    chmod 755 "$stage/tree/bin/castoff"
    castoff=$stage/tree/bin/castoff
    # Not through a pipe, which would end as its last program does.
    what=$("$castoff" --version 2>/dev/null) || die "$binary does not run in $place; nothing was installed
hint: it is damaged, or for another kind of machine, or the file system there is mounted noexec"
    case $what in
    "castoff "*) ;;
    *) die "$binary is no castoff; nothing was installed" ;;
    esac
    extras=''
    if "$castoff" man "$stage/man" >/dev/null 2>&1 && [ -n "$(find "$stage/man" -name '*.[1-8]' -type f)" ]; then
        find "$stage/man" -name '*.[1-8]' -type f >"$stage/pages"
        while IFS= read -r page; do
            section=$stage/tree/share/man/man${page##*.}
            mkdir -p "$section"
            cp "$page" "$section/"
        done <"$stage/pages"
        extras=", with man pages"
    else
        say "note: this castoff offers no man pages; none are installed"
    fi
    completion bash share/bash-completion/completions/castoff
    completion zsh share/zsh/site-functions/_castoff
    completion fish share/fish/vendor_completions.d/castoff.fish
    (cd "$stage/tree" && find . -type f | sed 's,^\./,,' | LC_ALL=C sort) >"$stage/files"
}

# completion SHELL FILE
completion() {
    if "$castoff" completions "$1" >"$stage/completion" 2>/dev/null && [ -s "$stage/completion" ]; then
        mkdir -p "$stage/tree/$(dirname "$2")"
        cp "$stage/completion" "$stage/tree/$2"
        extras="$extras, $1 completion"
    else
        say "note: this castoff offers no completion for $1; none is installed"
    fi
}

# The record: one line per thing, `f` or `d` and its place below the prefix.
recorded() { sed -n "s/^$1 //p" "$prefix/$record" 2>/dev/null || true; }

# A file of the same name that somebody else put there is theirs.
check_foreign() {
    recorded f >"$stage/old"
    while IFS= read -r file; do
        if [ -e "$prefix/$file" ] && ! grep -qxF -- "$file" "$stage/old"; then
            die "$prefix/$file is there already and was not installed by this script
hint: move it away, or choose another --prefix"
        fi
    done <"$stage/files"
}

put_in_place() {
    # Folders that are ours to remove again: those missing now and those an earlier run made.
    recorded d >"$stage/dirs"
    { cat "$stage/files" && echo "$record"; } | while IFS= read -r file; do
        dir=$(dirname "$file")
        while :; do
            [ -d "$prefix/$dir" ] || echo "$dir"
            [ "$dir" != . ] || break
            dir=$(dirname "$dir")
        done
    done >>"$stage/dirs"
    # Parents before children, so that removal goes backwards through the list.
    LC_ALL=C sort -u "$stage/dirs" >"$stage/made"

    while IFS= read -r dir; do mkdir -p "$prefix/$dir"; done <"$stage/made"
    # Written before the first file, so that an install cut off half-way can be removed too.
    write_record "$stage/old" "$stage/files"
    while IFS= read -r file; do
        # Beside its place, then renamed: a running castoff is not written over, and a reader sees old or new.
        cp "$stage/tree/$file" "$prefix/$file.new.$$"
        if [ "$file" = bin/castoff ]; then chmod 755 "$prefix/$file.new.$$"; else chmod 644 "$prefix/$file.new.$$"; fi
        mv -f "$prefix/$file.new.$$" "$prefix/$file"
    done <"$stage/files"
    # What an earlier version had and this one has not.
    while IFS= read -r file; do
        grep -qxF -- "$file" "$stage/files" || rm -f "${prefix:?}/$file"
    done <"$stage/old"
    write_record "$stage/files"
}

# write_record LIST...
write_record() {
    {
        echo "# ${what:-castoff}: what ./install.sh put below this prefix; ./install.sh --uninstall reads it"
        sed 's/^/d /' "$stage/made"
        LC_ALL=C sort -u "$@" | sed 's/^/f /'
    } >"$prefix/$record.new.$$"
    mv -f "$prefix/$record.new.$$" "$prefix/$record"
}

uninstall() {
    [ -f "$prefix/$record" ] || die "no castoff installed by this script below $prefix
hint: --prefix DIR names another place"
    for kind in f d; do
        # A record that leads out of the prefix is not one this script wrote.
        if recorded $kind | grep -q -e '^/' -e '\(^\|/\)\.\.\(/\|$\)'; then
            die "$prefix/$record is damaged; nothing was removed"
        fi
    done
    recorded f | while IFS= read -r file; do
        if [ -n "$dry_run" ]; then
            say "would remove $prefix/$file"
        else
            rm -f "${prefix:?}/$file"
        fi
    done
    if [ -n "$dry_run" ]; then
        say "nothing was changed"
        return 0
    fi
    dirs=$(recorded d | LC_ALL=C sort -r)
    rm -f "${prefix:?}/$record"
    printf '%s\n' "$dirs" | while IFS= read -r dir; do
        # Ours, but somebody may have put something there since. `.` is the prefix; rmdir refuses that name.
        case $dir in
        "") ;;
        .) rmdir "$prefix" 2>/dev/null || true ;;
        *) rmdir "$prefix/$dir" 2>/dev/null || true ;;
        esac
    done
    say "removed castoff from $prefix"
    say "what castoff keeps about its runs on nodes (/var/lib/castoff, /etc/castoff) is not touched"
}

path_hint() {
    case :${PATH:-}: in
    *":$prefix/bin:"*) ;;
    *) say "hint: $prefix/bin is not in your PATH; add it in your shell's profile: export PATH=$(quoted "$prefix/bin"):\$PATH" ;;
    esac
}

# quoted TEXT: as it must be typed into a shell.
quoted() {
    case $1 in
    *[!A-Za-z0-9/._-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
    esac
}

main "$@"
