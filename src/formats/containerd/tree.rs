//! A configuration as a tree of values, each with the place it was read from.

use super::ContainerdConfig;
use std::collections::BTreeMap;
use toml_edit::{Item, TableLike, Value};

/// What a node of the tree holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Table(BTreeMap<String, Node>),
    List(Vec<Node>),
    Text(String),
    Bool(bool),
    Integer(i64),
    /// Floats and dates: containerd has no setting of such a type.
    Other(String),
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub data: Data,
    /// Index of the file.
    pub file: usize,
    /// Line, counted from 1; 0 where it is not known.
    pub line: u32,
}

impl Node {
    /// An empty table.
    pub fn empty() -> Self {
        Self { data: Data::Table(BTreeMap::new()), file: 0, line: 0 }
    }

    /// A parsed file; `file` is remembered with each value.
    pub fn of(config: &ContainerdConfig, file: usize) -> Self {
        Self { data: Data::Table(entries(config, config.doc.as_table(), file)), file, line: 1 }
    }

    /// What an independent parser read; without places.
    pub fn of_toml(value: &toml::Value) -> Self {
        let data = match value {
            toml::Value::Table(table) => {
                Data::Table(table.iter().map(|(key, value)| (key.clone(), Self::of_toml(value))).collect())
            }
            toml::Value::Array(items) => Data::List(items.iter().map(Self::of_toml).collect()),
            toml::Value::String(text) => Data::Text(text.clone()),
            toml::Value::Boolean(value) => Data::Bool(*value),
            toml::Value::Integer(value) => Data::Integer(*value),
            toml::Value::Float(number) => Data::Other(number.to_string()),
            toml::Value::Datetime(date) => Data::Other(date.to_string()),
        };
        Self { data, file: 0, line: 0 }
    }

    pub fn table(&self) -> Option<&BTreeMap<String, Self>> {
        match &self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    fn table_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match &mut self.data {
            Data::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn bool(&self) -> Option<bool> {
        match self.data {
            Data::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self.data {
            Data::Integer(value) => Some(value),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// `""`, `0`, `false`, and nothing at all: what Go cannot tell from a value that was not given.
    pub fn is_zero(&self) -> bool {
        match &self.data {
            Data::Table(table) => table.values().all(Self::is_zero),
            Data::List(items) => items.is_empty(),
            Data::Text(text) => text.is_empty(),
            Data::Bool(value) => !value,
            Data::Integer(value) => *value == 0,
            Data::Other(_) => false,
        }
    }

    /// The node at a path.
    pub fn get(&self, path: &[impl AsRef<str>]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.table()?.get(key.as_ref()))
    }

    /// Takes out the node at a path.
    pub fn take(&mut self, path: &[impl AsRef<str>]) -> Option<Self> {
        let (key, parent) = path.split_last()?;
        let table = parent.iter().try_fold(self, |node, key| node.table_mut()?.get_mut(key.as_ref()))?;
        table.table_mut()?.remove(key.as_ref())
    }

    /// Puts a node at a path, making the tables on the way; what is there already stays and the result is false. Two
    /// tables become one.
    pub fn put(&mut self, path: &[impl AsRef<str>], node: Self) -> bool {
        let (file, line) = (node.file, node.line);
        let mut here = self;
        for key in path {
            let Some(table) = here.table_mut() else { return false };
            here = table.entry(key.as_ref().to_owned()).or_insert_with(|| Self { file, line, ..Self::empty() });
        }
        match (&mut here.data, node.data) {
            (Data::Table(there), Data::Table(new)) => {
                let mut done = true;
                for (key, value) in new {
                    done &= here_put(there, key, value);
                }
                done
            }
            (Data::Table(there), data) if there.is_empty() => {
                (here.data, here.file, here.line) = (data, file, line);
                true
            }
            _ => false,
        }
    }

    /// Joins a later tree into this one, key by key; everything that is no table is replaced.
    pub fn overlay(&mut self, later: Self) {
        match (&mut self.data, later.data) {
            (Data::Table(there), Data::Table(new)) => {
                for (key, value) in new {
                    match there.get_mut(&key) {
                        Some(old) => old.overlay(value),
                        None => {
                            there.insert(key, value);
                        }
                    }
                }
            }
            (_, data) => (self.data, self.file, self.line) = (data, later.file, later.line),
        }
    }

    /// All values and all empty tables, each with its path.
    pub fn leaves(&self) -> Vec<(Vec<&str>, &Self)> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect<'a>(&'a self, path: &mut Vec<&'a str>, out: &mut Vec<(Vec<&'a str>, &'a Self)>) {
        match self.table() {
            Some(table) if !table.is_empty() => {
                for (key, node) in table {
                    path.push(key);
                    node.collect(path, out);
                    path.pop();
                }
            }
            _ => out.push((path.clone(), self)),
        }
    }

    /// Whether two trees say the same, wherever they say it. Empty tables say nothing, except that a runtime of that
    /// name exists, and a runtime without any setting is none.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.data, &other.data) {
            (Data::Table(left), Data::Table(right)) => {
                let nothing = Self::empty();
                left.iter().all(|(key, value)| value.says_the_same(right.get(key).unwrap_or(&nothing)))
                    && right.iter().all(|(key, value)| left.contains_key(key) || value.says_the_same(&nothing))
            }
            (Data::List(left), Data::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.says_the_same(right))
            }
            (left, right) => left == right,
        }
    }

