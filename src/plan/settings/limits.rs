//! ulimits. A container gets the limits its specification names, and what it does not name from the daemon that starts
//! it: containerd's shim. Docker put `default-ulimits` into the specification; CRI has no such field, so they become
//! limits of containerd.service, which every container inherits.

use super::{Carried, Draft, Judged, PUBLIC, drop_in, values};
use crate::{
    formats::package_db::version_pair,
    model::{Facts, OriginKind, Verdict},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

const NAME: &str = "50-castoff-limits";
const WHY: &str = "containers inherit their limits from containerd";

/// containerd itself lives under these limits too: a full node of 110 pods keeps over a thousand files open in it.
const LEAST_FILES: u64 = 4096;
/// Threads of programs that link C get stacks of this limit.
const LEAST_STACK: u64 = 1 << 20;

/// `soft:hard` is understood from this systemd on (NEWS of 229); before, both are one number.
const TWO_NUMBERS: u32 = 229;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// `None` is unlimited.
    soft: Option<u64>,
    hard: Option<u64>,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |value: Option<u64>| value.map_or("infinity".to_owned(), |value| value.to_string());
        if self.soft == self.hard {
            return f.write_str(&word(self.hard));
        }
        write!(f, "{}:{}", word(self.soft), word(self.hard))
    }
}

/// Carries the limits.
pub fn carry(draft: &mut Draft<'_>, carried: &mut Carried) {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    units(draft, &mut lines);
    ulimits(draft, &mut lines);
    if !lines.is_empty() {
        let lines: Vec<String> = lines.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let text =
            format!("# Written by castoff: the limits Docker gave its containers.\n[Service]\n{}", lines.concat());
        carried.file("containerd-limits", &drop_in(NAME), text, PUBLIC, WHY);
    }
}

/// Limits of docker.service reached containers only where dockerd had a containerd of its own as its child.
fn units(draft: &mut Draft<'_>, lines: &mut BTreeMap<String, String>) {
    let facts = draft.facts;
    let Some(docker) = facts.surroundings.services.get("docker.service") else { return };
    let child = facts.docker.managed_containerd.as_ref().is_some_and(|managed| managed.value);
    let limits = docker.settings.iter().filter(|(key, _)| key.starts_with("Limit"));
    for (key, value) in limits.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>() {
        let containerds = facts.surroundings.service_setting("containerd.service", &key);
        let now = containerds.map_or("systemd's default".to_owned(), |own| format!("{}, {}", own.value, own.origin));
        let judged = if !child {
            let note = format!("containers inherit containerd's ({now}), not dockerd's");
            Judged::new(Verdict::Equal, format!("{key} of containerd.service"), note)
        } else if containerds.is_some_and(|own| own.value == value.value) {
            Judged::new(Verdict::Equal, format!("{key} of containerd.service"), format!("it is {now}"))
        } else {
            lines.insert(key.clone(), value.value.clone());
            let note = format!("containers inherited dockerd's {}; containerd.service had {now}", value.value);
            Judged::new(Verdict::Carried, drop_in(NAME), note)
        };
        draft.decide_other(&format!("{key} of docker.service"), value.value, &value.origin, &judged);
    }
}

fn ulimits(draft: &mut Draft<'_>, lines: &mut BTreeMap<String, String>) {
    let facts = draft.facts;
    let wanted = wanted(facts);
    if facts.docker.setting("default-ulimits").is_none() {
        return;
    }
    let two = systemd(facts).is_none_or(|version| version >= TWO_NUMBERS);
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for (name, limit) in wanted {
        let Some(limit) = limit else {
            refused.push(format!("{name}: it is no limit"));
            continue;
        };
        if let Some(why) = refusal(&name, limit) {
            refused.push(format!("{name} {limit}: {why}"));
            continue;
        }
        let key = format!("Limit{}", name.to_ascii_uppercase());
        let shown = if two { limit } else { Limit { soft: limit.hard, hard: limit.hard } };
        let before = facts.surroundings.service_setting("containerd.service", &key);
        let before = before.map_or("systemd's default".to_owned(), |own| own.value.clone());
        let lost = if shown == limit { "" } else { " (this systemd takes one number for both)" };
        done.push(format!("{name}: containers had {limit}, containerd.service {before}; now {shown}{lost}"));
        lines.insert(key, shown.to_string());
    }
    let verdict = if refused.is_empty() && !done.is_empty() { Verdict::Carried } else { Verdict::Manual };
    let target = if done.is_empty() { String::new() } else { drop_in(NAME) };
    done.extend(refused);
    draft.decide("default-ulimits", &Judged::new(verdict, target, done.join("; ")));
}

