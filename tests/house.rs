//! The house's walls: who may know whom, what the pure rooms must not touch, and how long a file may be.
//!
//! The compiler lets any module use any other one of its crate, so this test reads `src/` itself. It understands just
//! enough Rust for that: comments and strings are left out, `use` trees are flattened, and `self`, `super` and `crate`
//! are followed to the room they lead to.
#![allow(clippy::disallowed_methods, reason = "it reads the checkout it was built from, not a node")]
#![allow(clippy::unwrap_used, reason = "all of this is a test, its helpers too")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Which rooms a room may name, besides itself. A room that is missing here fails: say where it belongs.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("formats", &["model"]),
    ("checks", &["formats", "model"]),
    ("plan", &["formats", "model"]),
    ("report", &["formats", "model"]),
    ("host", &["formats", "model"]),
    ("inspect", &["host", "checks", "formats", "model"]),
    ("images", &["host", "formats", "model"]),
    ("cluster", &["host", "formats", "model"]),
    ("runtime", &["host", "formats", "model"]),
    ("verify", &["inspect", "images", "runtime", "host", "formats", "model"]),
    ("apply", &["inspect", "images", "cluster", "runtime", "verify", "host", "formats", "model"]),
    (
        "ui",
        &["apply", "verify", "runtime", "images", "inspect", "host", "report", "plan", "checks", "formats", "model"],
    ),
    (
        "cli",
        &[
            "ui", "apply", "cluster", "verify", "images", "inspect", "runtime", "host", "report", "plan", "checks",
            "formats", "model",
        ],
    ),
];

/// Rooms that work on values alone: no files, clock, environment, processes, network or terminal.
const PURE: &[&str] = &["model", "formats", "checks", "plan", "report"];
/// Modules of `std` they must not name; `env!` is a constant of the build and fine.
const IMPURE_STD: &[&str] = &["fs", "process", "env", "net", "os"];
/// Crates whose whole point is a side effect.
const IMPURE_CRATES: &[&str] = &[
    "nix",
    "zbus",
    "tokio",
    "tonic",
    "tungstenite",
    "hyper",
    "hyper_util",
    "xattr",
    "signal_hook",
    "dialoguer",
    "indicatif",
    "libcontainer",
    "libcgroups",
];
/// Clocks, by whatever path they are reached.
const CLOCKS: &[&str] = &["SystemTime", "Instant"];

const LONGEST_FILE: usize = 500;

#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(!files.is_empty(), "no sources below {}", src.display());
    let wrong = offences(&files);
    assert!(wrong.is_empty(), "{}", listed("the walls of the house are broken", &wrong));
}

#[test]
fn files_stay_short() {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let long = too_long(&files);
    assert!(long.is_empty(), "{}", listed(&format!("files over {LONGEST_FILE} lines: split them"), &long));
}

fn listed(what: &str, lines: &[String]) -> String {
    lines.iter().fold(format!("{what} ({}):", lines.len()), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    })
}

fn too_long(files: &BTreeMap<String, String>) -> Vec<String> {
    files
        .iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(path, lines)| format!("src/{path}: {lines} lines"))
        .collect()
}

