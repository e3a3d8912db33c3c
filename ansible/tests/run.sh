#!/bin/bash
# Everything that the collection is tested with on one machine, without nodes. `tests/run.sh --help` says how.
set -eu

usage() {
    cat <<'END'
usage: ansible/tests/run.sh          build, install, documentation, syntax, unit tests, plays, sanity
       ansible/tests/run.sh --full   with all plays on the old ansible-core too, and the steps that ask an API server
       ansible/tests/run.sh --ansible [old]   only fetch the newest (oldest) ansible-core, and print the folder it is in
       ansible/tests/run.sh --help

Runs with the newest ansible-core for this Python and with 2.14, both fetched once by pip. The last line is
`N passed, N failed, N skipped`; exit code 1 if anything failed, 3 if nothing could be tried here.

  CASTOFF_BIN=FILE    a castoff for this machine: the collection is also tried with it, on a node's file tree
  CASTOFF_CACHE=DIR   where the fetched things are kept (default ~/.cache/castoff)
END
}

# What the roles run on an old controller: the oldest ansible-core that meta/runtime.yml allows.
OLD=2.14
# The community package that holds kubernetes.core; only --full fetches it.
COMMUNITY=12

passed=0 failed=0 skipped=0 beside=''

main() {
    local full='' only=''
    case ${1:-} in
    '') ;;
    --ansible) only=${2:-newest} ;;
    --full) full=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 64
        ;;
    esac
    collection=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    cache=${CASTOFF_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/castoff}
    scratch=$(mktemp -d)
    trap clean_up EXIT
    # A castoff, an Ansible or a Python of the person who runs this must not get in.
    export HOME=$scratch/home PYTHONDONTWRITEBYTECODE=1 ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 PIP_DISABLE_PIP_VERSION_CHECK=1
    unset ANSIBLE_CONFIG ANSIBLE_COLLECTIONS_PATH ANSIBLE_COLLECTIONS_PATHS ANSIBLE_INVENTORY PYTHONPATH
    mkdir -p "$HOME"

    if [ "$only" != old ]; then
        new=$(environment newest ansible-core) || cannot "the newest ansible-core cannot be had (see above)"
    fi
    if [ "$only" != newest ]; then
        old=$(environment "$OLD" "ansible-core==$OLD.*") || cannot "ansible-core $OLD cannot be had (see above)"
    fi
    if [ -n "$only" ]; then
        if [ "$only" = old ]; then echo "$old"; else echo "$new"; fi
        exit 0
    fi

    build
    local name
    for name in new old; do
        look "$name" "${!name}"
        unit "$name" "${!name}"
    done
    # The longest part goes on beside the others.
    plays new "$new" "$scratch/plays-new" &
    beside=$!
    if [ -n "$full" ]; then
        plays old "$old" "$scratch/plays-old"
    else
        # One of each kind: prediction, budget, binary door.
        plays old "$old" "$scratch/plays-old" check_mode used_up without_python
        skip "all plays on ansible-core $OLD, and the steps that ask an API server: they are in --full"
    fi
    count "plays on old ansible-core" "$scratch/plays-old"
    real_castoff
    sanity
    wait "$beside" || true
    beside=''
    count "plays on new ansible-core" "$scratch/plays-new"
    if [ -n "$full" ]; then api; fi

    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ]
}

clean_up() {
    if [ -n "$beside" ]; then kill "$beside" 2>/dev/null || true; fi
    rm -rf "$scratch"
}

cannot() {
    echo "CANNOT RUN HERE: $*"
    exit 3
}

skip() {
    echo "skip - $*"
    skipped=$((skipped + 1))
}

# check WHAT COMMAND…: one test; its output is shown when it fails.
check() {
    local what=$1
    shift
    if "$@" >"$scratch/out" 2>&1; then
        echo "ok   - $what"
        passed=$((passed + 1))
        return 0
    fi
    echo "FAIL - $what"
    tail -n 60 "$scratch/out" | sed 's/^/       | /'
    failed=$((failed + 1))
    return 1
}

