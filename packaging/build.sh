# shellcheck shell=sh disable=SC2034,SC2154
# How castoff is built on whatever machine this is. Sourced by install.sh and test.sh, which set `root` to the checkout;
# it only defines functions. They set: RUSTUP_TOOLCHAIN (when it must differ from rust-toolchain.toml), build_target,
# build_flags, build_kind, built.

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# version_at_least HAVE WANT: compares up to three numbers; a suffix such as -nightly does not count.
version_at_least() {
    awk -v have="$1" -v want="$2" 'BEGIN {
        split(have, h, /[.-]/); split(want, w, /[.-]/)
        for (i = 1; i <= 3; i++) { if (h[i] + 0 > w[i] + 0) exit 0; if (h[i] + 0 < w[i] + 0) exit 1 }
    }'
}

oldest_rustc() { sed -n 's/^rust-version *= *"\([^"]*\)".*/\1/p' "$root/Cargo.toml"; }
pinned_rustc() { sed -n 's/^channel *= *"\([^"]*\)".*/\1/p' "$root/rust-toolchain.toml" 2>/dev/null; }

# The version of the rustc that would build here, or nothing. Asked inside the checkout, because that is where rustup
# looks for the pin.
present_rustc() { (cd "$root" && rustc --version 2>/dev/null) | sed -n 's/^rustc \([0-9][^ ]*\).*/\1/p'; }

rust_advice() {
    say "castoff is built with cargo and rustc, version $(oldest_rustc) or newer."
    say "  - rustup, Rust's own installer, gets one without root; your distribution may package it as \`rustup\`,"
    say "    else Rust's home page has it. Then open a new shell and run this again."
    say "  - A distribution's own \`cargo\` package works only when it is new enough: Debian 12's (0.66, rustc 1.63) is not."
}

# Finds a cargo that can build castoff, or ends with advice.
need_rust() {
    want=$(oldest_rustc)
    if ! command -v cargo >/dev/null 2>&1; then
        # Just installed by rustup, in a shell that was there before.
        bin=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
        if [ -x "$bin/cargo" ]; then PATH=$bin:$PATH && export PATH; fi
    fi
    if ! command -v cargo >/dev/null 2>&1 || ! command -v rustc >/dev/null 2>&1; then
        say "error: there is no cargo here"
        if [ -n "${SUDO_USER:-}" ]; then
            say "  sudo hides the programs in your home. Build without sudo: \`./install.sh\` installs to ~/.local;"
            say "  then, for everybody: \`sudo ./install.sh --binary ~/.local/bin/castoff\`"
        fi
        rust_advice
        exit 1
    fi
    have=$(present_rustc)
    if [ -z "$have" ] && command -v rustup >/dev/null 2>&1; then
        # The pinned toolchain is neither here nor to be had. Any that is new enough builds the same program.
        for toolchain in $(rustup default 2>/dev/null | cut -d' ' -f1) \
            $(rustup toolchain list 2>/dev/null | cut -d' ' -f1 | grep -v -e '^nightly' -e '^beta'); do
            have=$(RUSTUP_TOOLCHAIN=$toolchain rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9][^ ]*\).*/\1/p')
            if [ -n "$have" ] && version_at_least "$have" "$want"; then
                RUSTUP_TOOLCHAIN=$toolchain
                export RUSTUP_TOOLCHAIN
                say "note: Rust $(pinned_rustc), which rust-toolchain.toml names, is not to be had here; using $toolchain ($have)"
                break
            fi
            have=
        done
    fi
    if [ -z "$have" ]; then
        say "error: no Rust toolchain here works for this checkout; rustc says:"
        (cd "$root" && RUST_BACKTRACE=0 rustc --version 2>&1) | sed 's/^/  /' >&2
        rust_advice
        exit 1
    fi
    if ! version_at_least "$have" "$want"; then
        say "error: rustc here is $have, too old for castoff"
        rust_advice
        exit 1
    fi
    rustc_version=$have
}

# Rust links with the C compiler: `cc` alone is not enough, it needs the C library's start files too.
linker_works() {
    command -v cc >/dev/null 2>&1 || return 1
    probe=$(mktemp -d) || return 1
    printf 'int main(void) { return 0; }\n' >"$probe/probe.c"
    code=0
    cc -o "$probe/probe" "$probe/probe.c" >/dev/null 2>&1 || code=1
    rm -rf "$probe"
    return $code
}

# apt_install PACKAGE...: as root on a Debian-like system; fails elsewhere.
apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "installing with apt: $*"
    # The package lists may be missing (fresh images) or too old: an update helps then. dpkg is talkative; only what it
    # says last matters, and only when it fails.
    if apt_quietly "$@" >/dev/null; then return 0; fi
    apt-get update </dev/null >/dev/null 2>&1 || true
    if out=$(apt_quietly "$@"); then return 0; fi
    printf '%s\n' "$out" | tail -n 5 | sed 's/^/  /' >&2
    return 1
}