/// Every `.rs` file below a folder: path below it → text.
fn sources(src: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

/// Everything that goes against the rules, as `src/FILE:LINE: what`.
fn offences(files: &BTreeMap<String, String>) -> Vec<String> {
    let tokens: BTreeMap<&str, Vec<Token>> = files.iter().map(|(path, text)| (path.as_str(), tokens(text))).collect();
    let moved = moved_modules(&tokens);
    let mut found = Vec::new();
    for (path, tokens) in &tokens {
        // These two are the house's doors: they may name everything.
        if matches!(*path, "lib.rs" | "main.rs") {
            continue;
        }
        let module = moved.get(*path).cloned().unwrap_or_else(|| module_of(path));
        let room = module[0].clone();
        let Some((_, friends)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
            found.push(format!("src/{path}: no room `{room}` in the table of tests/house.rs: say what it may know"));
            continue;
        };
        let pure = PURE.contains(&room.as_str());
        for Named { line, path: named } in paths(tokens, &module) {
            let wrong = match &named {
                Place::House(inside) => match inside.first().map(String::as_str) {
                    Some(other) if other == room || friends.contains(&other) => None,
                    Some(other) if MAY_KNOW.iter().any(|(name, _)| *name == other) => {
                        Some(format!("`{room}` must not know `{other}`"))
                    }
                    Some(other) => Some(format!("`crate::{other}` is no room of the house")),
                    None => Some("takes the whole crate: name the room".to_owned()),
                },
                Place::Outside(outside) if pure => impure(outside).map(|what| format!("`{room}` is pure: no {what}")),
                Place::Outside(_) => None,
            };
            found.extend(wrong.map(|wrong| format!("src/{path}:{line}: {wrong}")));
        }
        if pure {
            found.extend(
                tokens
                    .iter()
                    .filter(|token| CLOCKS.contains(&token.word().unwrap_or_default()))
                    .map(|token| format!("src/{path}:{}: `{room}` is pure: no clock", token.line)),
            );
        }
    }
    found
}

/// The side effect a path of another crate stands for.
fn impure(path: &[String]) -> Option<String> {
    match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        // An address is a value: reading one from text opens no socket.
        ["std" | "core", "net", "IpAddr" | "Ipv4Addr" | "Ipv6Addr", ..] => None,
        ["std" | "core", module, ..] if IMPURE_STD.contains(module) => Some(format!("std::{module}")),
        ["std", "thread", "sleep", ..] => Some("waiting".to_owned()),
        ["std", "*"] => Some("std as a whole: name what is used".to_owned()),
        [name, ..] if IMPURE_CRATES.contains(name) => Some(format!("`{name}`")),
        [.., "Timestamp" | "Zoned", "now"] => Some("clock".to_owned()),
        _ => None,
    }
}

/// `host/cri/client.rs` → host, cri, client.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

/// Files that `#[path = "…"] mod name;` puts elsewhere in the tree of modules.
fn moved_modules(files: &BTreeMap<&str, Vec<Token>>) -> BTreeMap<String, Vec<String>> {
    let mut moved = BTreeMap::new();
    for (path, tokens) in files {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, window) in tokens.windows(3).enumerate() {
            let [name, equals, Token { kind: Kind::Text(target), .. }] = window else { continue };
            if name.word() != Some("path") || !equals.is("=") || at < 2 || !tokens[at - 1].is("[") {
                continue;
            }
            let rest = &tokens[at + 3..];
            let Some(declared) = rest.iter().position(|token| token.word() == Some("mod")) else { continue };
            let Some(name) = rest.get(declared + 1).and_then(Token::word) else { continue };
            let mut module = if matches!(*path, "lib.rs" | "main.rs") { Vec::new() } else { module_of(path) };
            module.push(name.to_owned());
            let target = if folder.is_empty() { target.clone() } else { format!("{folder}/{target}") };
            moved.insert(target, module);
        }
    }
    moved
}

// ---------------------------------------------------------------------------------------------------------------------

/// A path as the source names it, followed to where it leads.
#[derive(Debug, PartialEq)]
struct Named {
    line: usize,
    path: Place,
}

#[derive(Debug, PartialEq)]
enum Place {
    /// In this crate; segments below its root.
    House(Vec<String>),
    /// In another crate, or a name that was imported.
    Outside(Vec<String>),
}

/// Words that can stand right before a path that begins with `::`, and are no part of it.
const KEYWORDS: &[&str] = &[
    "use", "in", "as", "for", "dyn", "impl", "mut", "const", "return", "if", "match", "while", "else", "move", "where",
];

