//! dockerd's effective settings: its command line, its file and its environment, each key once.

use crate::{
    formats::{
        daemon_json::DaemonJson,
        dockerd::{self, FileKey, OBJECTS, Shape},
        service::Word,
    },
    inspect::files::Files,
    model::{DockerProblem, DockerSetting, Origin, OriginKind, ProblemKind, Secret, Sourced, mask_value},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Variables of the environment that dockerd reads, the stronger spelling first (Go's `httpproxy`), and their keys.
const PROXIES: [(&str, &str); 6] = [
    ("HTTP_PROXY", "http-proxy"),
    ("http_proxy", "http-proxy"),
    ("HTTPS_PROXY", "https-proxy"),
    ("https_proxy", "https-proxy"),
    ("NO_PROXY", "no-proxy"),
    ("no_proxy", "no-proxy"),
];

/// Flags that are no settings.
const ORDERS: [&str; 5] = ["config-file", "help", "restart", "validate", "version"];

/// What was gathered.
#[derive(Debug, Default)]
pub struct Settings {
    /// In the order found.
    pub found: Vec<DockerSetting>,
    /// What dockerd makes trouble about, or passes over.
    pub problems: Vec<DockerProblem>,
    /// `--config-file`.
    pub config_file: Option<Sourced<String>>,
}

impl Settings {
    fn get(&self, key: &str) -> Option<&DockerSetting> {
        self.found.iter().find(|setting| setting.key == key)
    }

    fn push(&mut self, key: &str, value: Value, origin: Origin) {
        self.found.push(DockerSetting {
            key: key.to_owned(),
            value: redact(key, &value),
            raw: Secret::new(value),
            origin,
        });
    }

    fn problem(&mut self, kind: ProblemKind, key: &str, at: Vec<Origin>) {
        self.problems.push(DockerProblem { kind, key: key.to_owned(), at });
    }

    /// Takes the command line (with the program's name).
    pub fn command_line(&mut self, words: &[Word]) {
        let texts: Vec<String> = words.iter().skip(1).map(|word| word.text.clone()).collect();
        let mut order: Vec<(String, Shape, Origin)> = Vec::new();
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for flag in dockerd::parse(&texts) {
            let Some(word) = words.get(flag.at + 1) else { continue };
            let origin =
                Origin { kind: OriginKind::Flag, ..word.origin.clone() }.with_detail(format!("--{}", flag.name));
            let Some(value) = flag.value.clone() else { continue };
            if flag.name == "config-file" {
                self.config_file = Some(Sourced::new(value, origin));
                continue;
            }
            if ORDERS.contains(&flag.name.as_str()) {
                continue;
            }
            if flag.option.is_none() {
                self.problem(ProblemKind::Unknown, &format!("--{}", flag.name), vec![origin.clone()]);
            }
            let (key, shape) = (flag.key().to_owned(), flag.option.map_or(Shape::Text, |option| option.shape));
            let all = values.entry(key.clone()).or_default();
            // Of a flag with one value the last occurrence counts, so its place is the one to name.
            if all.is_empty() {
                order.push((key, shape, origin));
            } else if dockerd::NOT_REPEATED.contains(&shape)
                && let Some(entry) = order.iter_mut().find(|(known, ..)| *known == key)
            {
                entry.2 = origin;
            }
            all.push(value);
        }
        for (key, shape, origin) in order {
            let value = dockerd::merged(shape, values.get(&key).map_or(&[][..], Vec::as_slice));
            self.push(&key, value, origin);
        }
    }

    /// Takes dockerd's file. `release` decides which keys it knows.
    pub fn file(&mut self, path: &str, release: Option<(u32, u32)>, files: &mut Files<'_>) {
        let Some(text) = files.text(path) else { return };
        let json = match DaemonJson::parse(&text) {
            Ok(json) => json,
            Err(error) => return files.broken(path, "JSON", &error),
        };
        for (key, value, line) in json.entries() {
            let origin = Origin::file(path, line);
            match value {
                // dockerd looks into every object that is no value itself; `proxies` is one of those.
                Value::Object(inner) if !OBJECTS.contains(&key.as_str()) => {
                    for (inner, value) in inner {
                        let effective = key == "proxies";
                        self.entry(
                            &inner,
                            value,
                            origin.clone().with_detail(format!("{key}.{inner}")),
                            release,
                            effective,
                        );
                    }
                }
                value => self.entry(&key, value, origin.with_detail(key.clone()), release, true),
            }
        }
    }

    fn entry(&mut self, key: &str, value: Value, origin: Origin, release: Option<(u32, u32)>, effective: bool) {
        let known = dockerd::file_key(key, release);
        match known {
            FileKey::Unknown => self.problem(ProblemKind::Unknown, key, vec![origin.clone()]),
            FileKey::Ignored => return self.problem(ProblemKind::Ignored, key, vec![origin]),
            FileKey::Effective if !effective => return self.problem(ProblemKind::Ignored, key, vec![origin]),
            FileKey::Effective => {}
        }
        // Go takes null for nothing.
        if value.is_null() {
            return;
        }
        let (key, value) = match key {
            "graph" if self.get("data-root").is_none() => ("data-root", value),
            "host-gateway-ip" => ("host-gateway-ips", Value::Array(vec![value])),
            other => (other, value),
        };
        let Some(flag) = self.found.iter().position(|setting| setting.key == key) else {
            return self.push(key, value, origin);
        };
        let Some(set) = self.found.get_mut(flag) else { return };
        if set.origin.kind != OriginKind::Flag {
            // The same key twice in one file, such as `graph` beside `data-root`: the newer name counts.
            return;
        }
        if key == "runtimes" {
            // The only setting that may come from both: the file wins where both name the same runtime.
            let (mut all, file) = (set.raw.reveal().clone(), value);
            if let (Value::Object(all), Value::Object(file)) = (&mut all, file) {
                all.extend(file);
            }
            set.value = redact(key, &all);
            set.raw = Secret::new(all);
            return;
        }
        let at = vec![set.origin.clone(), origin];
        self.problem(ProblemKind::Conflict, key, at);
    }

    /// Takes the proxies of dockerd's environment; its own settings beat them.
    pub fn environment(&mut self, variables: &BTreeMap<String, (String, Origin)>) {
        for (variable, key) in PROXIES {
            let Some((value, origin)) = variables.get(variable).filter(|(value, _)| !value.is_empty()) else {
                continue;
            };
            if self.get(key).is_none() {
                self.push(key, Value::from(value.as_str()), origin.clone().with_detail(variable));
            }
        }
    }
}

/// Masks credentials inside a JSON value.
pub fn redact(key: &str, value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_value(key, text)),
        Value::Array(items) => items.iter().map(|item| redact(key, item)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), redact(name, value))).collect(),
        other => other.clone(),
    }
}

