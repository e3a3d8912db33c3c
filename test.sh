#!/bin/bash
# Every gate a change has to pass, on a bare machine too. `./test.sh --help` says how.
set -eu

usage() {
    cat <<'END'
usage: ./test.sh                    every gate, then the lab's smoke tier
       ./test.sh quick              every gate, without the lab
       ./test.sh lab NAME...        these lab scenarios only
       ./test.sh lab --smoke|--full all scenarios of the smoke tier, or all there are
       ./test.sh --help

Gates: format, shell scripts, the scripts' own tests, clippy, tests, real containerd, docs, dependencies, install, packages, book,
Ansible collection, pages in a browser. Missing tools are installed: Debian packages with apt when this is root, cargo-deny, cargo-deb,
cargo-generate-rpm and mdbook with cargo, and packages of npm, all into the cache. What cannot be done here is skipped, with the reason,
and counted; the last line adds up gates, tests and lab checks. Exit code 1 if anything failed.

  CASTOFF_LAB=required  a lab that cannot run here is a failure (CI sets it)
  CI=true               so is a gate whose tool cannot be had
  CASTOFF_CACHE=DIR     where built tools and fetched containerds are kept (default ~/.cache/castoff)
  CARGO_TARGET_DIR=DIR  as always; logs of the gates go to its folder `gates`
END
}

# The only version used: another one may read deny.toml differently.
CARGO_DENY=0.20.2

passed=0 failed=0 skipped=0
failures=() skips=()
job='' scratch=''

main() {
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    cd "$root"
    # shellcheck source=packaging/build.sh
    . packaging/build.sh

    local lab=(--smoke) gates=yes
    case ${1:-} in
    -h | --help)
        usage
        return 0
        ;;
    "") ;;
    quick)
        [ $# = 1 ] || usage_error "quick takes no arguments"
        lab=()
        ;;
    lab)
        gates=''
        shift
        if [ $# -gt 0 ]; then lab=("$@"); fi
        ;;
    *) usage_error "unknown argument \`$1\`" ;;
    esac

    export CARGO_TERM_COLOR=never HOME="${HOME:-/root}"
    cache=${CASTOFF_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castoff}
    logs=${CARGO_TARGET_DIR:-$root/target}/gates
    mkdir -p "$logs"
    scratch=$(mktemp -d)
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP

    need_rust
    need_linker
    need_certificates
    say "castoff $(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1), rustc $rustc_version, $(nproc) processors"
    if [ "$rustc_version" != "$(pinned_rustc)" ]; then
        say "note: the pinned Rust is $(pinned_rustc); format and clippy may judge differently"
    fi

    if [ -n "$gates" ]; then all_gates; fi
    if [ ${#lab[@]} -gt 0 ]; then
        run_lab "${lab[@]}"
    else
        say "note: the lab was not asked for"
    fi
    summary
}

usage_error() {
    printf 'error: %s\nhint: ./test.sh --help\n' "$*" >&2
    exit 64
}

# Nothing that was started here outlives this script, however it ends.
clean_up() {
    if [ -n "$job" ]; then
        kill -TERM -- "-$job" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 -- "-$job" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$job" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}

all_gates() {
    if cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt >/dev/null 2>&1; then
        gate format cargo fmt --check
    else
        unavailable format "this Rust has no rustfmt"
    fi
    shell_gate
    scripts_gate
    if cargo clippy --version >/dev/null 2>&1 || rustup component add clippy >/dev/null 2>&1; then
        gate clippy cargo clippy --locked --all-targets -- -D warnings
    else
        unavailable clippy "this Rust has no clippy"
    fi
    tests_gate
    containerd_gate
    RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" gate docs cargo doc --locked --no-deps
    deny_gate
    gate install check_install
    packages_gate
    book_gate
    ansible_gate
    browser_gate
}

# -- how a gate is run and counted ------------------------------------------------------------------------------------

# logged NAME COMMAND...: runs it in a process group of its own, so that it can be ended as a whole, with its output in
# the log and, if `show` is set, here as well.
logged() {
    local log=$logs/$1.log code
    shift
    rm -f "$scratch/code"
    set -m
    if [ -n "${show:-}" ]; then
        { "$@" 2>&1 && echo 0 >"$scratch/code" || echo $? >"$scratch/code"; } </dev/null | tee "$log" &
    else
        { "$@" && echo 0 >"$scratch/code" || echo $? >"$scratch/code"; } </dev/null >"$log" 2>&1 &
    fi
    job=$(jobs -p %%)
    set +m
    wait %% || true
    job=''
    code=$(cat "$scratch/code" 2>/dev/null || echo 1)
    return "$code"
}

took() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", to - from }'; }

pass() {
    passed=$((passed + 1))
    printf 'ok    %-12s %s\n' "$1" "$2"
}

fail() {
    failed=$((failed + 1))
    failures+=("$1")
    printf 'FAIL  %-12s %s\n' "$1" "$2"
}

skip() {
    skipped=$((skipped + 1))
    skips+=("$1: $2")
    printf 'SKIP  %-12s %s\n' "$1" "$2"
}

# A gate whose tool is missing: a person's machine may do without, CI may not.
unavailable() {
    if [ "${CI:-}" = true ]; then fail "$1" "$2"; else skip "$1" "$2"; fi
}

# gate NAME COMMAND...: passes when the command succeeds; its output is shown when it does not.
gate() {
    local name=$1 from=$EPOCHREALTIME
    shift
    if logged "$name" "$@"; then
        pass "$name" "$(took "$from")"
    else
        sed 's/^/      /' "$logs/$name.log"
        fail "$name" "$(took "$from"): $*"
    fi
}

# -- gates ------------------------------------------------------------------------------------------------------------

shell_gate() {
    if ! command -v shellcheck >/dev/null && ! apt_install shellcheck; then
        unavailable shell "shellcheck is not installed (apt install shellcheck) and cannot be installed from here"
        return 0
    fi
    gate shell check_shell
}

check_shell() {
    local file bad=0
    while IFS= read -r file; do
        case $(head -n 2 "$file") in
        '#!/bin/sh'* | '#!/bin/bash'* | *'# shellcheck shell='*)
            # SC1007: an empty value before another assignment is meant.
            shellcheck -x -S warning -e SC1007 "$file" || bad=1
            ;;
        # Sourced by, or fed to, a shell elsewhere: bash where nothing says otherwise, and variables may be used there.
        *) shellcheck -x -S warning -e SC1007,SC2034 -s bash "$file" || bad=1 ;;
        esac
    done < <(shell_scripts)
    return $bad
}

