//! kubelet's command line flags: taking a line of them apart, changing single ones, and what each release accepts.
//!
//! An unknown flag keeps the kubelet from starting, a repeated flag counts by its last occurrence, and a flag always
//! beats the configuration file. Flags that are not touched keep their spelling and spacing.

use super::words::{Escapes, Piece, Word, appended, joined, quote, split};
use std::ops::Range;

/// A kubelet release: major and minor version.
pub type Release = (u32, u32);

/// Splits as systemd does for an unquoted `$VAR` (at blanks, honouring quotes and backslashes).
pub fn split_words(value: &str) -> Vec<String> {
    split(value, Escapes::Plain).into_iter().map(|word| word.text).collect()
}

/// One flag of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The name without dashes, `_` read as `-` as the kubelet does; empty for a word that is no flag (the kubelet
    /// refuses to start on one).
    pub name: String,
    /// The value, if one is given. A switch such as `--fail-swap-on` has none and means true.
    pub value: Option<String>,
    /// How many words it takes: 1 for `--a=b`, 2 for `--a b`.
    pub words: usize,
}

impl Flag {
    /// The value of a switch: absent means true; `None` for what Go's `ParseBool` refuses.
    pub fn switch(&self) -> Option<bool> {
        match self.value.as_deref() {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Some(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Some(false),
            Some(_) => None,
        }
    }
}

/// Where in a command line kubelet's own flags start, or why that cannot be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// The flags are the words from here on.
    At(usize),
    /// Something else is started, named here, that may start kubelet with flags of its own.
    Other(String),
    /// There is no command line.
    None,
}

const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"];

/// Finds kubelet in a command line: as the program itself, behind `nice` and its like, or as a word of `hyperkube`.
/// What stands in a shell's script cannot be known.
pub fn program(words: &[String]) -> Program {
    let Some(first) = words.first() else { return Program::None };
    let base = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    for (at, word) in words.iter().enumerate().take(10) {
        let name = base(word);
        if SHELLS.contains(&name.as_str()) {
            break;
        }
        // `kubelet-1.20.2` and the like are kubelet too; whether it is a script is for the caller to see.
        if name == "kubelet" || name.strip_prefix("kubelet-").is_some_and(|rest| rest.starts_with(['v', '1'])) {
            return Program::At(at + 1);
        }
    }
    Program::Other(first.clone())
}

/// The flags among `words` (without the program's name), in order. All words are covered.
pub fn parse(words: &[String]) -> Vec<Flag> {
    let mut out = Vec::new();
    let mut rest = words;
    let mut flags_end = false;
    while let Some((word, after)) = rest.split_first() {
        let flag = if flags_end { positional(word) } else { flag(word, after.first()) };
        flags_end |= word == "--";
        rest = rest.get(flag.words..).unwrap_or_default();
        out.push(flag);
    }
    out
}

fn positional(word: &str) -> Flag {
    Flag { name: String::new(), value: Some(word.to_owned()), words: 1 }
}

fn flag(word: &str, next: Option<&String>) -> Flag {
    let (long, body) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(""), _) | (None, Some("") | None) => return positional(word),
        (Some(body), _) => (true, body),
        (None, Some(body)) => (false, body),
    };
    if let Some((name, value)) = body.split_once('=') {
        return Flag { name: normal(name), value: Some(value.to_owned()), words: 1 };
    }
    // Of the short flags only `-v` takes a value, and it may stick to it: `-v4`.
    let mut chars = body.chars();
    if !long && chars.next() == Some('v') && !chars.as_str().is_empty() {
        return Flag { name: "v".to_owned(), value: Some(chars.as_str().to_owned()), words: 1 };
    }
    let name = normal(body);
    // A word that looks like a long flag is taken for one: `--a --b` more likely lacks a value than it has this one.
    match next.filter(|next| !is_switch(&name) && !next.starts_with("--")) {
        Some(next) => Flag { name, value: Some(next.clone()), words: 2 },
        None => Flag { name, value: None, words: 1 },
    }
}

fn normal(name: &str) -> String {
    name.replace('_', "-")
}

fn is_switch(name: &str) -> bool {
    SWITCHES.binary_search(&name).is_ok()
}

