//! dockerd's settings: every flag and key of 20.10 to 29, and command lines in the shape of `daemon.json`.
//!
//! A flag and a key of `daemon.json` often have different names (`--label`, `labels`); castoff always uses the key's.
//! The key that is spelt like its flag (`"insecure-registry"`) is accepted by dockerd and has no effect.

mod options;
mod values;

pub use options::{OPTIONS, Opt, Shape, by_key, by_name};
pub use values::{NOT_REPEATED, exec_opts, merged};

/// How dockerd takes a key of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKey {
    /// It has an effect.
    Effective,
    /// dockerd starts with it and ignores it: it is the name of a flag, or a key of old.
    Ignored,
    /// dockerd refuses to start with it.
    Unknown,
}

/// Keys that dockerd lets pass although no flag has them.
const TOLERATED: [&str; 5] =
    ["allow-nondistributable-artifacts", "builder", "default-init", "deprecated-key-path", "features"];

/// Objects of the file that are a value; of every other one dockerd looks at the keys inside.
pub const OBJECTS: [&str; 8] = [
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "nri-opts",
    "runtimes",
];

/// How a dockerd of that release (major, minor) takes a key of its file. Without a release every known key counts.
pub fn file_key(key: &str, release: Option<(u32, u32)>) -> FileKey {
    let in_time = |option: &Opt| release.is_none_or(|release| option.since <= release && release < option.until);
    if by_key(key).is_some_and(in_time) {
        return FileKey::Effective;
    }
    if matches!(key, "builder" | "features") {
        return FileKey::Effective;
    }
    if TOLERATED.contains(&key) || by_name(key).is_some_and(in_time) {
        return FileKey::Ignored;
    }
    FileKey::Unknown
}

/// One flag of dockerd's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The long name without dashes.
    pub name: String,
    /// What is known of it; `None` for a flag that no release has.
    pub option: Option<&'static Opt>,
    /// Its value; a switch without one is `true`.
    pub value: Option<String>,
    /// The index of its first word.
    pub at: usize,
}

impl Flag {
    /// The key in `daemon.json` that says the same.
    pub fn key(&self) -> &str {
        self.option.map_or(&self.name, |option| option.key)
    }
}

/// Takes a command line apart (without the program's name) as dockerd does: a switch never takes the next word, any
/// other flag takes it whatever it looks like, and short flags may be joined. Words that are no flags are left out.
pub fn parse(words: &[String]) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1);
        let taken = match (word.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(""), _) => break,
            (Some(body), _) => long(body, next, at, &mut flags),
            (None, Some(body)) if !body.is_empty() => short(body, next, at, &mut flags),
            _ => 1,
        };
        at += taken;
    }
    flags
}

/// How many words it took.
fn long(body: &str, next: Option<&String>, at: usize, flags: &mut Vec<Flag>) -> usize {
    let (name, given) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let option = by_name(name);
    let switch = option.is_none_or(|option| option.shape == Shape::Switch);
    let (value, taken) = match (given, switch) {
        (Some(value), _) => (Some(value), 1),
        (None, true) => (Some("true".to_owned()), 1),
        (None, false) => (next.cloned(), 2),
    };
    flags.push(Flag { name: name.to_owned(), option, value, at });
    taken
}

