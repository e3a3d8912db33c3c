# shellcheck shell=sh
# open_runs: one line `RUN STATE` for every run that is neither kept nor taken back, as `castoff history` names the
# states. Read from the journals, because castoff is gone when a package is purged. Records are one JSON object a line;
# a record's name inside a text has a backslash before its quotes and does not match. DPKG_ROOT is dpkg's own.
open_runs() {
    for folder in "${DPKG_ROOT:-}"/var/lib/castoff/runs/*/; do
        [ -d "$folder" ] || continue
        state=dirty
        if [ -f "$folder/journal.jsonl" ]; then
            state=$(awk '
                BEGIN { state = "dirty" }
                /"record":"run-finished"/ {
                    state = "closed"
                    if (/"outcome":"applied"/) state = "applied"
                    if (/"outcome":"stuck"/) state = "stuck"
                }
                /"record":"committed"/ { state = "closed" }
                /"record":"(rollback-started|step-undone|undo-failed)"/ { state = "dirty" }
                END { print state }' "$folder/journal.jsonl")
        fi
        [ "$state" = closed ] || echo "$(basename "$folder") $state"
    done
}

# needed_at_boot: true while a run's units are there; they start this castoff, at the next boot or when `--try` is over. Units
# whose run somebody has moved away start nothing any more: that run is their condition.
needed_at_boot() {
    for unit in castoff-recover castoff-recover-late; do
        file=${DPKG_ROOT:-}/etc/systemd/system/$unit.service
        grep -qs '^\[X-Castoff\]' "$file" || continue
        run=$(sed -n 's/^ConditionPathExists=//p' "$file")
        if [ -z "$run" ] || [ -e "${DPKG_ROOT:-}$run" ]; then return 0; fi
    done
    return 1
}

# may_remove: refuses, with what to do instead, while castoff is what ends a run. A run that is applied and waits for
# nobody does not hold the package: its files stay, and castoff can be installed again.
may_remove() {
    runs=$(open_runs)
    if needed_at_boot || printf '%s\n' "$runs" | grep -q -e ' dirty$' -e ' stuck$'; then
        {
            echo "castoff: a run on this node is open, and castoff is what ends it; it is not removed"
            printf '%s\n' "$runs" | sed -n 's/^\([^ ]*\) \(.*\)$/  run \1: \2/p'
            echo "  castoff show        tells how far it came"
            echo "  castoff commit      keeps a run that is applied"
            echo "  castoff resume      goes on with one that was cut off"
            echo "  castoff rollback    takes it back"
            echo "To give a run up for good, move its folder away from /var/lib/castoff/runs first."
        } >&2
        return 1
    fi
    if [ -n "$runs" ]; then
        echo "castoff: run ${runs%% *} was never committed; /var/lib/castoff stays, and castoff installed again can take it back" >&2
    fi
    return 0
}
