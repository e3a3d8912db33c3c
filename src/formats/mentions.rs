//! Where a script, a unit or a crontab names Docker. Read as a human would skim it: a false alarm costs a look, so what
//! only looks like Docker (a group, a path of its configuration) is left out, and nothing but Docker's own words is
//! ever quoted, because command lines may hold secrets.

use super::{At, count};
use crate::model::Tie;

/// Sub-commands of the docker command line (docker/cli, 17.06 to 29).
const SUBCOMMANDS: [&str; 47] = [
    "attach",
    "build",
    "builder",
    "buildx",
    "commit",
    "compose",
    "container",
    "context",
    "cp",
    "create",
    "diff",
    "events",
    "exec",
    "export",
    "history",
    "image",
    "images",
    "import",
    "info",
    "inspect",
    "kill",
    "load",
    "login",
    "logs",
    "network",
    "node",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "restart",
    "rm",
    "rmi",
    "run",
    "save",
    "service",
    "stack",
    "start",
    "stats",
    "stop",
    "swarm",
    "system",
    "tag",
    "top",
    "version",
    "volume",
];

/// Verbs of systemctl and service that bring Docker up.
const STARTS: [&str; 7] =
    ["start", "restart", "try-restart", "reload-or-restart", "force-reload", "enable", "condrestart"];

/// What one line says about Docker, the strongest tie first; `None` for most lines. `line` is a shell command or any
/// configuration line that holds one.
pub fn in_line(line: &str) -> Option<(Tie, String)> {
    let words: Vec<&str> = line.split(is_break).filter(|word| !word.is_empty()).collect();
    if let Some(how) = restarts(&words) {
        return Some((Tie::Restarts, how));
    }
    if words.iter().any(|word| names_socket(word)) {
        return Some((Tie::Socket, "docker.sock".to_owned()));
    }
    words.iter().enumerate().find_map(|(at, word)| {
        let after = words.get(at + 1..).unwrap_or_default();
        command(word, after).map(|shown| (Tie::Command, shown))
    })
}

/// Whether a line asks after one of Docker's units, or waits for what cri-dockerd makes: nothing to a cron job, but a unit
/// that will not start without it waits for ever.
pub fn asks_after(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(is_break).filter(|word| !word.is_empty()).collect();
    let shim = |word: &str| matches!(word.split('.').next(), Some("cri-docker" | "cri-dockerd"));
    let asked = |at: usize| {
        let mut after = words.get(at + 1..).unwrap_or_default().iter().take(8);
        after.find(|word| is_docker_unit(word) || shim(word)).copied()
    };
    words.iter().enumerate().find_map(|(at, word)| match base(word) {
        "systemctl" | "service" if !words.iter().any(|word| matches!(*word, "stop" | "disable" | "mask" | "kill")) => {
            asked(at).map(|unit| format!("{} {unit}", base(word)))
        }
        "cri-dockerd.sock" => Some("cri-dockerd.sock".to_owned()),
        _ => None,
    })
}

/// Every line of a script that says something, comments left out.
pub fn in_script(text: &str) -> Vec<At<(Tie, String)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with(['#', ';']));
    lines.filter_map(|(index, line)| Some(At::new(in_line(line)?, count(index + 1)))).collect()
}

/// Lines that name a path below Docker's data root: those of its logs first.
pub fn of_data(text: &str, data_root: &str) -> Option<At<(Tie, String)>> {
    let logs = format!("{data_root}/containers");
    let lines = || text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    let find = |what: &str| lines().find(|(_, line)| names_path(line, what)).map(|(index, _)| count(index + 1));
    let logs_at = find(&logs).map(|line| At::new((Tie::Logs, logs.clone()), line));
    logs_at.or_else(|| find(data_root).map(|line| At::new((Tie::Data, data_root.to_owned()), line)))
}

/// `/var/lib/docker` in `/var/lib/docker/x` and in `"/var/lib/docker"`, not in `/var/lib/docker-old`.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let after = line.get(at + path.len()..).and_then(|rest| rest.chars().next());
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        after.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
            && before.is_none_or(|c| !c.is_ascii_alphanumeric())
    })
}

fn is_break(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, ';' | '|' | '&' | '(' | ')' | '<' | '>' | '"' | '\'' | '`' | '$' | '{' | '}' | ',' | '=')
}

fn base(word: &str) -> &str {
    let word = word.trim_start_matches(['@', '-', ':', '+', '!']);
    word.rsplit('/').next().unwrap_or(word)
}

fn names_socket(word: &str) -> bool {
    base(word).trim_end_matches([':', ']', '.']) == "docker.sock" || word.contains("/docker.sock:")
}

fn is_docker_unit(word: &str) -> bool {
    matches!(word, "docker" | "docker.service" | "docker.socket")
}

/// `systemctl restart docker`, `service docker restart`, `/etc/init.d/docker start`.
fn restarts(words: &[&str]) -> Option<String> {
    words.iter().enumerate().find_map(|(at, word)| {
        let after = words.get(at + 1..).unwrap_or_default();
        let verb = || after.iter().take(4).find(|word| STARTS.contains(word)).copied();
        match base(word) {
            "systemctl" => {
                let verb = verb()?;
                let named = after.iter().take(8).any(|word| is_docker_unit(word));
                named.then(|| format!("systemctl {verb} docker"))
            }
            "service" if after.first().is_some_and(|word| is_docker_unit(word)) => {
                verb().map(|verb| format!("service docker {verb}"))
            }
            "docker" if word.ends_with("init.d/docker") => verb().map(|verb| format!("init.d/docker {verb}")),
            _ => None,
        }
    })
}

