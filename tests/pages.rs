//! What castoff says of itself: the reference pages of `docs/` are what the program says, links between pages lead
//! somewhere, man pages are whole, completion scripts load and complete.
//!
//! `UPDATE_PAGES=1` writes the pages anew. Look at what changed before it is committed.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it reads the checkout it was built from, and runs shells")]
#![allow(clippy::print_stdout, reason = "cargo shows it when a test failed, or with --nocapture")]

mod common;

use castoff::cli::pages;
use common::program::castoff;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn base() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_as_made(page: &str, wanted: &str) {
    let path = base().join("docs").join(page);
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "docs/{page} is not what the program says (first difference: {differs:#?}); UPDATE_PAGES=1 cargo test --test pages"
    );
}

/// A page whose first table is made.
fn table_is_as_made(page: &str, table: &str) {
    let text = fs::read_to_string(base().join("docs").join(page)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.iter().position(|line| line.starts_with('|')).unwrap();
    let to = lines[from..].iter().position(|line| !line.starts_with('|')).map_or(lines.len(), |length| from + length);
    let rest: Vec<&str> = lines[to..].to_vec();
    let wanted = format!("{}\n{table}{}\n", lines[..from].join("\n"), rest.join("\n"));
    is_as_made(page, &wanted);
}

#[test]
fn the_page_of_commands_is_as_made() {
    is_as_made("commands.md", &pages::commands());
}

#[test]
fn the_page_of_the_profile_is_as_made() {
    is_as_made("profile.md", &pages::profile());
}

#[test]
fn the_page_of_findings_is_as_made() {
    table_is_as_made("findings.md", &pages::findings());
}

#[test]
fn the_page_of_exit_codes_is_as_made() {
    table_is_as_made("exit-codes.md", &pages::exit_codes());
}

// -- links ------------------------------------------------------------------------------------------------------------

/// Every page of the checkout that people read, by its path below the checkout.
fn markdown() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![base().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                let skipped = name.starts_with('.') || ["target", "dist", "book", "corpus"].contains(&name);
                if !skipped && !path.starts_with(base().join("tests/fixtures")) {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                pages.insert(path.strip_prefix(base()).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    pages
}

/// A page without its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// Targets of links, `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // What stands in backticks is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        let mut rest = plain.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, next)) = after.split_once(')') else { break };
            found.push(target.to_owned());
            rest = next;
        }
    }
    found
}

/// Anchors of a page, as forges and mdBook make them of headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    for line in prose(text).filter(|line| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let anchor: String = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let same = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(same).find(|anchor| !made.contains(anchor)).unwrap();
        made.insert(free);
    }
    made
}

fn tidy(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut tidy, part| {
        match part {
            std::path::Component::ParentDir => drop(tidy.pop()),
            std::path::Component::CurDir => {}
            part => tidy.push(part),
        }
        tidy
    })
}