/// Every path of two segments or more, `use` trees flattened.
fn paths(tokens: &[Token], module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    // One entry per open brace: the name of the inline module it opens, if it opens one.
    let mut braces: Vec<Option<String>> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].word() == Some("mod") && tokens.get(at + 2).is_some_and(|token| token.is("{")) {
            braces.push(tokens[at + 1].word().map(str::to_owned));
            at += 3;
        } else if tokens[at].is("{") && !(at > 0 && tokens[at - 1].word() == Some("use")) {
            braces.push(None);
            at += 1;
        } else if tokens[at].is("}") {
            braces.pop();
            at += 1;
        } else if tokens[at].word().is_some_and(|word| KEYWORDS.contains(&word)) {
            at += 1;
        } else if tokens[at].word().is_some() || tokens[at].is("{") || tokens[at].is("::") {
            let mut leaves = Vec::new();
            let end = tree(tokens, at, &mut Vec::new(), &mut leaves);
            let inline = braces.iter().flatten().cloned();
            let here: Vec<String> = module.iter().cloned().chain(inline).collect();
            found.extend(leaves.into_iter().filter_map(|(line, segments)| followed(line, segments, &here)));
            at = end.max(at + 1);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads the path or `use` tree that starts at `at`, adds its leaves with their lines, and returns where it ends.
fn tree(tokens: &[Token], mut at: usize, before: &mut Vec<String>, leaves: &mut Vec<(usize, Vec<String>)>) -> usize {
    let depth = before.len();
    if tokens.get(at).is_some_and(|token| token.is("::")) {
        at += 1;
    }
    while let Some(token) = tokens.get(at) {
        if token.is("{") {
            at += 1;
            while at < tokens.len() && !tokens[at].is("}") {
                if tokens[at].is(",") {
                    at += 1;
                } else {
                    at = tree(tokens, at, before, leaves).max(at + 1);
                    if tokens.get(at).and_then(Token::word) == Some("as") {
                        at += 2;
                    }
                }
            }
            before.truncate(depth);
            return at + 1;
        }
        let segment = match token.word() {
            Some(word) => word,
            None if token.is("*") && !before.is_empty() => "*",
            None => break,
        };
        before.push(segment.to_owned());
        at += 1;
        // `env!` is a macro, whatever module has the same name.
        let is_macro = tokens.get(at).is_some_and(|token| token.is("!"));
        if !tokens.get(at).is_some_and(|token| token.is("::")) {
            let mut leaf = before.clone();
            if is_macro {
                *leaf.last_mut().unwrap() += "!";
            }
            // `use super as up` and `use crate as house` would hide what is named later.
            if tokens.get(at).and_then(Token::word) == Some("as") && leaf.len() == 1 {
                leaf.push("*".to_owned());
            }
            leaves.push((token.line, leaf));
            break;
        }
        at += 1;
    }
    before.truncate(depth);
    at
}

/// Where a path leads that is written in the module `here`.
fn followed(line: usize, segments: Vec<String>, here: &[String]) -> Option<Named> {
    // A single word, such as `crate` in `pub(crate)`, names nothing elsewhere.
    if segments.len() < 2 {
        return None;
    }
    let mut inside: Vec<String> = match segments[0].as_str() {
        "crate" | "castoff" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => return Some(Named { line, path: Place::Outside(segments) }),
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "castoff" if inside.is_empty() => {}
            "self" => {}
            "super" => {
                inside.pop();
            }
            _ => inside.push(segment),
        }
    }
    if inside.first().is_some_and(|first| first == "*") {
        inside.clear();
    }
    Some(Named { line, path: Place::House(inside) })
}

// ---------------------------------------------------------------------------------------------------------------------

#[derive(Debug, PartialEq)]
struct Token {
    line: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// Identifiers, keywords and numbers.
    Word(String),
    /// What a string literal holds, escapes as written.
    Text(String),
    /// `::`, or one character.
    Mark(&'static str),
    Other(char),
}

impl Token {
    fn word(&self) -> Option<&str> {
        if let Kind::Word(word) = &self.kind { Some(word) } else { None }
    }

