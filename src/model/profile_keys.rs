//! Every key of the profile for people: what it takes, what it is when nobody says it. The reference page, the man page
//! and the example that packages bring are made from this table; a test holds it against [`super::Profile`].

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct ProfileKey {
    /// The table it stands in; empty for the top of the file.
    pub table: &'static str,
    /// Its name.
    pub key: &'static str,
    /// What it takes, in words.
    pub takes: &'static str,
    /// Its default as TOML; empty where leaving it out means something no value can say.
    pub default: &'static str,
    /// A value as TOML, to show how it is written.
    pub example: &'static str,
    /// What it decides, as whole sentences.
    pub about: &'static str,
}

/// All keys, in the order of the file.
pub const PROFILE_KEYS: &[ProfileKey] = &[
    ProfileKey {
        table: "",
        key: "endpoint",
        takes: "text, `unix:///…`",
        default: "\"unix:///run/containerd/containerd.sock\"",
        example: "\"unix:///run/containerd/containerd.sock\"",
        about: "The socket on which containerd serves CRI. kubelet and crictl are pointed to it. It has to be the one that \
                containerd is told (`containerd-endpoint`).",
    },
    ProfileKey {
        table: "",
        key: "sandbox-image",
        takes: "text, an image's name",
        default: "",
        example: "\"registry.example/pause:3.9\"",
        about: "The image of the sandbox that every pod has. Left out, it is the one that kubelet or cri-dockerd names, \
                else containerd's own default.",
    },
    ProfileKey {
        table: "",
        key: "containerd-config",
        takes: "`\"edit\"` or `\"regenerate\"`",
        default: "\"edit\"",
        example: "\"edit\"",
        about: "Whether containerd's configuration is edited in place, with its comments and unknown keys, or made anew \
                as one file that takes over what castoff knows of the old ones.",
    },
    ProfileKey {
        table: "",
        key: "docker",
        takes: "`\"mask\"` or `\"disable\"`",
        default: "\"mask\"",
        example: "\"mask\"",
        about: "What becomes of Docker's units: stopped, disabled and masked, or stopped and disabled only. Nothing is \
                removed in either case.",
    },
    ProfileKey {
        table: "",
        key: "images",
        takes: "`\"needed\"`, `\"all\"` or `\"none\"`",
        default: "\"needed\"",
        example: "\"needed\"",
        about: "Which of Docker's images come along: what pods, static pods and the sandbox need, these and all \
                that have a tag, or none, so that everything is pulled again.",
    },
    ProfileKey {
        table: "",
        key: "carry",
        takes: "`\"auto\"`, `\"reflink\"`, `\"adopt\"`, `\"copy\"`, `\"stream\"` or `\"hardlink\"`",
        default: "\"auto\"",
        example: "\"auto\"",
        about: "The way images come along. `auto` takes the best that the file systems allow.",
    },
    ProfileKey {
        table: "",
        key: "recover",
        takes: "`\"auto\"`, `\"rollback\"` or `\"resume\"`",
        default: "\"auto\"",
        example: "\"auto\"",
        about: "Where a run goes that a power cut or a kill cut off: on when every file was written already and else \
                back, always back, or always on.",
    },
    ProfileKey {
        table: "",
        key: "skip-checks",
        takes: "list of ids of findings",
        default: "[]",
        example: "[\"docker-only-containers\"]",
        about: "Findings that do not block. `castoff check --list` shows all ids.",
    },
    ProfileKey {
        table: "timeouts",
        key: "unit",
        takes: "duration",
        default: "\"2m\"",
        example: "\"2m\"",
        about: "One start, stop or restart of a unit, and CRI after a start.",
    },
    ProfileKey {
        table: "timeouts",
        key: "pods",
        takes: "duration",
        default: "\"5m\"",
        example: "\"10m\"",
        about: "Until the node's pods run again.",
    },
    ProfileKey {
        table: "timeouts",
        key: "settle",
        takes: "duration",
        default: "\"3s\"",
        example: "\"3s\"",
        about: "How long a started unit must stay up before it counts as up.",
    },
    ProfileKey {
        table: "timeouts",
        key: "images",
        takes: "duration",
        default: "\"1h\"",
        example: "\"2h\"",
        about: "Carrying images, all of them together.",
    },
    ProfileKey {
        table: "timeouts",
        key: "drain",
        takes: "duration",
        default: "\"10m\"",
        example: "\"10m\"",
        about: "Until all evicted pods are gone. `--drain-timeout` beats it.",
    },
    ProfileKey {
        table: "timeouts",
        key: "node",
        takes: "duration",
        default: "\"5m\"",
        example: "\"5m\"",
        about: "Until the cluster sees the node Ready on its new runtime, and the pods that were Ready before, or its API server is back.",
    },
    ProfileKey {
        table: "history",
        key: "runs",
        takes: "number",
        default: "50",
        example: "20",
        about: "How many old runs stay. A run that may still be needed stays whatever this says.",
    },
    ProfileKey {
        table: "history",
        key: "megabytes",
        takes: "number, 10⁶ bytes",
        default: "200",
        example: "100",
        about: "How much they take together.",
    },
];