fn short(body: &str, next: Option<&String>, at: usize, flags: &mut Vec<Flag>) -> usize {
    for (index, letter) in body.char_indices() {
        let rest = body.get(index + letter.len_utf8()..).unwrap_or_default();
        let option = OPTIONS.iter().find(|option| option.short == Some(letter));
        let name = option.map_or_else(|| letter.to_string(), |option| option.name.to_owned());
        let switch = option.is_none_or(|option| option.shape == Shape::Switch);
        if let Some(value) = rest.strip_prefix('=') {
            flags.push(Flag { name, option, value: Some(value.to_owned()), at });
            return 1;
        }
        if switch {
            flags.push(Flag { name, option, value: Some("true".to_owned()), at });
            continue;
        }
        let (value, taken) = if rest.is_empty() { (next.cloned(), 2) } else { (Some(rest.to_owned()), 1) };
        flags.push(Flag { name, option, value, at });
        return taken;
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn flags(line: &str) -> Vec<(String, Option<String>)> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words).into_iter().map(|flag| (flag.key().to_owned(), flag.value)).collect()
    }

    #[test]
    fn command_lines_are_read_as_dockerd_reads_them() {
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        for (line, expected) in [
            ("-H fd:// --containerd=/c.sock", vec![pair("hosts", "fd://"), pair("containerd", "/c.sock")]),
            ("--live-restore false --ip-masq=false", vec![pair("live-restore", "true"), pair("ip-masq", "false")]),
            (
                "-Dl info -H=tcp://a -Hunix:///b",
                vec![
                    pair("debug", "true"),
                    pair("log-level", "info"),
                    pair("hosts", "tcp://a"),
                    pair("hosts", "unix:///b"),
                ],
            ),
            (
                "-g /data -s overlay2 -G docker -p /pid -b br0",
                vec![
                    pair("data-root", "/data"),
                    pair("storage-driver", "overlay2"),
                    pair("group", "docker"),
                    pair("pidfile", "/pid"),
                    pair("bridge", "br0"),
                ],
            ),
            ("--log-opt max-size=1m --log-opt --x=1", vec![pair("log-opts", "max-size=1m"), pair("log-opts", "--x=1")]),
            ("--label a -- --debug", vec![pair("labels", "a")]),
            ("--nonsense word --debug", vec![pair("nonsense", "true"), pair("debug", "true")]),
            ("--bip", vec![("bip".to_owned(), None)]),
        ] {
            assert_eq!(flags(line), expected, "{line}");
        }
    }

    #[test]
    fn keys_of_the_file_count_by_release() {
        for (key, release, expected) in [
            ("insecure-registries", None, FileKey::Effective),
            ("insecure-registry", None, FileKey::Ignored),
            ("log-format", Some((24, 0)), FileKey::Unknown),
            ("log-format", Some((25, 0)), FileKey::Effective),
            ("graph", Some((20, 10)), FileKey::Effective),
            ("graph", Some((26, 1)), FileKey::Unknown),
            ("oom-score-adjust", Some((26, 0)), FileKey::Unknown),
            ("features", Some((20, 10)), FileKey::Effective),
            ("allow-nondistributable-artifacts", Some((28, 5)), FileKey::Ignored),
            ("deprecated-key-path", Some((27, 0)), FileKey::Ignored),
            ("data_root", None, FileKey::Unknown),
            ("Debug", None, FileKey::Unknown),
        ] {
            assert_eq!(file_key(key, release), expected, "{key} {release:?}");
        }
    }

    #[test]
    fn no_name_stands_twice() {
        for (index, option) in OPTIONS.iter().enumerate() {
            for other in OPTIONS.iter().skip(index + 1) {
                assert!(option.name.is_empty() || option.name != other.name, "{}", option.name);
                assert!(option.short.is_none() || option.short != other.short, "{}", option.name);
            }
        }
    }

    proptest! {
        #[test]
        fn any_words_are_survived(words in proptest::collection::vec("-{0,3}[a-zH=ä]{0,8}", 0..6)) {
            for flag in parse(&words) {
                prop_assert!(flag.at < words.len());
                if let Some(option) = flag.option {
                    merged(option.shape, &[flag.value.unwrap_or_default()]);
                }
            }
        }

        #[test]
        fn what_is_written_as_a_flag_comes_back(values in proptest::collection::vec("[a-z0-9:/.=,-]{1,12}", 1..5)) {
            let words: Vec<String> = values.iter().flat_map(|value| ["--registry-mirror".to_owned(), value.clone()]).collect();
            let seen: Vec<String> = parse(&words).into_iter().filter_map(|flag| flag.value).collect();
            prop_assert_eq!(merged(Shape::List, &seen), json!(values));
        }
    }
}