/// Changes the unescaped value of a variable such as `KUBELET_KUBEADM_ARGS`.
///
/// Flags named in `remove` go with their value, in every spelling. Flags in `set` get their value in the place of their
/// last occurrence (earlier ones go) or at the end. Names are given without dashes; one that is in both lists is set.
/// Everything else keeps its bytes, and a value in which all that holds already is returned as it is. A quote left open
/// at the end is closed where a flag is added behind it.
pub fn rewrite(value: &str, remove: &[&str], set: &[(&str, &str)]) -> String {
    let words = split(value, Escapes::Plain);
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    let mut pieces: Vec<Piece> = Vec::new();
    let mut found = vec![false; set.len()];
    let mut end = words.len();
    for flag in parse(&texts).iter().rev() {
        let start = end.saturating_sub(flag.words);
        let own = span(&words, start, end);
        end = start;
        let wanted = set.iter().zip(&mut found).find(|((name, _), _)| *name == flag.name);
        match wanted {
            Some((_, seen)) if *seen => {}
            Some(((name, new), seen)) => {
                *seen = true;
                let changed = flag.value.as_deref() != Some(*new);
                pieces.push((own, changed.then(|| written(name, new))));
            }
            None if remove.contains(&flag.name.as_str()) => {}
            None => pieces.push((own, None)),
        }
    }
    pieces.reverse();
    let missing =
        set.iter().zip(found).filter(|(_, found)| !found).map(|((name, value), _)| format!("--{name}={value}"));
    appended(joined(value, &words, &pieces), missing)
}

fn written(name: &str, value: &str) -> String {
    quote(&format!("--{name}={value}"))
}

fn span(words: &[Word], start: usize, end: usize) -> Range<usize> {
    let first = words.get(start).map_or(0, |word| word.range.start);
    first..words.get(end.saturating_sub(1)).map_or(first, |word| word.range.end)
}

/// What is known of a flag that matters when a node leaves dockershim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagFacts {
    /// The name without dashes.
    pub name: &'static str,
    /// The first release that has it, where that is later than 1.18.
    pub added: Option<Release>,
    /// The first release that refuses to start with it.
    pub fatal_from: Option<Release>,
    /// It configures dockershim or Docker and means nothing with a CRI endpoint.
    pub docker_only: bool,
    /// The KubeletConfiguration field or other place that took over.
    pub replacement: Option<&'static str>,
}

const fn docker(name: &'static str, fatal_from: Release) -> FlagFacts {
    FlagFacts { name, added: None, fatal_from: Some(fatal_from), docker_only: true, replacement: None }
}

const fn docker_cni(name: &'static str, replacement: &'static str) -> FlagFacts {
    FlagFacts { name, added: None, fatal_from: Some((1, 24)), docker_only: true, replacement: Some(replacement) }
}

const fn gone(name: &'static str, fatal_from: Release, replacement: Option<&'static str>) -> FlagFacts {
    FlagFacts { name, added: None, fatal_from: Some(fatal_from), docker_only: false, replacement }
}

const fn stays(name: &'static str, replacement: &'static str) -> FlagFacts {
    FlagFacts { name, added: None, fatal_from: None, docker_only: false, replacement: Some(replacement) }
}

/// Flags whose meaning or existence depends on runtime and release (kubelet sources and release notes 1.18-1.37).
pub const FLAGS: &[FlagFacts] = &[
    gone("container-runtime", (1, 27), None),
    stays("container-runtime-endpoint", "containerRuntimeEndpoint"),
    stays("image-service-endpoint", "imageServiceEndpoint"),
    docker("network-plugin", (1, 24)),
    docker_cni("cni-conf-dir", "containerd cni.conf_dir"),
    docker_cni("cni-bin-dir", "containerd cni.bin_dir"),
    docker("cni-cache-dir", (1, 24)),
    docker("network-plugin-mtu", (1, 24)),
    docker("docker-endpoint", (1, 24)),
    docker("image-pull-progress-deadline", (1, 24)),
    docker("experimental-dockershim-root-directory", (1, 24)),
    docker("experimental-dockershim", (1, 19)),
    // cAdvisor's own; the release that dropped them is not documented, so they go with dockershim.
    docker("docker", (1, 24)),
    docker("docker-only", (1, 24)),
    docker("docker-root", (1, 24)),
    docker("docker-env-metadata-whitelist", (1, 24)),
    docker("docker-tls", (1, 24)),
    docker("docker-tls-ca", (1, 24)),
    docker("docker-tls-cert", (1, 24)),
    docker("docker-tls-key", (1, 24)),
    // cAdvisor's, dropped together in 1.37; only `housekeeping-interval` was kept.
    gone("containerd", (1, 37), None),
    gone("containerd-namespace", (1, 37), None),
    gone("pod-infra-container-image", (1, 35), Some("containerd sandbox image")),
    stays("cgroup-driver", "cgroupDriver"),
    stays("runtime-request-timeout", "runtimeRequestTimeout"),
    stays("container-log-max-size", "containerLogMaxSize"),
    stays("container-log-max-files", "containerLogMaxFiles"),
    FlagFacts { name: "runtime-cgroups", added: None, fatal_from: None, docker_only: false, replacement: None },
    FlagFacts { name: "config-dir", added: Some((1, 28)), fatal_from: None, docker_only: false, replacement: None },
];