# By their name, or by their first line.
shell_scripts() {
    find . \( -name target -o -name .git -o -path ./dist -o -path ./vendor \) -prune -o -type f -exec awk 'FNR == 1 {
        if (FILENAME ~ /\.sh$/ || FILENAME ~ /^\.\/packaging\/scripts\// || /^#! *\/[^ ]*\/(env +)?(ba|da)?sh( |$)/) print FILENAME
        nextfile
    }' {} + | sort
}

# What the gates, the lab and the fuzzer are judged and counted by.
scripts_gate() {
    if ! command -v python3 >/dev/null && ! apt_install python3; then
        unavailable scripts "python3 is not installed (apt install python3) and cannot be installed from here"
        return 0
    fi
    gate scripts python3 -B -m unittest discover -s tests/scripts
}

# Counted test by test, from the line each test program ends with.
tests_gate() {
    local from=$EPOCHREALTIME code=0 p f s
    show=yes logged tests cargo test --locked --no-fail-fast || code=$?
    # Those of tests/containerd and tests/runtime have a gate of their own.
    read -r p f s < <(awk '/^ *Running / { own = /tests\/(containerd|runtime)\// } /^test result: / {
        for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i == "failed;") f += $(i-1); if ($i == "ignored;" && !own) s += $(i-1) }
    } END { print p + 0, f + 0, s + 0 }' "$logs/tests.log")
    # Not built, or a test program that died before it could say so.
    if [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    if [ $((p + f)) = 0 ]; then f=1 && say "error: not one test was run"; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$s" != 0 ]; then skips+=("tests: $s are marked #[ignore]; the log names them"); fi
    if [ "$f" = 0 ]; then
        printf 'ok    %-12s %s: %s passed, %s ignored\n' tests "$(took "$from")" "$p" "$s"
    else
        failures+=("tests")
        printf 'FAIL  %-12s %s: %s passed, %s failed, %s ignored\n' tests "$(took "$from")" "$p" "$f" "$s"
    fi
}

