# For how long things are away, for scenarios: source this file (bash) after lib.sh. All figures are for people: nothing is
# asserted on them. TAG names one stretch of time; the logs are kept in $LAB_RESULTS/downtime/TAG.
# shellcheck shell=bash

DOWNTIME=$LAB_RESULTS/downtime
# What runs on this machine meanwhile; the scenario's end calls downtime_end.
_watchers=()
downtime_end() { [ ${#_watchers[@]} = 0 ] || kill "${_watchers[@]}" 2>/dev/null; _watchers=(); }

# pods_watch NODE TAG NAME=ADDRESS:PORT...: asks pods from within the node, see poll.pl; pods_watched NODE TAG ends that.
pods_watch() {
    local node=$1 tag=$2; shift 2
    put "$node" "$LAB_DIR/poll.pl" /var/tmp/poll.pl &&
        on "$node" "rm -rf /var/tmp/poll-$tag; mkdir -p /var/tmp/poll-$tag
            setsid perl /var/tmp/poll.pl /var/tmp/poll-$tag $* </dev/null >/var/tmp/poll-$tag.log 2>&1 &"
    sleep 3
}
pods_watched() {
    sleep 3
    on "$1" "touch /var/tmp/poll-$2/stop"
    sleep 3
    mkdir -p "$DOWNTIME/$2"
    get "$1" "/var/tmp/poll-$2" "$DOWNTIME/$2"
}

# watch TAG NAME cmd...: the command, on this machine, about three times a second: a line "TIME ok|no" for how it ended and what
# it printed, on one line. watched TAG ends all that were started with that tag.
watch() {
    local tag=$1 name=$2; shift 2
    mkdir -p "$DOWNTIME/$tag"
    rm -f "$DOWNTIME/$tag/stop"
    (
        trap - EXIT
        until [ -e "$DOWNTIME/$tag/stop" ]; do
            at=$(_now)
            if said=$("$@" 2>/dev/null); then word=ok; else word=no; fi
            echo "$at $word" $said
            sleep 0.3
        done
    ) >"$DOWNTIME/$tag/$name" 2>/dev/null &
    _watchers+=($!)
    sleep 1
}
watched() { sleep 1; touch "$DOWNTIME/$1/stop"; sleep 1; }

# away TAG NAME: seconds without an answer: for each stretch, from the last good one before it to the first good one after it.
# A dash where nobody asked.
away() {
    [ -e "$DOWNTIME/$1/$2" ] || { echo -; return; }
    awk '$2 == "ok" { if (bad && seen) total += $1 - last; bad = 0; last = $1; seen = 1 }
         $2 == "no" { bad = 1 }
         END { if (!seen) print "no answer"; else if (bad) print "never back"; else printf "%.1f\n", total }' "$DOWNTIME/$1/$2"
}

# told LOG: what castoff itself says of that, in the report of a run.
told() {
    awk '/^Downtime/ { what = $0; next }
         what && /^ +kubelet/ { sub(/^ +kubelet +/, ""); kubelet = $0; next }
         what && /^ +workload/ { sub(/^ +workload +/, ""); printf "     castoff says: %s: kubelet %s, workload %s\n", what, kubelet, $0; what = "" }' "$1"
}

# least TAG NAME: the smallest number that was printed, and after how many looks.
least() { awk '$2 == "ok" && $3 ~ /^[0-9]+$/ { if (!n || $3 < m) m = $3; n++ } END { print n ? m : "none", n + 0 }' "$DOWNTIME/$1/$2"; }
# never_below TAG NAME NUMBER: it was looked at, and never less than that.
never_below() {
    local min looks
    read -r min looks < <(least "$1" "$2")
    echo "least $min in $looks looks"
    [ "$looks" -ge 10 ] && [ "$min" -ge "$3" ]
}

# steps NODE ID...: how steps of the node's newest run ended: id, status, seconds and detail, one a line.
steps() {
    local node=$1; shift
    on "$node" castoff show -o json | python3 -c '
import json, sys
steps = {s["id"]: s for s in json.load(sys.stdin)["steps"]}
for id in sys.argv[1:]:
    step = steps.get(id, {"status": "not planned"})
    print(id, step["status"], step.get("seconds"), step.get("detail") or "")' "$@"
}
