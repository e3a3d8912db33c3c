# The same on the newest suite: Docker 28 and containerd 2.1, whose configuration has schema 3.

# shellcheck disable=SC2034 # read by what follows
SUITE=forky
SCENARIO_DIR=$LAB_DIR/scenarios/migrate-settings
# shellcheck source=tests/lab/scenarios/migrate-settings/run.sh
. "$SCENARIO_DIR/run.sh"