# count WHAT FILE: what a run of unittest has printed; its tests are counted one by one.
count() {
    local ran
    ran=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} in .*/\1/p' "$2")
    if [ "${ran:-0}" != 0 ] && tail -n 1 "$2" | grep -q '^OK'; then
        echo "ok   - $1: $ran tests"
        passed=$((passed + ran))
        return 0
    fi
    echo "FAIL - $1"
    tail -n 80 "$2" | sed 's/^/       | /'
    failed=$((failed + 1))
}

# environment NAME REQUIREMENT: prints the folder of a virtual environment that has it.
environment() {
    local folder=$cache/ansible-$1
    if [ ! -e "$folder/done" ]; then
        echo "fetching $2" >&2
        rm -rf "$folder"
        mkdir -p "$cache"
        python3 -m venv "$folder" >&2 && "$folder/bin/pip" install --quiet "$2" >&2 || return 1
        touch "$folder/done"
    fi
    echo "$folder"
}

# The archive is built from a copy, and everything is tried with what was installed from the archive.
build() {
    cp -R "$collection" "$scratch/source"
    check "build" "$new/bin/ansible-galaxy" collection build "$scratch/source" --output-path "$scratch/archive" || finish
    local archive name
    archive=$(echo "$scratch"/archive/castoff-node-*.tar.gz)
    for name in new old; do
        check "install into $name ansible-core" "${!name}/bin/ansible-galaxy" collection install --no-deps \
            -p "$scratch/$name" "$archive" || finish
    done
    tar -tzf "$archive" >"$scratch/list"
    check "no test, cache or archive is in the archive that does not belong there" \
        sh -c "! grep -E '__pycache__|\.tar\.gz|tests/(plays|api|output|run.sh)' '$scratch/list'"
    check "the changelog has this version" sh -c "grep -q \"^  \$(sed -n 's/^version: //p' '$collection/galaxy.yml'):\" '$collection/changelogs/changelog.yaml'"
}

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    exit 1
}

look() {
    local name=$1 venv=$2 version book
    version=$("$venv/bin/python" -c 'from ansible.release import __version__; print(__version__)')
    echo "== $name ansible-core: $version"
    export ANSIBLE_COLLECTIONS_PATH=$scratch/$name
    check "ansible-doc of modules and filter" docs "$venv/bin/ansible-doc"
    check "ansible-doc of roles" roles "$venv/bin/ansible-doc"
    for book in preflight rollout rollback report; do
        check "syntax of $book" "$venv/bin/ansible-playbook" --syntax-check -i localhost, "castoff.node.$book"
    done
}

docs() {
    "$1" -t module castoff.node.runtime castoff.node.runtime_info && "$1" -t filter castoff.node.node_result &&
        "$1" -j -t module castoff.node.runtime | grep -q '"plan_digest"'
}

roles() {
    local role
    for role in install migrate verify rollback report; do
        "$1" -t role "castoff.node.$role" | grep -q 'castoff_' || { echo "no options of $role"; return 1; }
    done
}

in_folder() { (cd "$1" && shift && "$@"); }

unit() {
    ANSIBLE_COLLECTIONS_PATH=$scratch/$1 in_folder "$scratch/$1/ansible_collections/castoff/node/tests/unit" \
        "$2/bin/python" -m unittest >"$scratch/unit" 2>&1 || true
    count "unit tests on $1 ansible-core" "$scratch/unit"
}

# plays NAME VENV OUTPUT [TEST…]: the playbooks on nodes that are folders.
plays() {
    local name=$1 venv=$2 output=$3 only=() test
    shift 3
    for test in "$@"; do only+=(-k "$test"); done
    ANSIBLE_BIN=$venv/bin COLLECTIONS=$scratch/$name in_folder "$collection/tests/plays" \
        "$venv/bin/python" -m unittest -v "${only[@]}" >"$output" 2>&1 || true
}

