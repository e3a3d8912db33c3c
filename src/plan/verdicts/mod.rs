//! A verdict for every Docker setting; nothing falls through.
//!
//! Whoever carries a setting says so where it is carried, with [`Draft::judge`](super::draft::Draft::judge); that
//! verdict counts. What nobody spoke for is judged by its value (`by_value`), else by its key (`table`), else it is
//! `manual`.

mod by_value;
#[cfg(test)]
mod keys;
mod table;

use super::draft::Draft;
use crate::model::{DockerSetting, SettingVerdict, Verdict, mask_text};

/// Verdict, where it goes, why.
type Judged = (Verdict, Option<&'static str>, &'static str);

/// What is said of a key that no release of dockerd has.
const UNKNOWN: Judged =
    (Verdict::Manual, None, "castoff knows no such setting of dockerd; decide whether pods need it");

/// What a part of the planner says of a setting it has dealt with.
#[derive(Debug, Clone)]
pub struct Said {
    /// Key as in `daemon.json`.
    pub key: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Where it goes.
    pub target: Option<String>,
    /// Why, in a sentence.
    pub note: String,
}

/// Judges every setting, in the order found. Called when everything else is planned.
pub fn judge(draft: &Draft<'_>) -> Vec<SettingVerdict> {
    let said = |setting: &DockerSetting| draft.said.iter().find(|said| said.key == setting.key);
    draft.facts.docker.settings.iter().map(|setting| verdict(setting, said(setting))).collect()
}

fn verdict(setting: &DockerSetting, said: Option<&Said>) -> SettingVerdict {
    let (verdict, target, note) = match said {
        Some(said) => (said.verdict, said.target.clone(), said.note.clone()),
        None => {
            let (verdict, target, note) = unsaid(setting);
            (verdict, target.map(str::to_owned), note.to_owned())
        }
    };
    SettingVerdict {
        setting: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.clone(),
        verdict,
        target: target.map(|text| mask_text(&text)),
        note: mask_text(&note),
    }
}

fn unsaid(setting: &DockerSetting) -> Judged {
    let by_key = || {
        let rule = table::RULES.iter().find(|rule| rule.keys.contains(&setting.key.as_str()))?;
        Some((rule.verdict, rule.target, rule.note))
    };
    by_value::judge(setting).or_else(by_key).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Origin, Secret,
        Verdict::{Carried, Equal, Manual, NoEquivalent},
    };
    use std::collections::BTreeSet;

    #[test]
    fn nothing_falls_through_and_no_key_is_judged_twice() {
        let keys: Vec<&str> = table::RULES.iter().flat_map(|rule| rule.keys.iter().copied()).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        let setting = |key: &str, value: serde_json::Value| DockerSetting {
            key: key.into(),
            raw: Secret::new(value.clone()),
            value,
            origin: Origin::file("/etc/docker/daemon.json", 2),
        };
        for (key, value, expected) in [
            ("brand-new-key", serde_json::json!(1), Manual),
            ("bip", serde_json::json!("10.0.0.1/24"), NoEquivalent),
            ("log-driver", serde_json::json!("json-file"), Equal),
            ("log-driver", serde_json::json!("journald"), NoEquivalent),
            ("storage-driver", serde_json::json!("devicemapper"), Manual),
        ] {
            assert_eq!(unsaid(&setting(key, value)).0, expected, "{key}");
        }
    }

    #[test]
    fn who_carries_a_setting_has_the_word() {
        let setting = DockerSetting {
            key: "registry-mirrors".into(),
            raw: Secret::new(serde_json::json!(["https://m"])),
            value: serde_json::json!(["https://m"]),
            origin: Origin::file("/etc/docker/daemon.json", 2),
        };
        let said = Said {
            key: "registry-mirrors".into(),
            verdict: Carried,
            target: Some("/etc/containerd/certs.d/docker.io/hosts.toml".into()),
            note: "as it was".into(),
        };
        assert_eq!(verdict(&setting, None).verdict, Manual);
        let seen = verdict(&setting, Some(&said));
        assert_eq!((seen.verdict, seen.target), (Carried, said.target.clone()));
    }
}