/// What is known of a flag; names without dashes.
pub fn facts(name: &str) -> Option<&'static FlagFacts> {
    FLAGS.iter().find(|facts| facts.name == name)
}

/// Whether a flag configures dockershim or Docker alone.
pub fn docker_only(name: &str) -> bool {
    facts(name).is_some_and(|facts| facts.docker_only)
}

/// The first release that refuses to start with a flag.
pub fn fatal_from(name: &str) -> Option<Release> {
    facts(name).and_then(|facts| facts.fatal_from)
}

/// The flags to remove and to set, by [`rewrite`], so that a kubelet of `version` uses a CRI endpoint.
///
/// Up to 1.26 that takes `--container-runtime=remote`, from 1.27 on this flag is fatal. Flags of dockershim go on every
/// release: where they are still accepted they mean nothing with a CRI endpoint. `--pod-infra-container-image` stays
/// while the kubelet accepts it, because it keeps the image garbage collection off the sandbox image.
pub fn for_endpoint(version: Release, endpoint: &str) -> (Vec<&'static str>, Vec<(&'static str, String)>) {
    let fatal = |facts: &FlagFacts| facts.fatal_from.is_some_and(|from| version >= from);
    let leaves = |facts: &&FlagFacts| facts.docker_only || fatal(facts);
    let remove = FLAGS.iter().filter(leaves).map(|facts| facts.name).collect();
    let mut set = Vec::new();
    if version < (1, 27) {
        set.push(("container-runtime", "remote".to_owned()));
    }
    // Since 1.24 an endpoint without a scheme draws a warning.
    let scheme = if endpoint.starts_with('/') { "unix://" } else { "" };
    set.push(("container-runtime-endpoint", format!("{scheme}{endpoint}")));
    (remove, set)
}

