//! A module's options: values of JSON, some of them text because a template made them. Ansible checks nothing before a
//! binary module is called, so every mistake is caught here.

use crate::{cli::exit::Usage, formats::spelling::distance};
use anyhow::Result;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Words Ansible takes for true, and for false (its `BOOLEANS_TRUE`, `BOOLEANS_FALSE`).
const TRUE: [&str; 7] = ["y", "yes", "on", "1", "true", "t", "1.0"];
const FALSE: [&str; 7] = ["n", "no", "off", "0", "false", "f", "0.0"];

/// Options not taken yet, and the names of those that were asked for.
#[derive(Debug)]
pub struct Options {
    given: Map<String, Value>,
    known: BTreeSet<&'static str>,
}

impl Options {
    /// Options as given; those without a value are as good as absent.
    pub fn new(given: Map<String, Value>) -> Self {
        let given = given.into_iter().filter(|(_, value)| !value.is_null()).collect();
        Self { given, known: BTreeSet::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.insert(name);
        self.given.remove(name)
    }

    /// A text; an empty one counts as absent, as templates leave it.
    ///
    /// # Errors
    /// Something else.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(wrong(name, "a text", &other)),
        }
    }

    /// One of a few words.
    ///
    /// # Errors
    /// Another word, with those there are.
    pub fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)], default: T) -> Result<T> {
        let Some(text) = self.text(name)? else { return Ok(default) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Usage::error(format!("`{name}` is `{text}`"), format!("it is one of: {}", all.join(", ")))
        })
    }

    /// A switch.
    ///
    /// # Errors
    /// No word for true or false.
    pub fn switch(&mut self, name: &'static str, default: bool) -> Result<bool> {
        let Some(value) = self.take(name) else { return Ok(default) };
        as_switch(&value).ok_or_else(|| wrong(name, "true or false", &value))
    }

    /// A list of texts; a single text is split at commas, as Ansible does it.
    ///
    /// # Errors
    /// Something else.
    pub fn list(&mut self, name: &'static str) -> Result<Vec<String>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
            }
            Some(Value::Array(items)) => items.iter().map(|item| as_text(item, name)).collect(),
            Some(other) => Err(wrong(name, "a list of texts", &other)),
        }
    }

    /// A dictionary of texts, as `KEY=VALUE` each.
    ///
    /// # Errors
    /// Something else.
    pub fn pairs(&mut self, name: &'static str) -> Result<Vec<String>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(map)) => {
                map.iter().map(|(key, value)| Ok(format!("{key}={}", as_text(value, name)?))).collect()
            }
            Some(other) => Err(wrong(name, "a dictionary", &other)),
        }
    }

    /// Says that these were all.
    ///
    /// # Errors
    /// One that is left.
    pub fn end(self) -> Result<()> {
        let Some(name) = self.given.keys().next() else { return Ok(()) };
        let close = self.known.iter().copied().min_by_key(|known| distance(name, known));
        let close = close.filter(|known| distance(name, known) <= 2);
        let hint = match close {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there are: {}", self.known.iter().copied().collect::<Vec<_>>().join(", ")),
        };
        Err(Usage::error(format!("there is no option `{name}`"), hint))
    }
}

/// A value that stands for true or false.
pub fn as_switch(value: &Value) -> Option<bool> {
    let word = match value {
        Value::Bool(value) => return Some(*value),
        Value::String(text) => text.to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    if TRUE.contains(&word.as_str()) { Some(true) } else { FALSE.contains(&word.as_str()).then_some(false) }
}

fn as_text(value: &Value, name: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        // `docker.version: 24.0` is a number in YAML.
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(wrong(name, "texts", other)),
    }
}

/// Names the kind of what was given, not its value: that may be a secret in the wrong place.
fn wrong(name: &str, wanted: &str, given: &Value) -> anyhow::Error {
    let kind = match given {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a dictionary",
    };
    Usage::error(format!("`{name}` is {kind}"), format!("it has to be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(value: Value) -> Options {
        let Value::Object(map) = value else { panic!("no options") };
        Options::new(map)
    }

    #[test]
    fn templates_make_texts_of_everything() {
        let mut o = options(json!({ "a": "yes", "b": "False", "c": 1, "d": null, "e": "", "f": "x, y", "g": 24.5 }));
        assert!(o.switch("a", false).unwrap());
        assert!(!o.switch("b", true).unwrap());
        assert!(o.switch("c", false).unwrap());
        assert!(o.switch("d", true).unwrap());
        assert_eq!(o.text("e").unwrap(), None);
        assert_eq!(o.list("f").unwrap(), ["x", "y"]);
        assert_eq!(o.text("g").unwrap().as_deref(), Some("24.5"));
        o.end().unwrap();
    }

    #[test]
    fn mistakes_are_named_and_guessed() {
        let mut o = options(json!({ "stat": "migrated", "trial": [], "level": "nod" }));
        assert!(o.switch("trial", true).unwrap_err().to_string().contains("`trial` is a list"));
        let error = o.word("level", &[("node", 1), ("cri", 2)], 1).unwrap_err();
        assert!(error.to_string().contains("`level` is `nod`"), "{error}");
        o.text("state").unwrap();
        let error = o.end().unwrap_err();
        let usage: &Usage = error.downcast_ref().unwrap();
        assert_eq!(
            (usage.message.as_str(), usage.hint.as_str()),
            ("there is no option `stat`", "did you mean `state`?")
        );
    }
}
