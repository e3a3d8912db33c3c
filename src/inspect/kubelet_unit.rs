//! What kubelet.service does with Docker besides depending on its units: commands around kubelet's own, and conditions.
//! kubelet's command line is the plan's business.

use super::users::{called_script, small_text};
use crate::{
    formats::{
        mentions,
        unit_file::{self, UnitFile},
    },
    host::Host,
    model::{Origin, UnitUse},
};

/// Commands of a unit, and whether the unit fails with them (systemd.service(5)).
const COMMANDS: [(&str, bool); 6] = [
    ("ExecCondition", true),
    ("ExecStartPre", true),
    ("ExecStartPost", true),
    ("ExecReload", false),
    ("ExecStop", false),
    ("ExecStopPost", false),
];

/// Files that are there only while Docker or cri-dockerd runs.
const OF_DAEMONS: [&str; 3] = ["docker.sock", "docker.pid", "cri-dockerd.sock"];

/// Looks through kubelet's unit file and drop-ins, in systemd's order.
pub fn docker_uses(host: &Host, declared: &[(String, UnitFile)]) -> Vec<UnitUse> {
    let mut found = conditions(declared);
    let units: Vec<(&str, &UnitFile)> = declared.iter().map(|(path, unit)| (path.as_str(), unit)).collect();
    for (key, fails) in COMMANDS {
        for (value, path, line) in unit_file::effective(&units, "Service", key) {
            let said = mentions::in_line(&value).map(|(_, what)| what).or_else(|| mentions::asks_after(&value));
            let said = said.map(|what| (what, Origin::unit(path, Some(line)), (waits(&value), true)));
            let script = || {
                let (path, at) = called_script(host, &value)?;
                let fate = line_of_script(host, &path, at.line);
                Some((at.value.1, Origin::file(path, at.line), fate))
            };
            let Some((what, origin, (never_ends, may_fail))) = said.or_else(script) else { continue };
            // `-` leaves the exit code out of account, and there is none as long as it runs: systemd ends it, and has failed.
            let counts = !value.chars().take_while(|c| "@-:+!|".contains(*c)).any(|c| c == '-');
            let needed = fails && ((never_ends && !ends(&value)) || (may_fail && counts && depends(&value)));
            found.push(UnitUse { key: key.to_owned(), what, needed, origin });
        }
    }
    found
}

/// Whether a command line that uses Docker fails, or waits for ever, where Docker does not run; as far as one line tells. Who is
/// blocked for nothing skips the check, and with it what it finds rightly.
fn depends(line: &str) -> bool {
    let line = line.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    waits(line) || !(line.contains("||") || has_word(line, &["if", "!", "command", "exit", "while"]))
}

/// Whether a line has a loop, other than `while read`: that one has no more lines once Docker is gone.
fn waits(line: &str) -> bool {
    let reads = |next: &str| next == "read" || next.starts_with("IFS=");
    let mut pairs = words(line).zip(words(line).skip(1));
    pairs.any(|(word, next)| word == "until" || (word == "while" && !reads(next)))
}

/// Whether something ends a loop without Docker: a time, a way out, a counter. `=` and `-eq` alone may be about Docker's answer,
/// and a counter that nothing is compared with is for the log.
fn ends(text: &str) -> bool {
    let inner = || text.split("((").skip(1).filter_map(|rest| rest.split("))").next());
    let sums = || inner().filter(|sum| !sum.contains("$("));
    let counts = sums().next().is_some() || has_word(text, &["expr", "let"]);
    has_word(text, &["timeout", "break", "-lt", "-le", "-gt", "-ge"])
        || (counts && has_word(text, &["-eq", "-ne", "=", "==", "!="]))
        || sums().any(|sum| sum.contains(['<', '>']) || sum.contains("=="))
}

fn has_word(line: &str, wanted: &[&str]) -> bool {
    words(line).any(|word| wanted.contains(&word))
}

/// The words of a shell's line, commands without their directories.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|c: char| c.is_whitespace() || ";\"'()|&".contains(c)).filter(|word| !word.is_empty());
    words.filter_map(|word| word.rsplit('/').next())
}

/// Whether a line of a script never ends, and whether the script fails with it: it goes on after a command that fails unless it
/// says otherwise.
fn line_of_script(host: &Host, path: &str, line: u32) -> (bool, bool) {
    let text = small_text(host, path).unwrap_or_default();
    let strict = text.lines().any(|line| line.trim_start().strip_prefix("set -").is_some_and(|how| how.contains('e')));
    let index = usize::try_from(line).unwrap_or_default().saturating_sub(1);
    let line = text.lines().nth(index).unwrap_or_default();
    (waits(line) && !ends(&text), waits(line) || (strict && depends(line)))
}

/// Conditions and assertions on paths of Docker's. An empty assignment takes all of their kind back (systemd.unit(5)).
fn conditions(declared: &[(String, UnitFile)]) -> Vec<UnitUse> {
    let mut found: Vec<UnitUse> = Vec::new();
    for (path, file) in declared {
        for entry in file.entries().iter().filter(|entry| entry.section == "Unit") {
            let Some(kind) = ["Condition", "Assert"].into_iter().find(|kind| entry.key.starts_with(kind)) else {
                continue;
            };
            if entry.value.is_empty() {
                found.retain(|earlier| !earlier.key.starts_with(kind));
                continue;
            }
            // `|`: one of several will do; `!`: it is fine that the path is gone.
            let test = entry.value.trim_start_matches(['|', '!']);
            let name = test.rsplit('/').next().unwrap_or_default();
            let with_daemon = OF_DAEMONS.contains(&name);
            let with_package = matches!(name, "docker" | "dockerd") || test.starts_with("/var/lib/docker/");
            if test.starts_with('/') && (with_daemon || with_package) {
                found.push(UnitUse {
                    key: entry.key.clone(),
                    what: entry.value.clone(),
                    needed: with_daemon && test == entry.value,
                    origin: Origin::unit(path, Some(entry.line)),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{depends, ends, waits};

    #[test]
    fn a_loop_that_ends_is_told_from_one_that_does_not() {
        for line in [
            "while ! docker info; do sleep 1; done",
            "until docker info; do n=$((n+1)); echo $n; sleep 1; done",
            "until [ $(docker info; echo $?) -eq 0 ]; do sleep 1; done",
            "until (( $(docker ps -q | wc -l) == 3 )); do sleep 1; done",
            "until [ \"$(systemctl is-active docker)\" = active ]; do sleep 1; done",
        ] {
            assert!(waits(line) && !ends(line), "{line}");
        }
        for line in [
            "until docker info || [ $n -eq 30 ]; do n=$((n+1)); sleep 1; done",
            "until docker info; do n=$((n+1)); [ $n = 30 ] && exit 0; sleep 1; done",
            "until docker info; do n=$(expr $n + 1); [ $n = 30 ] && exit 0; sleep 1; done",
            "while ! docker info && (( n++ < 30 )); do sleep 1; done",
            "until docker info || ((n++==30)); do sleep 1; done",
        ] {
            assert!(waits(line) && ends(line), "{line}");
        }
        for line in [
            "docker ps -aq | while read c; do docker rm -f $c; done",
            "docker ps -aq|while IFS= read -r c; do",
            "while read c; do docker rm -f $c; done < <(docker ps -aq)",
        ] {
            assert!(!waits(line) && !depends(line), "{line}");
        }
    }
}