fetch_api() {
    "$new/bin/pip" install --quiet kubernetes jsonpatch &&
        "$new/bin/pip" download --quiet --no-deps -d "$scratch/wheel" "ansible==$COMMUNITY.*" &&
        "$new/bin/python" -m zipfile -e "$scratch"/wheel/ansible-*.whl "$scratch/wheel/all" &&
        mkdir -p "$1" && cp -R "$scratch/wheel/all/ansible_collections/kubernetes" "$1/"
}

# The real kubernetes.core, out of the community package, against an API server that is a Python program.
api() {
    local folder=$cache/ansible-api
    if [ ! -e "$folder/done" ]; then
        rm -rf "$folder"
        if ! fetch_api "$folder"; then
            skip "the steps that ask an API server: kubernetes.core cannot be had"
            return 0
        fi
        touch "$folder/done"
    fi
    cp -R "$folder/kubernetes" "$scratch/new/ansible_collections/"
    ANSIBLE_BIN=$new/bin COLLECTIONS=$scratch/new in_folder "$collection/tests/api" \
        "$new/bin/python" -m unittest -v test_api.Api >"$scratch/api" 2>&1 || true
    count "plays with an API server" "$scratch/api"
}

# -- with the real castoff, on the sample node that is inside it ----------------------------------------------------------

real_castoff() {
    if [ -z "${CASTOFF_BIN:-}" ]; then
        skip "the collection with the real castoff: CASTOFF_BIN names none"
        return 0
    fi
    local castoff name venv
    castoff=$(realpath "$CASTOFF_BIN")
    for name in new old; do
        venv=${!name}
        echo "== castoff on a file tree, $name ansible-core"
        tree=$scratch/tree-$name
        rm -rf "$tree"
        check "a sample node" sample "$castoff" || return 0
        export ANSIBLE_COLLECTIONS_PATH=$scratch/$name
        python_door "$castoff" "$venv"
        binary_doors "$castoff" "$venv"
    done
}

sample() {
    local line
    line=$(TMPDIR=$scratch "$1" demo --keep 2>&1 | sed -n 's/^Left for you in \([^;]*\);.*/\1/p')
    [ -n "$line" ] && mv "$line" "$tree" && rm -rf "$tree/var/lib/castoff"
}

tree_sum() { (cd "$tree" && find . -path ./var/lib/castoff -prune -o -path ./run -prune -o \( -type f -exec sha256sum {} + -o -type l -printf '%p -> %l\n' \) | sort); }
unchanged() { tree_sum | diff "$scratch/before" -; }

# module STATE OPTIONS… [-- ARGUMENTS]: one task, as JSON.
module() {
    local venv=$1 state=$2
    shift 2
    "$venv/bin/ansible" localhost -m castoff.node.runtime -a "state=$state root=$tree level=config $task" \
        -e ansible_python_interpreter="$venv/bin/python" "$@"
}
changed() { module "$@" | tee "$scratch/answer" | grep -q 'CHANGED =>'; }
same() { module "$@" | tee "$scratch/answer" | grep -q 'SUCCESS =>' || { cat "$scratch/answer"; return 1; }; }
as_planned() {
    # Ansible's diff and `castoff plan` must say the same: every line of each file's diff is there.
    "$1" plan --root "$tree" | sed -n '/^--- /,/^$/p' | grep '^[-+@]' >"$scratch/plan.diff"
    [ "$(wc -l <"$scratch/plan.diff")" -gt 10 ] || { echo "castoff plan shows no diff"; return 1; }
    grep '^[-+@]' "$scratch/answer" >"$scratch/ansible.diff"
    grep -vxFf "$scratch/ansible.diff" "$scratch/plan.diff" >"$scratch/missing" || return 0
    echo "not shown by Ansible:"
    cat "$scratch/missing"
    return 1
}