    fn is(&self, mark: &str) -> bool {
        matches!(&self.kind, Kind::Mark(own) if *own == mark)
    }
}

/// The source without comments, blanks, characters and lifetimes.
fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < text.len() {
        let start = at;
        let kind = one(&text, &mut at);
        found.extend(kind.map(|kind| Token { line, kind }));
        line += text[start..at].iter().filter(|&&character| character == '\n').count();
    }
    found
}

/// Reads one token, or one thing that is none, and moves on behind it.
fn one(text: &[char], at: &mut usize) -> Option<Kind> {
    let peek = |ahead: usize| text.get(*at + ahead).copied().unwrap_or('\0');
    match peek(0) {
        '/' if peek(1) == '/' => {
            skip_while(text, at, |character| character != '\n');
            None
        }
        '/' if peek(1) == '*' => {
            skip_block_comment(text, at);
            None
        }
        '"' => Some(Kind::Text(quoted(text, at))),
        '\'' => {
            skip_character_or_lifetime(text, at);
            None
        }
        first if first.is_alphanumeric() || first == '_' => {
            let start = *at;
            skip_while(text, at, |character| character.is_alphanumeric() || character == '_');
            let word: String = text[start..*at].iter().collect();
            let next = text.get(*at).copied().unwrap_or('\0');
            match (word.as_str(), next) {
                ("b" | "c", '"') => Some(Kind::Text(quoted(text, at))),
                ("b", '\'') => {
                    skip_character_or_lifetime(text, at);
                    None
                }
                ("r" | "br" | "cr", '"' | '#') => raw(text, at),
                _ => Some(Kind::Word(word)),
            }
        }
        ':' if peek(1) == ':' => {
            *at += 2;
            Some(Kind::Mark("::"))
        }
        mark => {
            *at += 1;
            match ["{", "}", "[", "]", ",", ";", "=", "*", "!"].iter().find(|known| known.starts_with(mark)) {
                Some(known) => Some(Kind::Mark(known)),
                None if mark.is_whitespace() => None,
                None => Some(Kind::Other(mark)),
            }
        }
    }
}

fn skip_while(text: &[char], at: &mut usize, goes_on: impl Fn(char) -> bool) {
    while text.get(*at).is_some_and(|&character| goes_on(character)) {
        *at += 1;
    }
}

/// They nest.
fn skip_block_comment(text: &[char], at: &mut usize) {
    let mut depth = 0;
    while *at < text.len() {
        match (text[*at], text.get(*at + 1)) {
            ('/', Some('*')) => (depth, *at) = (depth + 1, *at + 2),
            ('*', Some('/')) => (depth, *at) = (depth - 1, *at + 2),
            _ => *at += 1,
        }
        if depth == 0 {
            break;
        }
    }
}

/// `'a'`, `'\n'` or `'\''`, else the lifetime `'a`, whose name is left for the next round and harms nobody.
fn skip_character_or_lifetime(text: &[char], at: &mut usize) {
    *at += 1;
    if text.get(*at) == Some(&'\\') {
        *at += 2;
        skip_while(text, at, |character| character != '\'');
        *at += 1;
    } else if text.get(*at + 1) == Some(&'\'') {
        *at += 2;
    }
}

fn quoted(text: &[char], at: &mut usize) -> String {
    *at += 1;
    let start = *at;
    while text.get(*at).is_some_and(|&character| character != '"') {
        *at += if text[*at] == '\\' { 2 } else { 1 };
    }
    let end = (*at).min(text.len());
    *at = (end + 1).min(text.len());
    text[start..end].iter().collect()
}

/// Behind the `r` of `r"…"`, `r#"…"#` or `r#name`.
fn raw(text: &[char], at: &mut usize) -> Option<Kind> {
    let start = *at;
    skip_while(text, at, |character| character == '#');
    let hashes = *at - start;
    if text.get(*at) != Some(&'"') {
        return None;
    }
    *at += 1;
    let start = *at;
    let closes = |at: usize| {
        text[at] == '"' && text.len() > at + hashes && text[at + 1..=at + hashes].iter().all(|&mark| mark == '#')
    };
    while *at < text.len() && !closes(*at) {
        *at += 1;
    }
    let content = text[start..(*at).min(text.len())].iter().collect();
    *at = (*at + 1 + hashes).min(text.len());
    Some(Kind::Text(content))
}

