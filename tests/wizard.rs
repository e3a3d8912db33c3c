//! The wizard, as somebody at a terminal meets it: a real pseudo-terminal, real keys, and what the screen shows.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]
#![allow(clippy::disallowed_methods, reason = "it runs the real program on temporary folders")]

mod common;

use common::{
    program::Node,
    terminal::{CTRL_C, DOWN, ENTER, Terminal, unchanged},
    tree,
};
use std::fs;

const FIXTURE: &str = "bookworm-dockershim-1.20";
const USUAL: (u16, u16) = (80, 24);
/// What the pager asks.
const MORE: &str = "-- more:";
/// The last question before anything happens.
const APPLY: &str = "Apply ";

fn node() -> Node {
    Node::new(FIXTURE)
}

fn wizard(node: &Node, size: (u16, u16), variables: &[(&str, &str)]) -> Terminal {
    let terminal = Terminal::start(&node.command(&["migrate"]), size, variables);
    terminal.shows("What now");
    terminal
}

/// Reads the plan to its end.
fn read_on(terminal: &mut Terminal) {
    terminal.at(MORE, "G");
    terminal.shows(APPLY);
}

#[test]
fn the_good_path_ends_with_the_command_that_does_the_same() {
    let node = node();
    let mut terminal = wizard(&node, USUAL, &[]);
    let text = terminal.text();
    for words in ["This moves", "changes", "/etc/containerd/config.toml", "undo", "castoff rollback", "Current choices"]
    {
        assert!(text.contains(words), "`{words}` is not said:\n{text}");
    }
    assert!(!text.contains("0 notes"), "there are some, told with the plan:\n{text}");
    terminal.keys(ENTER);
    // A screen at a time, then a line, then the rest.
    terminal.at(MORE, " ");
    terminal.at(MORE, ENTER);
    read_on(&mut terminal);
    terminal.keys("y");
    let code = terminal.ends();
    let text = terminal.text();
    assert_eq!(code, 0, "{text}");
    for words in
        ["as planned", "castoff rollback", "castoff commit", "Same, unasked:    castoff migrate --yes --try 10m"]
    {
        assert!(text.contains(words), "`{words}` is not said:\n{text}");
    }
    node.run(&["plan", "--detailed-exitcode"]).code(0);
}

#[test]
fn another_goal_is_introduced_chosen_and_repeated_as_itself() {
    let node = node();
    let mut terminal = Terminal::start(&node.command(&["migrate", "--goal", "cgroup-driver"]), (250, 50), &[]);
    terminal.shows("What now");
    let text = terminal.text();
    assert!(text.contains("the node stays on Docker; one cgroup driver everywhere"), "{text}");
    for words in ["to containerd", "Docker's images", "sandbox image", "endpoint"] {
        assert!(!text.contains(words), "`{words}` is said:\n{text}");
    }
    // Nothing is asked but what there is to choose.
    terminal.keys(&format!("{DOWN}{ENTER}"));
    terminal.at("Take it back by itself", ENTER);
    terminal.at("What now", ENTER);
    terminal.at(APPLY, "y");
    let code = terminal.ends();
    let text = terminal.text();
    assert_eq!(code, 0, "{text}");
    let root = format!("--root {}", node.path().display());
    for start in ["Same, unasked:    castoff migrate --yes --try 10m", "Look again:    castoff verify"] {
        let line = text.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("no `{start}`:\n{text}"));
        assert!(line.contains(&root) && line.contains("--goal cgroup-driver"), "{line}");
    }
    assert!(text.contains(&format!("castoff rollback {root}")), "{text}");
}