python_door() {
    local castoff=$1 venv=$2
    task="executable=$castoff"
    tree_sum >"$scratch/before"
    check "check mode predicts a change" changed "$venv" migrated --check --diff
    check "its diffs are those of castoff plan" as_planned "$castoff"
    check "nothing was changed" unchanged
    check "planned changes nothing" same "$venv" planned
    check "it migrates" changed "$venv" migrated
    check "a second run changes nothing" same "$venv" migrated
    check "check mode predicts that" same "$venv" migrated --check
    check "it is verified" same "$venv" verified
    check "it is taken back" changed "$venv" rolled_back
    check "a second rollback changes nothing" same "$venv" rolled_back
    check "everything is as it was" unchanged
}

binary_doors() {
    local castoff=$1 venv=$2 arch
    arch=$(uname -m)
    task=''
    local door=(-e ansible_python_interpreter=/nowhere/python -e "{\"castoff_binaries\": {\"$arch\": \"$castoff\"}}")
    check "without Python: check mode predicts a change" changed "$venv" migrated "${door[@]}" --check --diff
    check "without Python: its diffs are those of castoff plan" as_planned "$castoff"
    check "without Python: nothing was changed" unchanged
    check "without Python: it migrates" changed "$venv" migrated "${door[@]}"
    check "without Python: a second run changes nothing" same "$venv" migrated "${door[@]}"
    check "without Python: it is taken back" changed "$venv" rolled_back "${door[@]}"
    check "everything is as it was" unchanged
    # castoff as a module of a playbook's own, without this collection.
    mkdir -p "$scratch/alone/library"
    cp "$castoff" "$scratch/alone/library/runtime"
    check "as a file in library/: check mode predicts a change" alone "$venv" CHANGED state=migrated --check
    check "as a file in library/: nothing was changed" unchanged
    check "as a file in library/: it changes nothing without being told to" alone "$venv" SUCCESS state=planned
    check "as a file in library/: an unknown option is refused" refused "$venv" stat=planned stat
}

refused() { alone "$1" 'FAILED!' "$2" && grep -q "$3" "$scratch/answer"; }

alone() {
    local venv=$1 word=$2
    shift 2
    (cd "$scratch/alone" && ANSIBLE_LIBRARY=$scratch/alone/library "$venv/bin/ansible" localhost -m runtime -a "$1 root=$tree" \
        "${@:2}" >"$scratch/answer" 2>&1; grep -q "$word =>" "$scratch/answer") || {
        cat "$scratch/answer"
        return 1
    }
}

# -- ansible-test ---------------------------------------------------------------------------------------------------------

# ansible-test wants a script to bring pip into its environments, from an address of its own. Python has one inside.
bootstrap() {
    local version
    version=$(sed -n "s/^ *pip='\([0-9.]*\)',$/\1/p" "$new"/lib/python*/site-packages/ansible_test/_internal/python_requirements.py | tail -n 1)
    [ -n "$version" ] || return 1
    mkdir -p "$1/.ansible/test/cache"
    printf 'import ensurepip\nensurepip.bootstrap(upgrade=True)\n' >"$1/.ansible/test/cache/get_pip_${version//./_}.py"
}

sanity_tests() {
    in_folder "$tree" env HOME="$home" PATH="$new/bin:$PATH" ansible-test sanity --list-tests >"$scratch/sanity-tests" &&
        grep -qvx pslint "$scratch/sanity-tests"
}

sanity() {
    echo "== ansible-test sanity"
    local home=$cache/ansible-test tree=$scratch/sanity/ansible_collections/castoff/node test python
    mkdir -p "$(dirname "$tree")" "$home"
    cp -R "$collection" "$tree"
    rm -rf "$tree/tests/output" "$tree/tests/plays" "$tree/tests/api" "$tree/tests/run.sh"
    bootstrap "$home" || {
        skip "ansible-test sanity: this ansible-test brings pip along in a way that is not known here"
        return 0
    }
    python=$("$new/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    check "sanity: ansible-test tells its tests" sanity_tests || return 0
    # pslint looks at PowerShell only, and there is none.
    for test in $(grep -vx pslint "$scratch/sanity-tests"); do
        check "sanity: $test" in_folder "$tree" env HOME="$home" PATH="$new/bin:$PATH" ansible-test sanity --python "$python" --test "$test" || true
    done
}

main "$@"
