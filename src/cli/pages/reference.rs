//! The reference pages of `docs/`: commands, findings, profile, exit codes.

use super::{usage, walk, words};
use crate::{
    checks,
    cli::exit::MEANINGS,
    model::{PROFILE_KEYS, example_profile},
};
use clap::{Arg, ArgAction};

/// `docs/commands.md`, whole.
pub fn commands() -> String {
    let mut page = String::from(
        "# Commands\n\nMade from the program by `UPDATE_PAGES=1 cargo test --test pages`; `castoff COMMAND --help` and the man \
         pages say the same.\n\n| Command | |\n|---|---|\n",
    );
    let all = walk();
    for (name, command) in all.iter().skip(1) {
        page.push_str(&format!("| [`castoff {name}`](#castoff-{}) | {} |\n", name.replace(' ', "-"), about(command)));
    }
    for (name, command) in &all {
        let title = format!("castoff {name}");
        page.push_str(&format!("\n## {}\n\n", title.trim_end()));
        for text in words::of(name).map_or(&[][..], |words| words.text) {
            page.push_str(&format!("{text}\n\n"));
        }
        page.push_str(&format!("```\n{}\n```\n", usage(command)));
        page.push_str(&options(command));
        if let Some(words) = words::of(name) {
            page.push_str("\n```\n");
            let width = words.examples.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
            for (line, what) in words.examples {
                page.push_str(&format!("{line:width$}    # {what}\n"));
            }
            let codes: Vec<String> = words.codes.iter().map(ToString::to_string).collect();
            page.push_str(&format!("```\n\n[Exit codes](exit-codes.md): {}.\n", codes.join(", ")));
        }
    }
    page
}

fn about(command: &clap::Command) -> String {
    cell(&command.get_about().map(ToString::to_string).unwrap_or_default())
}

/// What every command has is told once, with castoff itself.
fn options(command: &clap::Command) -> String {
    let whole = command.get_name() == "castoff";
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version"))
        .filter(|arg| whole || !arg.is_global_set())
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let rows: String = shown.into_iter().map(row).collect();
    format!("\n| Option | |\n|---|---|\n{rows}")
}

fn row(arg: &Arg) -> String {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let names: Vec<String> = [arg.get_short().map(|c| format!("-{c}")), arg.get_long().map(|name| format!("--{name}"))]
        .into_iter()
        .flatten()
        .collect();
    let shown = match (names.is_empty(), takes) {
        (true, _) => value.join(" "),
        (false, true) => format!("{} {}", names.join(", "), value.join(" ")),
        (false, false) => names.join(", "),
    };
    let mut text = cell(&arg.get_help().map(ToString::to_string).unwrap_or_default());
    if takes {
        let values = arg.get_possible_values();
        let words: Vec<String> =
            values.iter().filter(|v| !v.is_hide_set()).map(|v| format!("`{}`", v.get_name())).collect();
        if !words.is_empty() {
            text.push_str(&format!(": {}", words.join(", ")));
        }
        let default: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        if !default.is_empty() {
            text.push_str(&format!(" (default `{}`)", default.join(" ")));
        }
    }
    format!("| `{}` | {text} |\n", cell(&shown))
}

/// Text as one cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The table of `docs/findings.md`.
pub fn findings() -> String {
    let mut table = String::from("| Id | Severity | |\n|---|---|---|\n");
    for check in checks::registry() {
        table.push_str(&format!("| `{}` | {} | {} |\n", check.id, check.severity.word(), check.summary));
    }
    table
}

/// The table of `docs/exit-codes.md`.
pub fn exit_codes() -> String {
    let mut table = String::from("| Code | Meaning |\n|---|---|\n");
    for (code, meaning) in MEANINGS {
        table.push_str(&format!("| {} | {} |\n", code.0, cell(meaning)));
    }
    table
}

/// `docs/profile.md`, whole.
pub fn profile() -> String {
    let mut page = String::from(
        "# The profile\n\nMade from the program by `UPDATE_PAGES=1 cargo test --test pages`; `man castoff-profile` says the \
         same.\n\n`/etc/castoff/profile.toml`, or `--profile FILE`; with `--root DIR` the one below it. It says what is wanted \
         of a node, and every key may be left out. The wizard writes one with *Save choices as a profile and quit*. A key \
         that castoff does not know is an error, and the message shows the line; commands about a run that is there (`recover`, \
         `rollback`, `resume`, `commit`, `show`, `history`) go by its own plan and only warn of it. What is given on the command line beats the \
         profile. Durations are text: a number with `s`, `m` or `h`.\n",
    );
    let mut table = None;
    for key in PROFILE_KEYS {
        if table != Some(key.table) {
            table = Some(key.table);
            let name = if key.table.is_empty() { "Keys".to_owned() } else { format!("`[{}]`", key.table) };
            page.push_str(&format!("\n## {name}\n\n| Key | Takes | Default | |\n|---|---|---|---|\n"));
        }
        let default = if key.default.is_empty() { "–".to_owned() } else { format!("`{}`", key.default) };
        page.push_str(&format!("| `{}` | {} | {default} | {} |\n", key.key, cell(key.takes), cell(key.about)));
    }
    page.push_str(
        "\n## Examples\n\nA site that carries all images, waits longer and has one known finding:\n\n```toml\n",
    );
    page.push_str(
        "images = \"all\"\nskip-checks = [\"docker-only-containers\"]\n\n[timeouts]\npods = \"10m\"\nimages = \"2h\"\n```\n",
    );
    page.push_str(&format!(
        "\nAll keys with their defaults, which changes nothing:\n\n```toml\n{}```\n",
        example_profile()
    ));
    page
}