#[test]
fn links_lead_somewhere() {
    let pages = markdown();
    assert!(pages.len() > 30, "only {} pages", pages.len());
    let (mut wrong, mut looked) = (Vec::new(), 0);
    for (page, text) in &pages {
        for link in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            looked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { tidy(&page.parent().unwrap().join(file)) };
            let known = match pages.get(&target) {
                Some(text) => anchor.is_empty() || anchors(text).contains(anchor),
                None => anchor.is_empty() && base().join(&target).exists(),
            };
            if !known {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(looked > 100, "only {looked} links");
    assert!(wrong.is_empty(), "links that lead nowhere: {wrong:#?}");
}

#[test]
fn headings_and_links_are_understood() {
    let page =
        "# One `two`: three\n\n```\n# no heading [x](y)\n```\n## Again\n## Again\n[a](b.md#c) `[no](link)` [d](#e)\n";
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["again", "again-1", "one-two-three"]);
    assert_eq!(links(page), ["b.md#c", "#e"]);
}

#[test]
fn the_book_and_the_index_have_every_page_once() {
    let pages: BTreeSet<String> = fs::read_dir(base().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();
    for list in ["SUMMARY.md", "README.md"] {
        let text = fs::read_to_string(base().join("docs").join(list)).unwrap();
        let named: Vec<String> = links(&text).into_iter().filter(|link| pages.contains(link)).collect();
        let once: BTreeSet<String> = named.iter().cloned().collect();
        let mut missing: BTreeSet<String> = pages.difference(&once).cloned().collect();
        missing.remove(list);
        assert!(missing.is_empty(), "docs/{list} lacks {missing:?}");
        assert_eq!(named.len(), once.len(), "docs/{list} names a page twice");
    }
}

// -- man pages --------------------------------------------------------------------------------------------------------

#[test]
fn man_pages_are_whole() {
    let made = pages::man_pages().unwrap();
    let names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
    for wanted in ["castoff.8", "castoff-migrate.8", "castoff-images-carry.8", "castoff-profile.5", "castoff-report.5"]
    {
        assert!(names.contains(&wanted), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("recover") || name.contains("ansible")), "{names:?}");
    for (name, page) in &made {
        let sections =
            ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT", "SEE ALSO"];
        for section in sections {
            let (_, text) = page
                .split_once(&format!(".SH {section}\n"))
                .or_else(|| page.split_once(&format!(".SH \"{section}\"\n")))
                .unwrap_or_else(|| panic!("{name} has no {section}"));
            let text = text.split(".SH").next().unwrap();
            assert!(text.split_whitespace().count() > 1, "{name}: {section} is empty");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    castoff(&["man", folder.path().to_str().unwrap()]).code(0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), made.len());
}

#[test]
fn fields_of_documents_are_where_the_page_says() {
    let kept = castoff(&["demo", "--keep"]).code(0);
    let node = kept.out.lines().find_map(|line| line.strip_prefix("Left for you in ")).unwrap();
    let node = node.split(';').next().unwrap().to_owned();
    let reports = tempfile::tempdir().unwrap();
    for document in pages::DOCUMENTS {
        let mut words: Vec<&str> = document.from.split(' ').skip(1).filter(|word| *word != "FILE…").collect();
        let folder = reports.path().to_str().unwrap();
        if words.starts_with(&["report", "merge"]) {
            words.insert(2, folder);
        } else {
            words.extend(["--root", &node, "--assume", "cgroup.mode=unified"]);
        }
        let ran = castoff(&words);
        let json = ran.json();
        assert_eq!(json["kind"], document.kind, "{}", document.from);
        for (field, _) in document.fields {
            assert!(json.get(field).is_some(), "{} of {} has no {field}: {json:#}", document.from, document.kind);
        }
        if document.kind == "RunReport" {
            fs::write(reports.path().join("node.json"), &ran.out).unwrap();
        }
    }
    fs::remove_dir_all(node).unwrap();
}

// -- completions ------------------------------------------------------------------------------------------------------

/// What bash offers behind these words: the script is loaded, and its function called as bash would call it.
fn completed(words: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("castoff.bash");
    fs::write(&script, castoff(&["completions", "bash"]).code(0).out).unwrap();
    let program = r#"
        set -u
        source "$1"; shift
        function=$(complete -p castoff | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
        _castoff_runs() { echo 20260102T030405Z-dbe9; }
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        compopt() { :; }
        "$function" castoff "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", program, "completion"]).arg(&script).args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_findings() {
    assert_eq!(completed(&["castoff", "mig"]), ["migrate"]);
    assert_eq!(completed(&["castoff", "images", "ca"]), ["carry"]);
    assert_eq!(completed(&["castoff", "plan", "--skip-check", "no-cn"]), ["no-cni"]);
    assert_eq!(completed(&["castoff", "explain", "no-cn"]), ["no-cni"]);
    assert_eq!(completed(&["castoff", "migrate", "--tr"]), ["--try"]);
    assert!(completed(&["castoff", ""]).iter().all(|word| word != "recover" && word != "ansible"));
    // Runs are looked up by a function of the script; only root could see a node's.
    assert_eq!(completed(&["castoff", "rollback", "2026"]), ["20260102T030405Z-dbe9"]);
    assert!(completed(&["castoff", "rollback", "CAST"]).iter().all(String::is_empty));
}