# What castoff writes, read by real containerd of four suites; its runtime beside their runc.
containerd_gate() {
    local from=$EPOCHREALTIME code=0 why='' p f
    if [ "$(id -u)" != 0 ]; then
        why="not root (a trial makes namespaces)"
    else
        logged containerd-fetch env CASTOFF_CACHE="$cache" tests/containerd/fetch.sh || code=$?
        case $code in
        0) ;;
        3) why=$(grep -m 1 -o 'CANNOT RUN HERE.*' "$logs/containerd-fetch.log" || echo "fetch.sh says so") ;;
        *)
            tail -n 20 "$logs/containerd-fetch.log" | sed 's/^/      /'
            fail containerd "tests/containerd/fetch.sh: exit code $code"
            return 0
            ;;
        esac
    fi
    if [ -n "$why" ]; then
        if [ "${CASTOFF_LAB:-}" = required ] || [ "${CI:-}" = true ]; then
            fail containerd "cannot run here: $why"
        else
            printf '%s\n' '      ##### NOTHING WAS TRIED WITH A REAL CONTAINERD #####'
            skip containerd "$why"
        fi
        return 0
    fi
    code=0
    # One after another: what a trial leaves behind is told by looking at the machine before and after.
    logged containerd env CASTOFF_CACHE="$cache" \
        cargo test --locked --no-fail-fast --test containerd --test runtime -- --ignored --nocapture --test-threads=1 || code=$?
    read -r p f < <(awk '/^test result: / {
        for (i = 2; i <= NF; i++) { if ($i == "passed;") p += $(i-1); if ($i == "failed;") f += $(i-1) }
    } END { print p + 0, f + 0 }' "$logs/containerd.log")
    if [ "$f" = 0 ] && { [ $code != 0 ] || [ "$p" = 0 ]; }; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    if [ "$f" = 0 ]; then
        printf 'ok    %-12s %s: %s passed: %s\n' containerd "$(took "$from")" "$p" \
            "$(grep -o '[0-9]* \(planned configurations came up\|expected trees came up\|bundles run by .*\)' "$logs/containerd.log" | paste -sd, | sed 's/,/, /g')"
    else
        sed 's/^/      /' "$logs/containerd.log"
        failures+=("containerd")
        printf 'FAIL  %-12s %s: %s passed, %s failed\n' containerd "$(took "$from")" "$p" "$f"
    fi
}

deny_gate() {
    local deny=$cache/cargo-deny-$CARGO_DENY/bin/cargo-deny from=$EPOCHREALTIME
    if [ "$(cargo-deny --version 2>/dev/null)" = "cargo-deny $CARGO_DENY" ]; then
        deny=cargo-deny
    elif [ ! -x "$deny" ]; then
        say "building cargo-deny $CARGO_DENY into $cache, once"
        # Unoptimised: it runs for two seconds, and optimising it takes minutes.
        if ! logged cargo-deny-build env CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$scratch/cargo-deny" \
            cargo install --locked --debug --version "=$CARGO_DENY" --root "${deny%/bin/cargo-deny}" cargo-deny; then
            tail -n 20 "$logs/cargo-deny-build.log" | sed 's/^/      /'
            unavailable dependencies "cargo-deny $CARGO_DENY cannot be built here"
            return 0
        fi
        rm -rf "$scratch/cargo-deny"
        say "built in $(took "$from")"
    fi
    gate dependencies "$deny" --locked check --hide-inclusion-graph bans licenses sources
    # The list of known holes comes from outside the crate index and cannot be had everywhere.
    command -v git >/dev/null || apt_install git || true
    if logged advisories-fetch "$deny" --locked fetch db; then
        gate advisories "$deny" --locked check --disable-fetch advisories
    else
        skip advisories "NOT CHECKED: the advisory database cannot be fetched from this machine"
        grep -m 2 -i -e 'fatal' -e 'error' "$logs/advisories-fetch.log" | cut -c 1-200 | sed 's/^/      /' || true
    fi
}

