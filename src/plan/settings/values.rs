//! Values of Docker's settings, whatever shape they came in: `daemon.json` has objects, flags have `KEY=VALUE`.

use crate::model::{DockerSetting, Facts};
use serde_json::Value;
use std::collections::BTreeMap;

/// The value to write: unmasked where it is known.
fn real(setting: &DockerSetting) -> &Value {
    if setting.raw.reveal().is_null() { &setting.value } else { setting.raw.reveal() }
}

/// A setting that is an object of plain values.
pub fn pairs(facts: &Facts, key: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for setting in facts.docker.settings.iter().filter(|setting| setting.key == key) {
        match real(setting) {
            Value::Object(fields) => {
                pairs.extend(fields.iter().filter_map(|(name, value)| Some((name.clone(), plain(value)?))));
            }
            Value::Array(items) => pairs.extend(items.iter().filter_map(Value::as_str).filter_map(pair)),
            Value::String(text) => pairs.extend(pair(text)),
            _ => {}
        }
    }
    pairs
}

fn pair(text: &str) -> Option<(String, String)> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        _ => None,
    }
}

/// A setting that is one text.
pub fn text(facts: &Facts, key: &str) -> Option<String> {
    plain(real(facts.docker.setting(key)?))
}

/// A setting that is a switch.
pub fn switch(facts: &Facts, key: &str) -> Option<bool> {
    match real(facts.docker.setting(key)?) {
        Value::Bool(on) => Some(*on),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A setting that is an object, whole.
pub fn object(facts: &Facts, key: &str) -> Option<serde_json::Map<String, Value>> {
    real(facts.docker.setting(key)?).as_object().cloned()
}