#[test]
fn choices_are_asked_again_until_they_are_understood_and_can_be_saved() {
    let node = node();
    let mut terminal = wizard(&node, (100, 40), &[]);
    terminal.keys(&format!("{DOWN}{ENTER}"));
    terminal.at("bring none along", &format!("{DOWN}{DOWN}{ENTER}"));
    terminal.at("Docker's units", ENTER);
    terminal.at("Sandbox image", &format!("two words{ENTER}"));
    terminal.at("an image name has no blanks", &"\u{7f}".repeat(9));
    terminal.keys(&format!("registry.example/pause:3.9{ENTER}"));
    terminal.at("Take it back by itself", &"\u{7f}".repeat(3));
    terminal.keys(&format!("soon{ENTER}"));
    terminal.shows("soon");
    terminal.keys(&"\u{7f}".repeat(4));
    terminal.keys(&format!("5m{ENTER}"));
    terminal.shows("5m after the end");
    let screen = terminal.screen();
    assert!(screen.contains("bring none along") && screen.contains("registry.example/pause:3.9"), "{screen}");
    terminal.keys(&format!("{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 0, "{}", terminal.text());
    let profile = fs::read_to_string(node.path().join("etc/castoff/profile.toml")).unwrap();
    assert!(profile.contains("images = \"none\"") && profile.contains("registry.example/pause:3.9"), "{profile}");
    let text = terminal.text();
    assert!(text.contains("Saved") && text.contains("castoff migrate --yes"), "{text}");
}

#[test]
fn a_profile_that_is_there_is_told_as_it_is_and_keeps_its_lines() {
    let node = node();
    let path = "/etc/castoff/profile.toml";
    let text = "# site\ncontainerd-config = \"regenerate\"\nimages = \"all\" # and why\n\n[timeouts]\npods = \"20m\"\n";
    tree::put(node.path(), path, text);
    let mut terminal = wizard(&node, (100, 40), &[]);
    let screen = terminal.screen();
    assert!(screen.contains("make anew") && !screen.contains("comments kept"), "{screen}");
    terminal.keys(&format!("{DOWN}{ENTER}"));
    terminal.at("bring none along", &format!("{DOWN}{ENTER}"));
    terminal.at("Docker's units", ENTER);
    terminal.at("Sandbox image", ENTER);
    terminal.shows("Take it back by itself");
    terminal.forget();
    terminal.keys(ENTER);
    terminal.at("What now", &format!("{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 0, "{}", terminal.text());
    let profile = fs::read_to_string(tree::at(node.path(), path)).unwrap();
    assert_eq!(profile, text.replace("images = \"all\"", "images = \"none\""));
}

#[test]
fn a_refused_confirmation_changes_nothing_and_asks_again() {
    let node = node();
    let before = tree::snapshot(node.path());
    let mut terminal = wizard(&node, (100, 40), &[]);
    terminal.keys(ENTER);
    read_on(&mut terminal);
    // Enter is no.
    terminal.keys("x");
    terminal.keys(ENTER);
    terminal.at("Not confirmed; nothing was changed", &format!("{DOWN}{DOWN}{DOWN}{ENTER}"));
    assert_eq!(terminal.ends(), 130);
    assert!(terminal.text().contains("Cancelled. Nothing was changed."));
    assert!(unchanged(&before, node.path()));
}

#[test]
fn ctrl_c_is_safe_at_every_prompt() {
    let change = format!("{DOWN}{ENTER}");
    let prompts: [(&str, Vec<(&str, String)>); 7] = [
        ("the menu", vec![]),
        ("the pager", vec![("What now", ENTER.into()), (MORE, String::new())]),
        ("the confirmation", vec![("What now", ENTER.into()), (MORE, "G".into()), (APPLY, String::new())]),
        ("images", vec![("What now", change.clone()), ("bring none along", String::new())]),
        (
            "units",
            vec![("What now", change.clone()), ("bring none along", ENTER.into()), ("disable and mask", String::new())],
        ),
        (
            "the sandbox image",
            vec![
                ("What now", change.clone()),
                ("bring none along", ENTER.into()),
                ("disable and mask", ENTER.into()),
                ("Sandbox image", String::new()),
            ],
        ),
        (
            "the time",
            vec![
                ("What now", change.clone()),
                ("bring none along", ENTER.into()),
                ("disable and mask", ENTER.into()),
                ("Sandbox image", ENTER.into()),
                ("Take it back by itself", String::new()),
            ],
        ),
    ];
    let node = node();
    let before = tree::snapshot(node.path());
    for (place, steps) in prompts {
        let mut terminal = wizard(&node, USUAL, &[]);
        for (shown, keys) in steps {
            terminal.shows(shown);
            terminal.forget();
            terminal.keys(&keys);
            if keys.is_empty() {
                break;
            }
        }
        terminal.keys(CTRL_C);
        let code = terminal.ends();
        let text = terminal.text();
        assert_eq!(code, 130, "at {place}:\n{text}");
        assert!(text.contains("Cancelled. Nothing was changed."), "at {place}:\n{text}");
        assert!(unchanged(&before, node.path()), "at {place}");
    }
}

#[test]
fn ctrl_c_is_safe_where_a_command_asks_once() {
    let cases = [
        (FIXTURE, &["apply"][..], APPLY),
        ("schema-1-on-2.1", &["convert", "--to", "2"][..], "Apply 1 step on old-settings?"),
    ];
    for (fixture, command, question) in cases {
        let node = Node::new(fixture);
        let before = tree::snapshot(node.path());
        let mut terminal = Terminal::start(&node.command(command), USUAL, &[]);
        terminal.at(question, CTRL_C);
        let code = terminal.ends();
        let text = terminal.text();
        assert_eq!(code, 130, "{command:?}:\n{text}");
        assert!(text.contains("Cancelled. Nothing was changed."), "{command:?}:\n{text}");
        assert!(unchanged(&before, node.path()), "{command:?}");
    }
}

#[test]
fn a_window_that_is_made_smaller_is_filled_as_it_is() {
    let node = node();
    let mut terminal = wizard(&node, (110, 40), &[]);
    terminal.resize((44, 16));
    terminal.keys(ENTER);
    read_on(&mut terminal);
    terminal.forget();
    terminal.keys("n");
    terminal.shows("What now");
    let text = terminal.text();
    let table = text.split("Current choices").nth(1).unwrap();
    // A path or an address is never cut; everything else is.
    let whole = |line: &&str| line.split_whitespace().all(|word| word.chars().count() < 20);
    let long: Vec<&str> = table.lines().filter(whole).filter(|line| line.chars().count() > 44).collect();
    assert!(long.is_empty(), "{long:#?}");
    terminal.keys(CTRL_C);
    assert_eq!(terminal.ends(), 130);
}

#[test]
fn forty_columns_are_enough() {
    let node = node();
    let mut terminal = wizard(&node, (40, 12), &[]);
    let screen = terminal.screen();
    for item in ["Show the plan and go on", "Change choices", "Cancel"] {
        assert!(screen.contains(item), "{screen}");
    }
    terminal.keys(ENTER);
    read_on(&mut terminal);
    terminal.forget();
    terminal.keys("y");
    assert_eq!(terminal.ends(), 0, "{}", terminal.text());
    // What moved on one line left nothing of itself behind.
    let screen = terminal.screen();
    assert!(!screen.contains('⠋') && !screen.contains('⠹'), "{screen}");
}

#[test]
fn no_colour_and_no_utf_8() {
    let node = node();
    let mut terminal = wizard(&node, USUAL, &[("NO_COLOR", "1"), ("LC_ALL", "C")]);
    terminal.keys(ENTER);
    read_on(&mut terminal);
    terminal.keys("y");
    assert_eq!(terminal.ends(), 0, "{}", terminal.text());
    let raw = terminal.raw();
    let text = String::from_utf8_lossy(&raw).into_owned();
    let odd: Vec<&str> = text.lines().filter(|line| !line.is_ascii()).collect();
    assert!(odd.is_empty(), "{odd:#?}");
    // SGR: `ESC [ … m`; the other sequences move the cursor.
    let coloured = text.split('\u{1b}').filter(|part| {
        let rest = part.strip_prefix('[').unwrap_or_default();
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m') && !rest.starts_with("0m")
    });
    assert_eq!(coloured.count(), 0, "{text}");
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let node = node();
    let before = tree::snapshot(node.path());
    node.run(&["migrate"]).code(64).silent().error(&["there is no terminal", "--yes"]);
    assert!(unchanged(&before, node.path()));
    // A terminal that may not be asked on.
    let mut terminal = Terminal::start(&node.command(&["migrate", "--non-interactive"]), USUAL, &[]);
    assert_eq!(terminal.ends(), 64, "{}", terminal.text());
    let mut terminal = Terminal::start(&node.command(&["migrate"]), USUAL, &[("CI", "true")]);
    assert_eq!(terminal.ends(), 64, "{}", terminal.text());
}
