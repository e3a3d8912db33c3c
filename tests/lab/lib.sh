# What a scenario's run.sh is written with. Sourced by `lab run` before run.sh; bash, on the host.
# shellcheck shell=bash disable=SC2034
set -u

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB=$LAB_DIR/lab
: "${LAB_RESULTS:?run scenarios with: lab run NAME}"
: "${LAB_COUNTS:?run scenarios with: lab run NAME}"

# A scenario whose runner was killed hard must not go on by itself.
_owned() { [ -z "${CASTOFF_LAB_OWNER:-}" ] || kill -0 "$CASTOFF_LAB_OWNER" 2>/dev/null || exit 1; }

_now() { date +%s.%N; }
_since() { awk -v a="$1" -v b="$(_now)" 'BEGIN { printf "%.1f", b - a }'; }

# Everything a scenario prints starts in one of these ways, so that a log can be searched.
note() { echo "     $*"; }
_count() { echo "$1" >>"$LAB_COUNTS"; }
_ok() { echo "ok   - $1 ($2 s)"; _count ok; }
_fail() { echo "FAIL - $1 ($2 s)"; _count fail; }

# skip "why": this scenario cannot be run here; ends it. The summary counts it.
skip() { echo "skip - $*"; _count skip; exit 0; }

# die "why": the scenario cannot go on (a failure).
die() { echo "FAIL - $* (0.0 s)"; _count fail; exit 1; }

# check "what" cmd...: one test. Output is shown only when it fails. Returns the command's verdict, so
# `check ... || return` stops early. The command is run in this shell: functions work.
check() {
    local what=$1 from code; shift
    _owned
    from=$(_now)
    "$@" >"$LAB_RESULTS/.check" 2>&1; code=$?
    if [ $code = 0 ]; then _ok "$what" "$(_since "$from")"; return 0; fi
    _fail "$what" "$(_since "$from")"
    _why $code "$@"
    return 1
}

# check_fails "what" cmd...: the command must fail.
check_fails() {
    local what=$1 from code; shift
    _owned
    from=$(_now)
    "$@" >"$LAB_RESULTS/.check" 2>&1; code=$?
    if [ $code != 0 ]; then _ok "$what" "$(_since "$from")"; return 0; fi
    _fail "$what" "$(_since "$from")"
    _why $code "$@"
    return 1
}

# check_eventually SECONDS "what" cmd...: tried once a second until it succeeds. The seconds are there
# to end a hung run, not to judge speed: nodes are emulated, so be generous.
check_eventually() {
    local deadline=$1 what=$2 from code; shift 2
    from=$(_now)
    local end=$((SECONDS + deadline))
    while :; do
        "$@" >"$LAB_RESULTS/.check" 2>&1; code=$?
        [ $code = 0 ] && { _ok "$what" "$(_since "$from")"; return 0; }
        [ $SECONDS -ge $end ] && break
        _owned
        sleep 1
    done
    _fail "$what (not within $deadline s)" "$(_since "$from")"
    _why $code "$@"
    return 1
}

# check_out "what" EXPECTED cmd...: its standard output is exactly that text.
check_out() {
    local what=$1 expected=$2 from got code; shift 2
    _owned
    from=$(_now)
    got=$("$@" 2>"$LAB_RESULTS/.check"); code=$?
    if [ $code = 0 ] && [ "$got" = "$expected" ]; then _ok "$what" "$(_since "$from")"; return 0; fi
    _fail "$what" "$(_since "$from")"
    { echo "expected: $expected"; echo "got:      $got"; } >>"$LAB_RESULTS/.check"
    _why $code "$@"
    return 1
}

_why() {
    local code=$1; shift
    echo "       exit code $code: $*" | cut -c1-300
    tail -n 25 "$LAB_RESULTS/.check" | sed 's/^/       | /'
}

# -- nodes ----------------------------------------------------------------------------------------

# node_up SHAPE [NAME] [--cold]: a node in that shape; NAME defaults to the shape's. Ends the scenario
# when it does not come up: nothing after it would mean anything. A host that cannot have such a node is a skip.
node_up() {
    local shape=$1 name=$1; shift
    _owned
    if [ $# -gt 0 ] && [ "${1#--}" = "$1" ]; then name=$1; shift; fi
    local from; from=$(_now)
    "$LAB" up "$shape" --name "$name" "$@" >"$LAB_RESULTS/.up" 2>"$LAB_RESULTS/up-$name.log" || {
        [ $? != 3 ] || skip "$(grep -o 'CANNOT RUN HERE.*' "$LAB_RESULTS/up-$name.log")"
        tail -n 30 "$LAB_RESULTS/up-$name.log" | sed 's/^/       | /'
        die "node $name ($shape) comes up"
    }
    note "node $name ($shape) up in $(_since "$from") s"
    print_platform "$name"
}

# on NODE cmd...: one word is a shell command line in the node, several are an argument list.
on() { "$LAB" ssh "$@"; }
put() { "$LAB" put "$@"; }
get() { "$LAB" get "$@"; }
cut_power() { "$LAB" cut "$1"; }
boot() { "$LAB" boot "$1"; }
save() { "$LAB" save "$@"; }
load() { "$LAB" load "$@"; }
node_down() { _collect "$1"; "$LAB" down "$1"; }

# What a node runs on, in one line per node; printed by node_up.
print_platform() {
    on "$1" 'sh -s' <"$LAB_DIR/platform.sh" | sed "s/^/     platform $1: /"
}

# A node's logs into the results folder. Called for every node when a scenario has failed.
_collect() {
    local dir=$LAB_RESULTS/$1 u
    mkdir -p "$dir"
    "$LAB" console "$1" >"$dir/console.log" 2>/dev/null
    for u in docker containerd kubelet; do
        timeout 60 "$LAB" ssh "$1" journalctl --no-pager -o short-precise -u $u >"$dir/$u.log" 2>/dev/null
    done
    timeout 60 "$LAB" ssh "$1" 'systemctl --no-pager --failed; systemctl --no-pager list-jobs; ps axf;
        ip addr; iptables-save; ls -la /etc/containerd /etc/docker /etc/systemd/system /var/lib/kubelet' \
        >"$dir/state.log" 2>&1
}

# A scenario that has to clean up itself puts its own in this one's place. A trap of its own would lose the code that ended it.
at_end() { :; }

# Called when run.sh is over, in whatever way.
_finish() {
    local code=$?
    trap - EXIT
    at_end
    rm -f "$LAB_RESULTS/.check" "$LAB_RESULTS/.up"
    if grep -q '^fail' "$LAB_COUNTS" || [ $code != 0 ] || [ -n "${LAB_LOGS:-}" ]; then
        "$LAB" list | while read -r n _ _ state; do
            [ "$state" = runs ] && _collect "$n" </dev/null
        done
    fi
    exit $code
}
trap _finish EXIT
