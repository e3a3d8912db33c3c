//! Single changes to a TOML document, made in its text and in its parsed value.
//!
//! Each change is made twice: in the text by cutting and pasting, and in the value that an independent parser read.
//! When both agree afterwards, the cut did what it was meant to do and nothing else.

use super::items::{remove_items, rename_item};
pub(in crate::formats) use super::splice::append_at_top;
use super::splice::{quoted, remove, rename_plugin, set};

/// A value as castoff writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(u32),
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// A list of pairs of texts.
    Pairs(Vec<(String, String)>),
}

impl Literal {
    /// The value as text.
    pub(in crate::formats) fn render(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Text(value) => quoted(value),
            Self::List(items) => {
                format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
            }
            Self::Pairs(pairs) => {
                let pairs = pairs.iter().map(|(left, right)| format!("[{}, {}]", quoted(left), quoted(right)));
                format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn value(&self) -> toml::Value {
        match self {
            Self::Bool(value) => toml::Value::Boolean(*value),
            Self::Integer(value) => toml::Value::Integer(i64::from(*value)),
            Self::Text(value) => toml::Value::String(value.clone()),
            Self::List(items) => items.iter().map(String::as_str).map(toml::Value::from).collect::<Vec<_>>().into(),
            Self::Pairs(pairs) => {
                let pair = |(left, right): &(String, String)| toml::Value::from(vec![left.as_str(), right.as_str()]);
                pairs.iter().map(pair).collect::<Vec<_>>().into()
            }
        }
    }
}

/// One change.
#[derive(Clone, Debug)]
pub(in crate::formats) enum Change {
    /// Gives a key a value, adding key and tables where they are missing.
    Set(Vec<String>, Literal),
    /// Takes a key or a table out, however it is written.
    Remove(Vec<String>),
    /// Renames `plugins.OLD`, wherever it is written.
    RenamePlugin(String, String),
    /// Takes texts out of an array.
    RemoveItems(Vec<String>, Vec<String>),
    /// Replaces a text in an array.
    RenameItem(Vec<String>, String, String),
}

impl Change {
    /// The change in the text.
    pub fn in_text(&self, text: &str) -> String {
        match self {
            Self::Set(path, literal) => set(text, path, &literal.render()),
            Self::Remove(path) => remove(text, path),
            Self::RenamePlugin(old, new) => rename_plugin(text, old, new),
            Self::RemoveItems(path, items) => remove_items(text, path, items),
            Self::RenameItem(path, old, new) => rename_item(text, path, old, new),
        }
    }

    /// The change in the value.
    pub fn in_value(&self, root: &mut toml::Table) {
        match self {
            Self::Set(path, literal) => set_value(root, path, literal.value()),
            Self::Remove(path) => {
                if let Some((key, parent)) = path.split_last()
                    && let Some(table) = table_at(root, parent)
                {
                    table.remove(key);
                }
            }
            Self::RenamePlugin(old, new) => {
                if let Some(plugins) = table_at(root, &["plugins".to_owned()])
                    && let Some(value) = plugins.remove(old)
                {
                    plugins.insert(new.clone(), value);
                }
            }
            Self::RemoveItems(path, items) => {
                if let Some(array) = array_at(root, path) {
                    array.retain(|item| !item.as_str().is_some_and(|text| items.iter().any(|gone| gone == text)));
                }
            }
            Self::RenameItem(path, old, new) => {
                for item in array_at(root, path).into_iter().flatten() {
                    if item.as_str() == Some(old) {
                        *item = toml::Value::String(new.clone());
                    }
                }
            }
        }
    }
}

fn set_value(root: &mut toml::Table, path: &[String], value: toml::Value) {
    let Some((key, parent)) = path.split_last() else { return };
    let mut table = root;
    for part in parent {
        let slot = table.entry(part.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        match slot {
            toml::Value::Table(next) => table = next,
            _ => return,
        }
    }
    table.insert(key.clone(), value);
}

fn table_at<'a>(root: &'a mut toml::Table, path: &[String]) -> Option<&'a mut toml::Table> {
    path.iter().try_fold(root, |table, part| table.get_mut(part)?.as_table_mut())
}

fn array_at<'a>(root: &'a mut toml::Table, path: &[String]) -> Option<&'a mut Vec<toml::Value>> {
    let (key, parent) = path.split_last()?;
    table_at(root, parent)?.get_mut(key)?.as_array_mut()
}

