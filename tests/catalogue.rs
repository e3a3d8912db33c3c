//! `docs/catalogue.md` claims for each known way a migration goes wrong what castoff does and which test shows it. This
//! keeps the claims true: every row is there once, every id exists, every test can be found.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it reads the checkout it was built from, not a node")]

use castoff::checks;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Rows there are: F1 to F74.
const ROWS: usize = 74;

struct Row {
    name: String,
    ids: Vec<String>,
    text: String,
    tests: Vec<String>,
}

fn base() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words of a cell that stand in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(base().join("docs/catalogue.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, _, ids, text, tests] = cells.as_slice() else { panic!("five cells, please: {line}") };
        Row { name: (*name).to_owned(), ids: quoted(ids), text: (*text).to_owned(), tests: quoted(tests) }
    };
    page.lines().filter(|line| line.starts_with("| F")).map(row).collect()
}

/// Every Rust source of the project as one text.
fn sources() -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![base().join("src"), base().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(&path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_known_failure_has_one_row() {
    let names: Vec<String> = rows().into_iter().map(|row| row.name).collect();
    let wanted: Vec<String> = (1..=ROWS).map(|number| format!("F{number}")).collect();
    assert_eq!(names, wanted);
}

#[test]
fn findings_that_are_named_exist() {
    let known: BTreeSet<&str> = checks::registry().map(|check| check.id).collect();
    let wrong: Vec<String> = rows()
        .into_iter()
        .flat_map(|row| row.ids.into_iter().map(move |id| (row.name.clone(), id)))
        .filter(|(_, id)| !known.contains(id.as_str()))
        .map(|(name, id)| format!("{name}: `{id}`"))
        .collect();
    assert!(wrong.is_empty(), "no such finding: {wrong:#?}");
}

#[test]
fn tests_that_are_named_exist() {
    let sources = sources();
    let there = |name: &str| {
        let function = name.rsplit("::").next().unwrap_or(name);
        base().join("tests/fixtures").join(name).is_dir()
            || base().join("tests/lab/scenarios").join(name).is_dir()
            || sources.contains(&format!("fn {function}("))
    };
    let mut wrong = Vec::new();
    for row in rows() {
        assert!(row.text.len() > 20, "{} says nothing", row.name);
        // A row without a test has to say that castoff does nothing about it.
        if row.tests.is_empty() && !row.text.starts_with("Nothing") {
            wrong.push(format!("{}: no test", row.name));
        }
        wrong.extend(row.tests.iter().filter(|name| !there(name)).map(|name| format!("{}: `{name}`", row.name)));
    }
    assert!(wrong.is_empty(), "no such fixture, scenario or test: {wrong:#?}");
}