/// The cgroup driver that `exec-opts` asks for.
pub fn cgroup_driver(settings: &[DockerSetting]) -> Option<Sourced<String>> {
    let setting = settings.iter().find(|setting| setting.key == "exec-opts")?;
    let options = dockerd::exec_opts(&setting.value).into_iter();
    // dockerd takes the first that names it.
    let driver = options.into_iter().find(|(name, _)| name == "native.cgroupdriver")?;
    Some(Sourced::new(driver.1, setting.origin.clone()))
}

/// Names that stand for dockerd in a command line; anything else is a wrapper whose flags its unit does not show.
pub fn is_dockerd(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("dockerd" | "dockerd-ce" | "docker-daemon" | "dockerd.real"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::dockerd::OPTIONS;
    use serde_json::json;

    fn words(line: &str) -> Vec<Word> {
        let origin = Origin::unit("/u.service", Some(3));
        line.split_whitespace().map(|text| super::super::word(text.to_owned(), &origin)).collect()
    }

    #[test]
    fn flags_that_come_more_than_once_are_one_setting() {
        let mut settings = Settings::default();
        settings
            .command_line(&words("dockerd --log-opt max-size=1m --debug --log-opt max-file=3 --debug=false --bogus"));
        let seen: Vec<_> = settings.found.iter().map(|setting| (setting.key.as_str(), setting.value.clone())).collect();
        assert_eq!(
            seen,
            [
                ("log-opts", json!({"max-size": "1m", "max-file": "3"})),
                ("debug", json!(false)),
                ("bogus", json!("true")),
            ]
        );
        assert_eq!(settings.problems.len(), 1);
        assert_eq!(settings.problems[0].key, "--bogus");
    }

    #[test]
    fn a_key_in_both_places_is_a_conflict_unless_it_is_runtimes() {
        let mut settings = Settings::default();
        settings.command_line(&words("dockerd -H fd:// --add-runtime a=/a"));
        let origin = Origin::file("/etc/docker/daemon.json", 2);
        settings.entry("hosts", json!(["tcp://x"]), origin.clone(), None, true);
        settings.entry("runtimes", json!({"b": {"path": "/b"}}), origin.clone(), None, true);
        settings.entry("insecure-registry", json!(["x"]), origin.clone(), None, true);
        settings.entry("graph", json!("/g"), origin.clone(), Some((26, 0)), true);
        settings.entry("bip", Value::Null, origin, None, true);
        assert_eq!(settings.get("runtimes").unwrap().value, json!({"a": {"path": "/a"}, "b": {"path": "/b"}}));
        let problems: Vec<_> = settings.problems.iter().map(|problem| (problem.kind, problem.key.as_str())).collect();
        assert_eq!(
            problems,
            [
                (ProblemKind::Conflict, "hosts"),
                (ProblemKind::Ignored, "insecure-registry"),
                (ProblemKind::Unknown, "graph"),
            ]
        );
        assert!(settings.get("bip").is_none());
    }

    #[test]
    fn the_environment_is_weaker_and_upper_case_is_stronger() {
        let mut settings = Settings::default();
        settings.command_line(&words("dockerd --no-proxy=.corp"));
        let origin = Origin::env_file("/etc/default/docker", 4);
        let var = |name: &str, value: &str| (name.to_owned(), (value.to_owned(), origin.clone()));
        settings.environment(&BTreeMap::from([
            var("http_proxy", "http://low:1"),
            var("HTTP_PROXY", "bob:hunter2@up:1"),
            var("NO_PROXY", "no"),
        ]));
        let http = settings.get("http-proxy").unwrap();
        assert_eq!(http.raw.reveal(), &json!("bob:hunter2@up:1"));
        assert!(!http.value.to_string().contains("hunter2"), "{}", http.value);
        assert_eq!(settings.get("no-proxy").unwrap().value, json!(".corp"));
        assert!(!redact("log-opts", &json!({"splunk-token": "hunter2"})).to_string().contains("hunter2"));
    }

    #[test]
    fn every_flag_has_a_key_that_facts_can_hold() {
        assert!(OPTIONS.iter().all(|option| !option.key.is_empty() && !option.name.contains('_')));
    }
}