/// Whether two documents say the same. An empty table and a missing one count as equal: taking the last dotted key of a
/// table out takes the table with it.
pub(in crate::formats) fn same(left: &toml::Table, right: &toml::Table) -> bool {
    // Each pair is compared once: going down from both sides would double the work at every level.
    let known = left.iter().all(|(key, value)| match right.get(key) {
        Some(twin) => same_value(value, twin),
        None => empty(value),
    });
    known && right.iter().all(|(key, value)| left.contains_key(key) || empty(value))
}

fn same_value(left: &toml::Value, right: &toml::Value) -> bool {
    match (left, right) {
        (toml::Value::Table(left), toml::Value::Table(right)) => same(left, right),
        (toml::Value::Array(left), toml::Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_value(left, right))
        }
        // `nan` is not equal to itself.
        (toml::Value::Float(left), toml::Value::Float(right)) => left.to_bits() == right.to_bits(),
        (left, right) => left == right,
    }
}

fn empty(value: &toml::Value) -> bool {
    value.as_table().is_some_and(|table| table.values().all(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> toml::Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn documents_are_compared_by_what_they_say() {
        for (left, right, equal) in [
            ("a = 1\nb = 2\n", "b = 2\na = 1\n", true),
            ("a = 1\n[x.y]\n", "a = 1\n", true),
            ("a = nan\n", "a = nan\n", true),
            ("a = 1\n", "a = 1.0\n", false),
            ("a = [1, 2]\n", "a = [2, 1]\n", false),
            ("", "a = 1\n", false),
            ("[x]\na = 1\n", "", false),
        ] {
            assert_eq!(same(&table(left), &table(right)), equal, "{left} {right}");
            assert_eq!(same(&table(right), &table(left)), equal, "{right} {left}");
        }
    }

    #[test]
    fn deep_documents_are_compared_in_time() {
        let text = format!("x = {}1{}\n", "{ a = ".repeat(60), " }".repeat(60));
        assert!(same(&table(&text), &table(&text)));
    }

    #[test]
    fn tables_go_however_they_are_written() {
        let path: Vec<String> = ["p", "x.y", "m"].map(str::to_owned).to_vec();
        for (before, after) in [
            (
                "[p.'x.y']\na = 1\n\n[p.'x.y'.m]\n\n# why\n[p.'x.y'.m.h]\ne = ['u', # c\n'v']\n\n[z]\n",
                "[p.'x.y']\na = 1\n\n# why\n\n[z]\n",
            ),
            ("[p.'x.y']\nm.h.e = []\nb = 2 # b\nm.i = { e = 1 }\n", "[p.'x.y']\nb = 2 # b\n"),
            ("[p]\n\"x.y\" = { m.a = 1, c = 2, m.b = 3 }\n", "[p]\n\"x.y\" = { c = 2 }\n"),
            ("[p]\n\"x.y\" = { c = 2, m = { a = 1 } }\n", "[p]\n\"x.y\" = { c = 2 }\n"),
            ("[p.'x.y'.mm]\na = 1\n", "[p.'x.y'.mm]\na = 1\n"),
            ("[[p.'x.y'.m]]\na = 1\n[q]\r\n", "[q]\r\n"),
        ] {
            let change = Change::Remove(path.clone());
            let mut value = table(before);
            change.in_value(&mut value);
            let edited = change.in_text(before);
            assert!(same(&table(&edited), &value), "{edited}");
            assert_eq!(edited, after);
        }
    }

    #[test]
    fn text_and_value_change_alike() {
        let text = "v = 1\n[plugins.old]\nlist = ['a', \"b\"]\n";
        let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let mut value = table(text);
        let mut edited = text.to_owned();
        for change in [
            Change::RenamePlugin("old".into(), "x.y".into()),
            Change::RemoveItems(path(&["plugins", "x.y", "list"]), path(&["a"])),
            Change::RenameItem(path(&["plugins", "x.y", "list"]), "b".into(), "c".into()),
            Change::Set(path(&["plugins", "x.y", "deep", "on"]), Literal::Bool(true)),
            Change::Set(path(&["top"]), Literal::List(path(&["1", "2"]))),
            Change::Remove(path(&["v"])),
            Change::Remove(path(&["absent", "x"])),
        ] {
            edited = change.in_text(&edited);
            change.in_value(&mut value);
            assert!(same(&table(&edited), &value), "{change:?}\n{edited}");
        }
        assert_eq!(
            edited,
            "top = [\"1\", \"2\"]\n[plugins.\"x.y\"]\nlist = [\"c\"]\n[plugins.\"x.y\".deep]\non = true\n"
        );
    }
}