apt_quietly() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null 2>&1; }

# Whatever building needs besides Rust; ends with advice when it cannot be had.
need_linker() {
    if linker_works; then return 0; fi
    apt_install gcc libc6-dev || true
    linker_works && return 0
    say "error: Rust needs a C compiler to link with, and \`cc\` is missing or cannot make a program"
    say "  Debian, Ubuntu:  apt install gcc libc6-dev"
    say "  Fedora, RHEL:    dnf install gcc glibc-devel   (and glibc-static for a static castoff)"
    say "  Alpine:          apk add gcc musl-dev"
    exit 1
}

certificates_here() {
    for file in "${SSL_CERT_FILE:-}" "${CARGO_HTTP_CAINFO:-}" "${SSL_CERT_DIR:-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
        if [ -n "$file" ] && [ -e "$file" ]; then return 0; fi
    done
    return 1
}

# cargo fetches crates over TLS and brings no certificates of its own; a minimal Debian has none. No error: the crates
# may be there already.
need_certificates() {
    certificates_here || apt_install ca-certificates ||
        say "note: this machine has no TLS certificates (package ca-certificates); cargo may not be able to fetch crates"
}

# links TARGET FLAG...: a small Rust program for that target can be made here.
links() {
    probe=$(mktemp -d) || return 1
    printf 'fn main() { println!("{:?}", std::thread::spawn(|| 1).join().is_ok()); }\n' >"$probe/probe.rs"
    target=$1
    shift
    code=0
    (cd "$root" && rustc --target "$target" "$@" -o "$probe/probe" "$probe/probe.rs") >/dev/null 2>&1 || code=1
    # The C library can be there for linking and still not be the one that runs here.
    if [ $code = 0 ]; then "$probe/probe" >/dev/null 2>&1 || code=1; fi
    rm -rf "$probe"
    return $code
}

# The best kind of build this machine can make: a static one runs on every node, whatever its C library.
choose_build() {
    host=$(cd "$root" && rustc -vV | sed -n 's/^host: //p')
    arch=${host%%-*}
    build_flags=
    if links "$arch-unknown-linux-musl"; then
        build_target=$arch-unknown-linux-musl
        build_kind="static, musl"
    elif links "$arch-unknown-linux-gnu" -C target-feature=+crt-static; then
        build_target=$arch-unknown-linux-gnu
        build_flags="-C target-feature=+crt-static"
        build_kind="static, glibc"
    else
        build_target=$host
        build_kind="dynamic: it needs this machine's C library or a newer one"
    fi
}

# build_castoff PROFILE [CARGO OPTION...]: after choose_build; sets `built`.
build_castoff() {
    profile=$1
    shift
    flags=$build_flags
    if [ "$profile" = release ]; then
        # A panic ends it (Cargo.toml), and nobody unwinds a stack.
        flags="$flags -C force-unwind-tables=no"
        # Where linker and C library know how: packed relocations, functions of the same code once, no tables for unwinding.
        for smaller in "-C link-arg=-Wl,-z,pack-relative-relocs" "-C link-arg=-Wl,--icf=all" \
            "-C link-arg=-Wl,--no-eh-frame-hdr -C link-arg=-Wl,-T,$root/packaging/no-unwind-tables.ld"; do
            # shellcheck disable=SC2086 # both are lists
            if links "$build_target" -C panic=abort $flags $smaller; then flags="$flags $smaller"; fi
        done
    fi
    (cd "$root" && RUSTFLAGS="${RUSTFLAGS:-} $flags" \
        cargo build --locked --profile "$profile" --target "$build_target" --bin castoff "$@" </dev/null) || return 1
    # Asked, not guessed: a person's own cargo settings may have moved it.
    target_dir=$(cd "$root" && cargo metadata --locked --no-deps --format-version 1 |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    built=$target_dir/$build_target/$profile/castoff
    [ -x "$built" ] || { say "error: cargo built no $built" && return 1; }
}

# Versions of the tools that packages and the book are made with; others may lay out the same thing differently.
CARGO_DEB=3.8.0
CARGO_GENERATE_RPM=0.21.1
MDBOOK=0.5.4

# cached_tool NAME VERSION [CARGO OPTION...]: sets `tool` to a program of that version, built into `cache` if it is not
# there yet. Hardly optimised: what they do takes seconds, and optimising them minutes.
cached_tool() {
    tool_name=$1 tool_version=$2
    shift 2
    tool=$cache/$tool_name-$tool_version/bin/$tool_name
    if [ -x "$tool" ]; then return 0; fi
    say "building $tool_name $tool_version into $cache, once"
    tool_target=$(mktemp -d) || return 1
    code=0
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_TARGET_DIR=$tool_target RUSTFLAGS='' CFLAGS='' \
        cargo install --quiet --locked --debug --version "=$tool_version" --root "${tool%/bin/*}" "$tool_name" "$@" >&2 || code=1
    rm -rf "$tool_target"
    return $code
}