// ---------------------------------------------------------------------------------------------------------------------

/// The test's own tests: each wall is shown to stop what it is there for.
mod proven {
    use super::*;

    fn house(files: &[(&str, &str)]) -> Vec<String> {
        offences(&files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    fn one_file(path: &str, text: &str) -> Vec<String> {
        house(&[(path, text)])
    }

    #[test]
    fn a_wrong_import_is_found() {
        assert_eq!(
            one_file("plan/mod.rs", "\nuse crate::host::Root;\n"),
            ["src/plan/mod.rs:2: `plan` must not know `host`"]
        );
        assert_eq!(one_file("model/facts.rs", "use crate::formats;").len(), 1);
        assert_eq!(one_file("host/root.rs", "use crate::cli::Args;").len(), 1);
        assert_eq!(one_file("apply/undo.rs", "use crate::ui::Printer;").len(), 1);
        assert_eq!(one_file("images/mod.rs", "use crate::verify::pods;").len(), 1);
    }

    #[test]
    fn a_right_import_is_not() {
        assert_eq!(one_file("plan/mod.rs", "use crate::{formats::crictl, model::{Plan, Step as S}};"), [""; 0]);
        assert_eq!(
            one_file("apply/undo.rs", "use crate::host::Host; use super::steps; use super::super::verify;"),
            [""; 0]
        );
        assert_eq!(one_file("cli/plan.rs", "use crate::{ui::Printer, host::Host, report};"), [""; 0]);
        assert_eq!(one_file("lib.rs", "pub mod cli; pub use crate::cli::run; use crate::ui::Printer;"), [""; 0]);
    }

    #[test]
    fn every_leaf_of_a_tree_counts() {
        let text = "pub(crate) use crate::{\n  formats::{self, crictl},\n  host::{\n    Root,\n    procs::{Procs},\n  },\n  model::*,\n};";
        assert_eq!(
            one_file("checks/mod.rs", text),
            [
                "src/checks/mod.rs:4: `checks` must not know `host`",
                "src/checks/mod.rs:5: `checks` must not know `host`"
            ]
        );
        assert_eq!(one_file("checks/mod.rs", "use {crate::model::Facts, crate::host::Root};").len(), 1);
    }

    #[test]
    fn a_path_in_the_middle_of_code_counts() {
        assert_eq!(one_file("report/run.rs", "fn f() -> u8 { if x { crate::host::now() } else { 0 } }").len(), 1);
        assert_eq!(one_file("report/run.rs", "fn f(a: Vec<crate::ui::Style>) {}").len(), 1);
        assert_eq!(one_file("report/run.rs", "macro_rules! m { () => { $crate::host::now() } }").len(), 1);
        assert_eq!(one_file("report/run.rs", "impl<'a> From<&'a str> for crate::host::X {}").len(), 1);
    }

    #[test]
    fn super_is_followed() {
        assert_eq!(one_file("plan/mod.rs", "use super::host::Root;").len(), 1);
        assert_eq!(one_file("plan/docker.rs", "use super::super::host::Root;").len(), 1);
        assert_eq!(one_file("plan/docker.rs", "use super::host::Root;"), [""; 0], "plan::host would be its own");
        assert_eq!(one_file("plan/docker.rs", "use super::{super::{host}};").len(), 1);
        assert_eq!(one_file("plan/mod.rs", "mod tests { use super::*; fn f() { super::super::host::f() } }").len(), 1);
        assert_eq!(one_file("plan/mod.rs", "mod tests { use super::super::model::Plan; } use super::ui;").len(), 1);
        assert_eq!(one_file("plan/mod.rs", "fn f() { if a {} } mod tests { fn g() {} } use super::host;").len(), 1);
    }

    #[test]
    fn a_module_elsewhere_is_followed() {
        let owner = ("plan/docker.rs", "#[cfg(test)]\n#[path = \"docker_tests.rs\"]\nmod tests;");
        assert_eq!(house(&[owner, ("plan/docker_tests.rs", "use super::super::super::host::Root;")]).len(), 1);
        assert_eq!(house(&[owner, ("plan/docker_tests.rs", "use super::super::verdicts;")]), [""; 0]);
    }

    #[test]
    fn the_whole_crate_is_nobodys() {
        assert_eq!(one_file("apply/mod.rs", "use crate::*;").len(), 1);
        assert_eq!(one_file("apply/mod.rs", "use super::*;").len(), 1);
        assert_eq!(one_file("apply/mod.rs", "use crate as house;").len(), 1);
        assert_eq!(one_file("apply/mod.rs", "use crate::{self as house};").len(), 1);
        assert_eq!(one_file("apply/mod.rs", "pub(crate) fn f() {} pub(in crate::apply) fn g() {}"), [""; 0]);
        assert_eq!(one_file("apply/mod.rs", "use crate::attic::Old;").len(), 1);
    }

    #[test]
    fn a_new_room_has_to_say_what_it_may_know() {
        assert_eq!(one_file("attic/mod.rs", "").len(), 1);
    }

    #[test]
    fn comments_and_strings_do_not_count() {
        let text = r##"
            //! use crate::host::Root;
            /* use crate::host; /* nested */ use crate::ui::X; */
            /// [`crate::host::Root`]
            const A: &str = "use crate::host::Root; \" crate::ui::X";
            const B: &str = r#"crate::host::Root " crate::ui::X"#;
            const C: &[u8] = b"crate::host::Root";
            const D: [char; 4] = ['"', '\'', '\\', '\u{1F600}'];
            fn f<'a>(r#type: &'a str) -> &'a str { r#type }
        "##;
        assert_eq!(one_file("plan/mod.rs", text), [""; 0]);
        let after = format!("{text} use crate::host::Root;");
        assert_eq!(one_file("plan/mod.rs", &after).len(), 1, "and reading goes on behind them");
    }

    #[test]
    fn pure_rooms_have_no_side_effects() {
        for text in [
            "use std::fs;",
            "use std::{collections::BTreeMap, fs::File};",
            "fn f() { std::process::exit(1) }",
            "fn f() { let home = std::env::var(\"HOME\"); }",
            "use ::std::env;",
            "use std::time::SystemTime;",
            "use std::time::*; fn f() { Instant::now(); }",
            "fn f() { jiff::Timestamp::now(); }",
            "use jiff::Zoned; fn f() { Zoned::now(); }",
            "use std::*;",
            "use nix::unistd::getuid;",
            "use std::net::TcpStream;",
            "use std::net::*;",
        ] {
            assert_eq!(one_file("formats/mod.rs", text).len(), 1, "{text}");
            assert_eq!(one_file("host/mod.rs", text), [""; 0], "{text}");
        }
        for text in [
            "const V: &str = env!(\"CARGO_PKG_VERSION\"); const W: Option<&str> = std::option_env!(\"X\");",
            "const V: &str = std::env!(\"CARGO_PKG_VERSION\");",
            "use std::{fmt, path::Path, time::Duration};",
            "use std::net::{IpAddr, Ipv4Addr};",
            "use crate::model::process; mod fs; use fs::Files; use self::env::Lines;",
        ] {
            assert_eq!(one_file("formats/mod.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn long_files_are_found() {
        let lines = |count: usize| BTreeMap::from([("plan/mod.rs".to_owned(), "//\n".repeat(count))]);
        assert_eq!(too_long(&lines(LONGEST_FILE)), [""; 0]);
        assert_eq!(too_long(&lines(LONGEST_FILE + 1)), ["src/plan/mod.rs: 501 lines"]);
    }
}