    /// The first path where two trees differ, for messages.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let one_way = |left: &Self, right: &Self| {
            left.leaves().into_iter().find_map(|(path, node)| {
                let twin = right.get(&path);
                let same = match twin {
                    Some(twin) => node.says_the_same(twin),
                    None => node.table().is_some(),
                };
                (!same).then(|| path.join("."))
            })
        };
        one_way(self, other).or_else(|| one_way(other, self))
    }
}

fn here_put(table: &mut BTreeMap<String, Node>, key: String, value: Node) -> bool {
    match table.get_mut(&key) {
        Some(old) => match (old.table().is_some(), value.table().is_some()) {
            (true, true) => old.put(&[] as &[&str], value),
            _ => false,
        },
        None => {
            table.insert(key, value);
            true
        }
    }
}

fn entries(config: &ContainerdConfig, table: &dyn TableLike, file: usize) -> BTreeMap<String, Node> {
    table
        .iter()
        .filter(|(_, item)| !item.is_none())
        .map(|(key, item)| {
            let data = match item {
                Item::Value(value) => value_data(config, value, file),
                Item::Table(table) => Data::Table(entries(config, table, file)),
                Item::ArrayOfTables(tables) => Data::List(
                    tables
                        .iter()
                        .map(|table| Node { data: Data::Table(entries(config, table, file)), file, line: 0 })
                        .collect(),
                ),
                Item::None => Data::Table(BTreeMap::new()),
            };
            (key.to_owned(), Node { data, file, line: config.line(item) })
        })
        .collect()
}

fn value_data(config: &ContainerdConfig, value: &Value, file: usize) -> Data {
    match value {
        Value::String(text) => Data::Text(text.value().clone()),
        Value::Integer(number) => Data::Integer(*number.value()),
        Value::Boolean(value) => Data::Bool(*value.value()),
        Value::InlineTable(table) => Data::Table(entries(config, table, file)),
        Value::Array(items) => Data::List(
            items
                .iter()
                .map(|item| Node {
                    data: value_data(config, item, file),
                    file,
                    line: super::line_of(&config.text, item.span().map_or(0, |span| span.start)),
                })
                .collect(),
        ),
        Value::Float(number) => Data::Other(number.value().to_string()),
        Value::Datetime(date) => Data::Other(date.value().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        Node::of(&ContainerdConfig::parse(text).unwrap(), 0)
    }

    #[test]
    fn values_know_their_lines_in_every_notation() {
        let tree = tree("a = 1\n[x]\nb.c = 'd'\n[[x.e]]\nf = [\n 'g',\n 'h' ]\n[y]\nz = { w = true }\n");
        assert_eq!(tree.get(&["x", "b", "c"]).map(|node| (node.text(), node.line)), Some((Some("d"), 3)));
        assert_eq!(tree.get(&["y", "z", "w"]).map(|node| (node.bool(), node.line)), Some((Some(true), 9)));
        let list = tree.get(&["x", "e"]).and_then(|node| node.list()?.first()?.get(&["f"])?.list()).unwrap();
        assert_eq!(list.iter().map(|node| node.line).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn both_parsers_see_the_same_tree() {
        let text = "a = 1\nd = 1.5\n[x]\nb.c = 'd'\n[[x.e]]\nf = ['g']\n[y]\nz = { w = true }\n";
        let other = Node::of_toml(&toml::Value::Table(toml::from_str(text).unwrap()));
        assert!(tree(text).says_the_same(&other), "{:?}", tree(text).difference(&other));
        assert_eq!(tree("a.b = 1\n").difference(&tree("a.b = 2\n")).as_deref(), Some("a.b"));
        assert!(tree("[x.y]\n").says_the_same(&tree("")));
    }

    #[test]
    fn putting_never_overwrites() {
        let mut node = tree("[a]\nb = 1\n");
        assert!(!node.put(&["a", "b"], tree("")));
        assert!(!node.put(&["a"], tree("b = 2\nc = 3\n")));
        assert!(node.put(&["a", "d", "e"], tree("f = 1")));
        assert_eq!(node.get(&["a", "b"]).and_then(Node::integer), Some(1));
        assert_eq!(node.get(&["a", "c"]).and_then(Node::integer), Some(3));
        assert_eq!(node.take(&["a", "d", "e", "f"]).and_then(|node| node.integer()), Some(1));
    }
}