/// A profile that says nothing: every key with its default, commented out, below what it decides.
pub fn example_profile() -> String {
    let mut text = String::from("# What castoff shall reach on this node. Every key may be left out.\n");
    let mut table = "";
    for key in PROFILE_KEYS {
        if key.table != table {
            table = key.table;
            text.push_str(&format!("\n[{table}]\n"));
        }
        let value = if key.default.is_empty() { key.example } else { key.default };
        text.push_str(&format!("\n{}# {} = {value}\n", commented(key.about), key.key));
    }
    text
}

fn commented(about: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in about.split(' ') {
        if lines.last().is_some_and(|line| line.chars().count() + word.chars().count() > 78) {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::{
        CarryMode, ConfigWay, Desired, DockerFate, Goal, ImagePolicy, Profile, RecoverPolicy, Retention, Span, Timeouts,
    };
    use super::*;
    use std::collections::BTreeSet;

    /// With a value for everything that is left out when it is as usual.
    fn full() -> Profile {
        Profile {
            endpoint: Some(String::new()),
            sandbox_image: Some(String::new()),
            containerd_config: Some(ConfigWay::Edit),
            docker: Some(DockerFate::Mask),
            images: Some(ImagePolicy::All),
            carry: Some(CarryMode::Copy),
            recover: Some(RecoverPolicy::Resume),
            skip_checks: vec![String::new()],
            timeouts: Timeouts { drain: Span::seconds(1), node: Span::seconds(1), ..Timeouts::default() },
            history: Retention::default(),
        }
    }

    #[test]
    fn the_table_has_every_key_of_the_profile_and_no_other() {
        let value = serde_json::to_value(full()).unwrap();
        let mut known = BTreeSet::new();
        for (key, value) in value.as_object().unwrap() {
            match value.as_object() {
                Some(table) => known.extend(table.keys().map(|inner| (key.clone(), inner.clone()))),
                None => drop(known.insert((String::new(), key.clone()))),
            }
        }
        let told: BTreeSet<_> = PROFILE_KEYS.iter().map(|key| (key.table.to_owned(), key.key.to_owned())).collect();
        assert_eq!(told, known);
    }

    #[test]
    fn defaults_are_what_they_say_and_examples_can_be_read() {
        let text = |value: fn(&ProfileKey) -> &'static str| {
            let mut text = String::new();
            let mut table = "";
            for key in PROFILE_KEYS.iter().filter(|key| !value(key).is_empty()) {
                if key.table != table {
                    table = key.table;
                    text.push_str(&format!("[{table}]\n"));
                }
                text.push_str(&format!("{} = {}\n", key.key, value(key)));
            }
            text
        };
        let said: Profile = toml::from_str(&text(|key| key.default)).unwrap();
        let resolved = |profile: &Profile| Desired::resolve(Goal::Containerd, profile, &[]).unwrap();
        assert_eq!(resolved(&said), resolved(&Profile::default()));
        assert_eq!(said.history, Profile::default().history);
        let shown: Profile = toml::from_str(&text(|key| key.example)).unwrap();
        assert_eq!(shown.timeouts.pods, Span::seconds(600));
    }

    #[test]
    fn the_example_changes_nothing_and_works_without_its_comment_signs() {
        let example = example_profile();
        let profile: Profile = toml::from_str(&example).unwrap();
        assert_eq!(profile, Profile::default());
        assert!(example.lines().all(|line| line.chars().count() <= 80), "{example}");
        // A line that sets something: a key, one equals sign.
        let set: Vec<&str> = example
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => rest,
                _ => line,
            })
            .collect();
        let profile: Profile = toml::from_str(&set.join("\n")).unwrap();
        assert_eq!(profile.images, Some(ImagePolicy::Needed));
        assert_eq!(profile.timeouts, Timeouts::default());
    }
}