# The collection with two releases of ansible-core, on files; its nodes are in the lab scenario `fleet`.
ansible_gate() {
    local from=$EPOCHREALTIME code=0 line p f s bin
    bin=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/castoff
    logged ansible env CASTOFF_BIN="$bin" CASTOFF_CACHE="$cache" ansible/tests/run.sh || code=$?
    if [ $code = 3 ]; then
        unavailable ansible "$(grep -m 1 -o 'CANNOT RUN HERE.*' "$logs/ansible.log" || echo "ansible/tests/run.sh says so")"
        return 0
    fi
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$logs/ansible.log" | tail -n 1) || true
    if [ -z "$line" ]; then
        tail -n 20 "$logs/ansible.log" | sed 's/^/      /'
        fail ansible "$(took "$from"): ended without its closing line, exit code $code"
        return 0
    fi
    read -r p _ f _ s _ <<<"$line"
    if [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$s" != 0 ]; then skips+=("ansible: $s, see its log"); fi
    if [ "$f" = 0 ]; then
        printf 'ok    %-12s %s: %s\n' ansible "$(took "$from")" "$line"
    else
        sed 's/^/      /' "$logs/ansible.log" | tail -n 80
        failures+=("ansible")
        printf 'FAIL  %-12s %s: %s\n' ansible "$(took "$from")" "$line"
    fi
}

# The HTML reports, made by a test, in Chromium: tests/browser.
browser_gate() {
    local from=$EPOCHREALTIME code=0 line p f s
    if ! logged browser-pages env CASTOFF_PAGES="$logs/pages" cargo test --locked --test html_pages; then
        tail -n 40 "$logs/browser-pages.log" | sed 's/^/      /'
        fail browser "$(took "$from"): the pages cannot be made"
        return 0
    fi
    logged browser env CASTOFF_CACHE="$cache" tests/browser/run.sh "$logs/pages" "$logs/screenshots" || code=$?
    if [ $code = 3 ]; then
        unavailable browser "$(grep -m 1 -o 'CANNOT RUN HERE.*' "$logs/browser.log" || echo "tests/browser/run.sh says so")"
        return 0
    fi
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$logs/browser.log" | tail -n 1) || true
    if [ -z "$line" ]; then
        tail -n 20 "$logs/browser.log" | sed 's/^/      /'
        fail browser "$(took "$from"): ended without its closing line, exit code $code"
        return 0
    fi
    read -r p _ f _ s _ <<<"$line"
    if [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" = 0 ]; then
        printf 'ok    %-12s %s: %s\n' browser "$(took "$from")" "$line"
    else
        sed 's/^/      /' "$logs/browser.log" | tail -n 80
        failures+=("browser")
        printf 'FAIL  %-12s %s: %s\n' browser "$(took "$from")" "$line"
    fi
}

# What install.sh puts somewhere, its --uninstall takes away again, and nothing else. One long `&&`: `set -e` does not
# reach into a function whose verdict is asked for.
check_install() {
    local prefix=$scratch/prefix bin
    bin=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/castoff
    cargo build --locked --bin castoff &&
        mkdir -p "$prefix/bin" && echo kept >"$prefix/bin/other" &&
        ./install.sh --dry-run --prefix "$prefix" --binary "$bin" &&
        holds_only_other "--dry-run changed something" &&
        ./install.sh --prefix "$prefix" --binary "$bin" &&
        "$prefix/bin/castoff" --version &&
        ./install.sh --prefix "$prefix" --binary "$bin" --no-demo &&
        ./install.sh --uninstall --prefix "$prefix" &&
        holds_only_other "--uninstall left or took something" &&
        echo theirs >"$prefix/bin/castoff" &&
        if ./install.sh --prefix "$prefix" --binary "$bin" --no-demo; then
            say "error: somebody else's castoff was written over"
            return 1
        fi &&
        [ "$(cat "$prefix/bin/castoff")" = theirs ]
}

holds_only_other() {
    [ "$(cd "$prefix" && find . | LC_ALL=C sort | tr '\n' ' ')" = ". ./bin ./bin/other " ] && return 0
    say "error: $1:"
    find "$prefix" >&2
    return 1
}

# Packages of the debug build, hardly compressed: what they hold, not how small they are.
packages_gate() {
    if ! logged packages-tools env CASTOFF_CACHE="$cache" packaging/build --tools; then
        tail -n 20 "$logs/packages-tools.log" | sed 's/^/      /'
        unavailable packages "cargo-deb or cargo-generate-rpm cannot be built here"
        return 0
    fi
    if ! command -v dpkg-deb >/dev/null || ! command -v strip >/dev/null; then
        unavailable packages "dpkg-deb and strip are not installed (apt install dpkg binutils)"
        return 0
    fi
    if [ -e .git ] && ! command -v git >/dev/null && ! apt_install git; then
        unavailable packages "git, which knows the sources of a checkout, is not installed (apt install git)"
        return 0
    fi
    if ! command -v lintian >/dev/null && ! apt_install lintian; then
        unavailable lintian "what the packages hold is not judged by Debian's rules: lintian is not installed (apt install lintian)"
    fi
    gate packages check_packages
}

# One long `&&`, as in check_install.
check_packages() {
    local out=$scratch/packages prefix=$scratch/from bin archive
    bin=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/castoff
    cargo build --locked --bin castoff &&
        strip -o "$scratch/castoff" "$bin" &&
        CASTOFF_CACHE=$cache packaging/build --binary "$scratch/castoff" --fast --only deb,rpm,archive --out "$out" &&
        (cd "$out" && sha256sum --check SHA256SUMS) &&
        dpkg-deb -c "$out"/castoff_*.deb >"$out/list" &&
        holds_lines "$out/list" ./usr/bin/castoff ./usr/share/man/man8/castoff-migrate.8.gz ./usr/share/man/man5/castoff-profile.5.gz \
            ./usr/share/bash-completion/completions/castoff ./usr/share/zsh/vendor-completions/_castoff \
            ./usr/share/fish/vendor_completions.d/castoff.fish ./usr/share/doc/castoff/copyright \
            ./usr/lib/systemd/system/castoff-verify.service ./usr/lib/systemd/system/castoff-verify.timer \
            ./usr/share/ansible/collections/ansible_collections/castoff/node/plugins/modules/runtime.py &&
        check_lintian "$out"/castoff_*.deb &&
        archive=$(echo "$out"/castoff-*-*.tar.gz) &&
        ./install.sh --from "$archive" --prefix "$prefix" --no-demo &&
        "$prefix/bin/castoff" --version &&
        ./install.sh --uninstall --prefix "$prefix" && [ ! -e "$prefix" ]
}

# holds_lines LISTING PATH...
holds_lines() {
    local listing=$1 path
    shift
    for path in "$@"; do
        awk '{ print $6 }' "$listing" | grep -qxF -- "$path" || { say "error: the package has no $path" && return 1; }
    done
}

# The debug build may be linked dynamically, which its own dependencies would have to say; a package's never is.
check_lintian() {
    command -v lintian >/dev/null || return 0
    local told code=0
    told=$(lintian --allow-root "$1") || code=$?
    # 2: what it found has errors among it. 1, and what ends a Perl program: it found nothing because it could not look.
    case $code in
    0 | 2) ;;
    *)
        say "error: lintian: exit code $code"
        return 1
        ;;
    esac
    told=$(printf '%s' "$told" | grep -v -e undeclared-elf-prerequisites -e mismatched-override) || return 0
    printf '%s\n' "$told"
    return 1
}