/// The command and its sub-commands, without options and arguments.
fn command(word: &str, after: &[&str]) -> Option<String> {
    let is_path = word.contains("/bin/");
    match base(word) {
        "docker" => {
            // Options of docker itself, such as `-H unix:///run/docker.sock`, may stand in front of the sub-command.
            let mut rest = after.iter().skip_while(|word| word.starts_with('-'));
            let first = rest.next().copied().filter(|word| SUBCOMMANDS.contains(word));
            let options = after.first().is_some_and(|word| word.starts_with('-')) && is_path;
            match first {
                Some(first) => {
                    let second = rest.next().copied().filter(|word| SUBCOMMANDS.contains(word) || *word == "prune");
                    let grouped = matches!(first, "system" | "image" | "container" | "volume" | "network" | "builder");
                    let second = second.filter(|_| grouped).map(|word| format!(" {word}")).unwrap_or_default();
                    Some(format!("docker {first}{second}"))
                }
                None if options || is_path => Some("docker".to_owned()),
                None => None,
            }
        }
        "docker-compose" => Some("docker-compose".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_uses_docker_is_seen() {
        for (line, tie, shown) in [
            ("ExecStart=/usr/bin/docker run --rm -e TOKEN=x img", Tie::Command, "docker run"),
            ("ExecStartPre=-/usr/bin/docker rm -f x", Tie::Command, "docker rm"),
            ("0 3 * * * root docker system prune -af", Tie::Command, "docker system prune"),
            ("17 * * * * root test -x /usr/bin/docker && docker ps -q | xargs -r docker kill", Tie::Command, "docker"),
            ("docker exec -i db mysqldump -psecret", Tie::Command, "docker exec"),
            ("IDS=$(docker ps -q)", Tie::Command, "docker ps"),
            ("curl --unix-socket /var/run/docker.sock http://x/info", Tie::Socket, "docker.sock"),
            ("Environment=DOCKER_HOST=unix:///run/docker.sock", Tie::Socket, "docker.sock"),
            ("-v /var/run/docker.sock:/var/run/docker.sock", Tie::Socket, "docker.sock"),
            ("systemctl restart docker.service || true", Tie::Restarts, "systemctl restart docker"),
            ("systemctl --no-block start containerd docker", Tie::Restarts, "systemctl start docker"),
            ("  start program = \"/bin/systemctl start docker\"", Tie::Restarts, "systemctl start docker"),
            ("service docker restart", Tie::Restarts, "service docker restart"),
            ("/etc/init.d/docker restart", Tie::Restarts, "init.d/docker restart"),
            ("@daily cd /srv/app && docker-compose pull", Tie::Command, "docker-compose"),
        ] {
            assert_eq!(in_line(line), Some((tie, shown.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_docker_is_not() {
        for line in [
            "usermod -aG docker alice",
            "chown root:docker /x",
            "SupplementaryGroups=docker",
            "cat /etc/docker/daemon.json",
            "journalctl -u docker",
            "systemctl is-active docker",
            "echo docker is great",
            "ExecStart=/usr/bin/docker-proxy-logger",
            "After=docker.service",
            "",
        ] {
            assert_eq!(in_line(line), None, "{line}");
        }
        assert!(in_script("#!/bin/sh\n# docker ps\n; docker ps\n").is_empty());
        assert_eq!(in_script("#!/bin/sh\n\ndocker ps\n")[0].line, 3);
    }

    #[test]
    fn logs_go_before_other_data() {
        let rule = "/var/log/syslog {}\n/var/lib/docker/volumes/x {}\n/var/lib/docker/containers/*/*.log {\n";
        assert_eq!(of_data(rule, "/var/lib/docker").unwrap().line, 3);
        let at = of_data("/var/lib/docker/volumes/x\n", "/var/lib/docker").unwrap();
        assert_eq!(at.value.0, Tie::Data);
        assert_eq!(of_data("/var/lib/docker-old/x\n# /var/lib/docker\n", "/var/lib/docker"), None);
        assert!(of_data("paths: [\"/data/docker/containers/*/*.log\"]", "/data/docker").is_some());
    }

    #[test]
    fn who_asks_after_docker_is_seen() {
        for (line, shown) in [
            ("/bin/sh -c 'until systemctl is-active --quiet docker; do sleep 1; done'", Some("systemctl docker")),
            ("/bin/systemctl show -p ActiveState cri-docker.service", Some("systemctl cri-docker.service")),
            ("/bin/systemctl is-active cri-dockerd", Some("systemctl cri-dockerd")),
            ("/usr/bin/test -S /run/cri-dockerd.sock", Some("cri-dockerd.sock")),
            ("/bin/systemctl stop docker", None),
            ("/bin/mkdir -p /etc/docker", None),
            ("/bin/systemctl is-active containerd", None),
        ] {
            assert_eq!(asks_after(line).as_deref(), shown, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", odd in "[docker.sok/ =;|\\-\\n]{0,60}") {
            for text in [&text, &odd] {
                in_script(text);
                of_data(text, "/var/lib/docker");
            }
        }

        #[test]
        fn arguments_are_never_quoted(secret in "[A-Z0-9]{12}") {
            for line in [format!("docker run {secret}"), format!("docker login -p {secret}"), format!("docker -H {secret} ps")] {
                if let Some((_, shown)) = in_line(&line) {
                    prop_assert!(!shown.contains(&secret), "{}", shown);
                }
            }
        }
    }
}