/// kubelet's switches, which never take the next word as their value (flags of 1.18-1.37); sorted.
const SWITCHES: &[&str] = &[
    "add-dir-header",
    "allow-privileged",
    "alsologtostderr",
    "anonymous-auth",
    "authentication-token-webhook",
    "cgroups-per-qos",
    "containerized",
    "contention-profiling",
    "cpu-cfs-quota",
    "docker-only",
    "docker-tls",
    "enable-cadvisor-json-endpoints",
    "enable-controller-attach-detach",
    "enable-debugging-handlers",
    "enable-load-reader",
    "enable-server",
    "exit-on-lock-contention",
    "experimental-allocatable-ignore-eviction",
    "experimental-check-node-capabilities-before-mount",
    "experimental-dockershim",
    "experimental-kernel-memcg-notification",
    "fail-cgroupv1",
    "fail-swap-on",
    "h",
    "help",
    "keep-terminated-pod-volumes",
    "kernel-memcg-notification",
    "local-storage-capacity-isolation",
    "log-cadvisor-usage",
    "log-json-split-stream",
    "log-text-split-stream",
    "logtostderr",
    "make-iptables-util-chains",
    "one-output",
    "protect-kernel-defaults",
    "really-crash-for-testing",
    "redirect-container-streaming",
    "register-node",
    "register-schedulable",
    "rotate-certificates",
    "rotate-server-certificates",
    "runonce",
    "seccomp-default",
    "serialize-image-pulls",
    "skip-headers",
    "skip-log-headers",
    "version",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Vec<(String, Option<String>, usize)> {
        parse(&split_words(line)).into_iter().map(|f| (f.name, f.value, f.words)).collect()
    }

    fn item(name: &str, value: Option<&str>, words: usize) -> (String, Option<String>, usize) {
        (name.to_owned(), value.map(str::to_owned), words)
    }

    #[test]
    fn switches_are_sorted_for_the_search() {
        assert!(SWITCHES.is_sorted());
    }

    #[test]
    fn flags_are_read_in_all_their_spellings() {
        assert_eq!(
            read("--a=b --a b --fail-swap-on true -v 4 -v4 -v=4 --node_ip=1 --oom-score-adj -999 --x --y \"\" -- --z"),
            [
                item("a", Some("b"), 1),
                item("a", Some("b"), 2),
                item("fail-swap-on", None, 1),
                item("", Some("true"), 1),
                item("v", Some("4"), 2),
                item("v", Some("4"), 1),
                item("v", Some("4"), 1),
                item("node-ip", Some("1"), 1),
                item("oom-score-adj", Some("-999"), 2),
                item("x", None, 1),
                item("y", Some(""), 2),
                item("", Some("--"), 1),
                item("", Some("--z"), 1),
            ]
        );
        assert_eq!(read("--fail-swap-on=false --version")[0].1.as_deref(), Some("false"));
    }

    #[test]
    fn switches_have_values_as_go_reads_them() {
        let value = |line: &str| parse(&split_words(line)).first().and_then(Flag::switch);
        assert_eq!(value("--fail-swap-on"), Some(true));
        assert_eq!(value("--fail-swap-on=F"), Some(false));
        assert_eq!(value("--fail-swap-on=no"), None);
    }

    #[test]
    fn rewriting_touches_only_what_is_named() {
        for (line, remove, set, expected) in [
            ("--network-plugin=cni --x=1", &["network-plugin"][..], &[][..], "--x=1"),
            ("--x=1  --network-plugin cni", &["network-plugin"], &[], "--x=1"),
            ("--x=1   --network_plugin=cni\t--y", &["network-plugin"], &[], "--x=1\t--y"),
            ("--a=1 --b", &[], &[("c", "3"), ("a", "2")], "--a=2 --b --c=3"),
            ("--a=1 --b --a 2", &[], &[("a", "3")], "--b --a=3"),
            ("--a 1", &[], &[("a", "1")], "--a 1"),
            ("", &["x"], &[("a", "1")], "--a=1"),
            (" --x ", &[], &[], " --x "),
            ("--only=1", &["only"], &[], ""),
            ("--l=\"a b\" --x=1", &["x"], &[("n", "c d")], "--l=\"a b\" \"--n=c d\""),
            ("--a=1 --b=2", &["a"], &[("a", "3")], "--a=3 --b=2"),
        ] {
            assert_eq!(rewrite(line, remove, set), expected, "{line}");
        }
    }

    #[test]
    fn the_table_follows_the_releases() {
        assert_eq!(fatal_from("network-plugin"), Some((1, 24)));
        assert_eq!(fatal_from("container-runtime"), Some((1, 27)));
        assert_eq!(fatal_from("pod-infra-container-image"), Some((1, 35)));
        assert_eq!(fatal_from("container-runtime-endpoint"), None);
        assert!(docker_only("cni-bin-dir") && !docker_only("pod-infra-container-image"));
        let mut names: Vec<_> = FLAGS.iter().map(|facts| facts.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FLAGS.len());
    }

    #[test]
    fn each_release_gets_the_flags_it_accepts() {
        let kubeadm = "--network-plugin=cni --pod-infra-container-image=k8s.gcr.io/pause:3.2";
        for (version, expected) in [
            (
                (1, 23),
                "--pod-infra-container-image=k8s.gcr.io/pause:3.2 --container-runtime=remote --container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            ),
            (
                (1, 27),
                "--pod-infra-container-image=k8s.gcr.io/pause:3.2 --container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            ),
            ((1, 35), "--container-runtime-endpoint=unix:///run/containerd/containerd.sock"),
        ] {
            let (remove, set) = for_endpoint(version, "/run/containerd/containerd.sock");
            let set: Vec<_> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let out = rewrite(kubeadm, &remove, &set);
            assert_eq!(out, expected);
            assert_eq!(rewrite(&out, &remove, &set), out);
        }
    }

    #[test]
    fn kubelet_is_found_in_its_command_line() {
        for (line, expected) in [
            ("/usr/bin/kubelet --a", Program::At(1)),
            ("/usr/bin/nice -n -5 /usr/local/bin/kubelet-v1.20.2 --a", Program::At(4)),
            ("/usr/bin/env A=b kubelet --a", Program::At(3)),
            ("/hyperkube kubelet --a", Program::At(2)),
            ("/bin/sh -c 'exec /usr/bin/kubelet $A'", Program::Other("/bin/sh".into())),
            ("/bin/sh -c exec /usr/bin/kubelet", Program::Other("/bin/sh".into())),
            ("/opt/start-kubelet.sh --a", Program::Other("/opt/start-kubelet.sh".into())),
            ("/opt/kubelet-wrapper --a", Program::Other("/opt/kubelet-wrapper".into())),
            ("", Program::None),
        ] {
            assert_eq!(program(&split_words(line)), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn rewritten_lines_say_what_was_asked(
            line in "(--[ab]{1,2}(=| |)[a-b\"'\\\\]{0,3} {0,2}){0,6}",
            value in "[a-z \"'\\\\]{0,6}",
        ) {
            let out = rewrite(&line, &["aa", "b"], &[("ab", &value)]);
            let after = parse(&split_words(&out));
            let set: Vec<_> = after.iter().filter(|flag| flag.name == "ab").collect();
            prop_assert_eq!(set.len(), 1);
            prop_assert_eq!(set[0].value.as_deref(), Some(value.as_str()));
            prop_assert!(after.iter().all(|flag| flag.name != "aa" && flag.name != "b"));
            prop_assert_eq!(rewrite(&out, &["aa", "b"], &[("ab", &value)]), out);
        }

        #[test]
        fn nothing_asked_changes_nothing(line in ".{0,40}") {
            prop_assert_eq!(rewrite(&line, &[], &[]), line);
        }
    }
}