# The pages as a book, and the recording in the README; what pages say is held by tests/pages.rs.
book_gate() {
    if ! logged mdbook-build mdbook_tool; then
        tail -n 20 "$logs/mdbook-build.log" | sed 's/^/      /'
        unavailable book "mdbook $MDBOOK cannot be built here"
        return 0
    fi
    mdbook_tool
    if command -v python3 >/dev/null || apt_install python3; then
        gate book check_book
    else
        unavailable recording "without python3 docs/recording.svg is not compared with what castoff shows"
        gate book build_book
    fi
}

mdbook_tool() { cached_tool mdbook "$MDBOOK" --no-default-features --features search; }

check_book() { build_book && check_recording; }

build_book() {
    "$tool" build --dest-dir "$scratch/book" docs 2>&1 | tee "$scratch/book.log" &&
        if grep -e WARN -e ERROR "$scratch/book.log"; then return 1; fi &&
        [ -s "$scratch/book/index.html" ] && [ -s "$scratch/book/migrate.html" ]
}

check_recording() {
    local bin
    bin=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug/castoff
    cargo build --locked --bin castoff && docs/record --check "$bin"
}

# -- lab --------------------------------------------------------------------------------------------------------------

no_lab() {
    if [ "${CASTOFF_LAB:-}" = required ]; then
        fail lab "cannot run here, and CASTOFF_LAB=required: $1"
    else
        printf '%s\n' '      ##### THE LAB WAS NOT RUN: nothing was tried on a real node #####'
        skip lab "$1"
    fi
}

