# What carry-images does on Debian 12, without the kills, with newer packages.
CARRY_SUITES=${CARRY_SUITES:-trixie forky}
SCENARIO_DIR=$LAB_DIR/scenarios/carry-images
# shellcheck source=tests/lab/scenarios/carry-images/run.sh
. "$SCENARIO_DIR/run.sh"