/// `nofile` and so on; `None` for what cannot be read.
fn wanted(facts: &Facts) -> BTreeMap<String, Option<Limit>> {
    let mut wanted = BTreeMap::new();
    for (name, value) in values::object(facts, "default-ulimits").unwrap_or_default() {
        let number = |key: &str| {
            let found = value.as_object()?.iter().find(|(field, _)| field.eq_ignore_ascii_case(key));
            found.and_then(|(_, value)| value.as_i64())
        };
        let limit = number("hard").zip(number("soft")).map(|(hard, soft)| limit(soft, hard));
        wanted.insert(name, limit.or_else(|| value.as_str().and_then(written)));
    }
    for setting in facts.docker.settings.iter().filter(|setting| setting.key == "default-ulimits") {
        let texts = match &setting.value {
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => vec![text.as_str()],
            _ => Vec::new(),
        };
        wanted.extend(texts.iter().filter_map(|text| text.split_once('=')).map(|(k, v)| (k.to_owned(), written(v))));
    }
    wanted
}

/// `SOFT:HARD`, or one number for both.
fn written(text: &str) -> Option<Limit> {
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    Some(limit(soft.trim().parse().ok()?, hard.trim().parse().ok()?))
}

fn limit(soft: i64, hard: i64) -> Limit {
    // Docker writes -1 for no limit.
    Limit { soft: u64::try_from(soft).ok(), hard: u64::try_from(hard).ok() }
}

/// Why a limit cannot be given to containerd, which lives under it too.
fn refusal(name: &str, limit: Limit) -> Option<&'static str> {
    match name {
        "nofile" if limit.hard.is_some_and(|hard| hard < LEAST_FILES) => {
            Some("too few files for containerd itself, which would live under it")
        }
        "stack" if limit.soft.is_some_and(|soft| soft < LEAST_STACK) => {
            Some("too small a stack for containerd itself, which would live under it")
        }
        "nofile" | "stack" | "nproc" | "core" | "memlock" | "msgqueue" | "locks" | "sigpending" | "nice" | "rtprio"
        | "rttime" => None,
        "cpu" | "fsize" | "data" | "rss" | "as" => {
            Some("it would bind containerd itself; set it in the image or its entry point")
        }
        _ => Some("systemd has no such limit"),
    }
}

pub fn systemd(facts: &Facts) -> Option<u32> {
    let version = facts.node.systemd.as_ref()?;
    if version.origin.kind == OriginKind::Package {
        return version_pair(&version.value).map(|(major, _)| major);
    }
    let digits: String = version.value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_systemd_reads_them() {
        for (text, shown) in
            [("64000:64000", "64000"), ("1024:524288", "1024:524288"), ("-1", "infinity"), ("1024:-1", "1024:infinity")]
        {
            assert_eq!(written(text).unwrap().to_string(), shown);
        }
        assert_eq!(written("many"), None);
    }

    #[test]
    fn what_would_bind_containerd_is_refused() {
        for (name, text, refused) in [
            ("nofile", "1024:2048", true),
            ("nofile", "1024:524288", false),
            ("nofile", "-1", false),
            ("stack", "8192:8192", true),
            ("stack", "8388608:-1", false),
            ("core", "0", false),
            ("fsize", "1000", true),
            ("cpu", "10", true),
            ("whatever", "1", true),
        ] {
            assert_eq!(refusal(name, written(text).unwrap()).is_some(), refused, "{name} {text}");
        }
    }
}