run_lab() {
    local from=$EPOCHREALTIME code=0 line=''
    if [ ! -x tests/lab/lab ]; then
        no_lab "tests/lab is not in this checkout"
        return 0
    fi
    if [ "$(id -u)" != 0 ]; then
        no_lab "not root (images, containers and the kubelet build need it)"
        return 0
    fi
    # Before the build: they bring what a static castoff is linked with, and Python for the lab itself.
    logged lab-deps tests/lab/deps.sh || code=$?
    if [ $code != 0 ]; then
        tail -n 20 "$logs/lab-deps.log" | sed 's/^/      /'
        if [ $code = 3 ]; then
            no_lab "$(grep -m 1 -o 'CANNOT RUN HERE.*' "$logs/lab-deps.log" || echo "tests/lab/deps.sh says so")"
        else
            fail lab "tests/lab/deps.sh: exit code $code"
        fi
        return 0
    fi
    choose_build
    case $build_kind in
    dynamic*)
        no_lab "no static castoff can be linked here, and the nodes have C libraries of their own"
        return 0
        ;;
    esac
    # The folder first: logged runs the build in a process of its own, which cannot set variables here.
    if ! logged lab-build build_and_tell; then
        sed 's/^/      /' "$logs/lab-build.log"
        fail lab "castoff does not build for the lab"
        return 0
    fi
    built=$(cat "$scratch/built")
    say "lab: castoff for $build_target ($build_kind), built in $(took "$from")"
    from=$EPOCHREALTIME
    show=yes CASTOFF_BIN=$built logged lab tests/lab/lab run "$@" || code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$logs/lab.log" | tail -n 1) || true
    if [ -z "$line" ]; then
        fail lab "$(took "$from"): ended without its closing line, exit code $code"
        return 0
    fi
    local p f s
    read -r p _ f _ s _ <<<"$line"
    if [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$s" != 0 ]; then skips+=("lab: $s, see the lines that begin with \`skip\`"); fi
    if [ "$f" = 0 ]; then
        printf 'ok    %-12s %s: %s\n' lab "$(took "$from")" "$line"
    else
        failures+=("lab")
        printf 'FAIL  %-12s %s: %s\n' lab "$(took "$from")" "$line"
    fi
}

build_and_tell() {
    build_castoff lab
    echo "$built" >"$scratch/built"
}

# -- the end ----------------------------------------------------------------------------------------------------------

summary() {
    local each
    echo
    for each in ${skips[@]+"${skips[@]}"}; do echo "skipped: $each"; done
    if [ ${#failures[@]} -gt 0 ]; then echo "failed: ${failures[*]} (logs in $logs)"; fi
    echo "everything took ${SECONDS} s"
    # The last line, in this form: it is what gets read.
    echo "$passed passed, $failed failed, $skipped skipped"
    if [ $failed -gt 0 ] || [ $((passed + skipped)) = 0 ]; then return 1; fi
}

main "$@"
