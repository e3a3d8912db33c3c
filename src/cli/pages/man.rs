//! Man pages: `castoff(8)`, one for each command, and two about files, in section 5.

use super::{documents::DOCUMENTS, roff, walk, words};
use crate::{
    cli::exit::MEANINGS,
    model::{PROFILE_KEYS, example_profile},
};
use anyhow::{Context as _, Result};

/// Every page: name with section, and text.
///
/// # Errors
/// Never for castoff's own commands.
pub fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for (words, command) in walk() {
        let name = command.get_display_name().unwrap_or("castoff").to_owned();
        pages.push((format!("{name}.8"), of_command(&words, &command)?));
    }
    pages.push(("castoff-profile.5".to_owned(), profile()));
    pages.push(("castoff-report.5".to_owned(), report()));
    Ok(pages)
}

fn of_command(command_words: &str, command: &clap::Command) -> Result<String> {
    let man = clap_mangen::Man::new(command.clone())
        .section("8")
        .manual("castoff")
        .source(format!("castoff {}", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    let context = "cannot make a man page";
    man.render_title(&mut text).context(context)?;
    man.render_name_section(&mut text).context(context)?;
    let mut page = String::from_utf8(text).context(context)?;
    page.push_str(&roff::section("SYNOPSIS"));
    page.push_str(&roff::paragraph(&super::usage(command)));
    let words = words::of(command_words);

    page.push_str(&roff::section("DESCRIPTION"));
    for text in words.map_or(&[][..], |words| words.text) {
        page.push_str(&roff::paragraph(text));
    }
    let mut text = Vec::new();
    man.render_options_section(&mut text).context(context)?;
    page.push_str(&String::from_utf8(text).context(context)?);

    let subcommands: Vec<_> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    if !subcommands.is_empty() {
        page.push_str(&roff::section("COMMANDS"));
        for sub in subcommands {
            page.push_str(&roff::term(sub.get_name(), &sub.get_about().map(ToString::to_string).unwrap_or_default()));
        }
    }
    if let Some(words) = words {
        page.push_str(&roff::section("EXAMPLES"));
        for (line, what) in words.examples {
            page.push_str(&roff::paragraph(&capital(what)));
            page.push_str(&roff::verbatim(line));
        }
        page.push_str(&roff::section("EXIT STATUS"));
        for (code, meaning) in MEANINGS.iter().filter(|(code, _)| words.codes.contains(&code.0)) {
            page.push_str(&roff::term(&code.0.to_string(), meaning));
        }
        page.push_str(&roff::section("FILES"));
        if words.files.is_empty() {
            page.push_str(&roff::paragraph("None of castoff's own."));
        }
        for (file, about) in words::FILES.iter().filter(|(file, _)| words.files.contains(file)) {
            page.push_str(&roff::term(file, about));
        }
        page.push_str(&roff::section("ENVIRONMENT"));
        for (name, about) in words::ENVIRONMENT {
            page.push_str(&roff::term(name, about));
        }
        page.push_str(&see_also(if command_words.is_empty() { &[] } else { &["castoff(8)"] }, words.see));
    }
    Ok(page)
}

fn profile() -> String {
    let mut page = title("CASTOFF-PROFILE", "castoff\\-profile \\- what castoff shall reach on a node");
    page.push_str(&roff::section("SYNOPSIS"));
    page.push_str(&roff::paragraph("`/etc/castoff/profile.toml`"));
    page.push_str(&roff::section("DESCRIPTION"));
    page.push_str(&roff::paragraph(
        "A profile is a TOML file that says what is wanted of a node. It does not have to be there, and every key may be \
         left out. `--profile FILE` names another one; below `--root DIR` the tree's own is read. The wizard of `castoff \
         migrate` writes one with its choice to save and quit.",
    ));
    page.push_str(&roff::paragraph(
        "A key that castoff does not know is an error, and the message shows the line. Durations are text: a number with \
         `s`, `m` or `h`. What is given on the command line beats the profile.",
    ));
    let mut table = None;
    for key in PROFILE_KEYS {
        if table != Some(key.table) {
            table = Some(key.table);
            let name = if key.table.is_empty() { "KEYS".to_owned() } else { format!("KEYS OF [{}]", key.table) };
            page.push_str(&roff::section(&name));
        }
        let default =
            if key.default.is_empty() { "no default".to_owned() } else { format!("default `{}`", key.default) };
        page.push_str(&roff::term(key.key, &format!("{} ({}, {default})", key.about, key.takes)));
    }
    page.push_str(&roff::section("EXAMPLES"));
    page.push_str(&roff::paragraph("A site that carries all images, waits longer and has one known finding:"));
    page.push_str(&roff::verbatim(
        "images = \"all\"\nskip-checks = [\"docker-only-containers\"]\n\n[timeouts]\npods = \"10m\"\nimages = \"2h\"",
    ));
    page.push_str(&roff::paragraph("All keys with their defaults, which changes nothing:"));
    page.push_str(&roff::verbatim(&example_profile()));
    page.push_str(&roff::section("EXIT STATUS"));
    page.push_str(&roff::paragraph(
        "A profile that cannot be used ends a command with 1, a wrong value of a key it understands with 64.",
    ));
    page.push_str(&roff::section("FILES"));
    page.push_str(&roff::term("/etc/castoff/profile.toml", "Read by every command that looks at a node."));
    page.push_str(&roff::section("ENVIRONMENT"));
    page.push_str(&roff::paragraph("No variable stands for a key."));
    page.push_str(&see_also(&["castoff(8)"], &["castoff-migrate(8)", "castoff-check(8)", "castoff-report(5)"]));
    page
}

fn report() -> String {
    let mut page = title("CASTOFF-REPORT", "castoff\\-report \\- documents that castoff writes");
    page.push_str(&roff::section("SYNOPSIS"));
    page.push_str(&roff::paragraph("`castoff COMMAND -o json`"));
    page.push_str(&roff::section("DESCRIPTION"));
    page.push_str(&roff::paragraph(
        "Every document is one JSON object with `apiVersion` (`castoff/v1`) and `kind`. Times are RFC 3339 in UTC, words of a \
         fixed set are in kebab-case, and secrets that castoff recognises are replaced by `<redacted:…>` with the beginning \
         of their digest. Fields that are not named here may change; readers pass over what they do not know.",
    ));
    for document in DOCUMENTS {
        page.push_str(&roff::section(&document.kind.to_uppercase()));
        page.push_str(&roff::paragraph(&format!("From `{}`. {}", document.from, document.about)));
        for (field, about) in document.fields {
            page.push_str(&roff::term(field, &capital(about)));
        }
    }
    page.push_str(&roff::section("EXAMPLES"));
    for (line, what) in [
        ("castoff inspect -o json | jq -r .kubelet.endpoint.value", "The socket that kubelet asks:"),
        ("castoff plan -o json | jq -r '.findings[] | select(.severity == \"block\") | .id'", "What blocks:"),
        ("castoff show -o json | jq .downtime", "How long the newest run took kubelet and pods away:"),
    ] {
        page.push_str(&roff::paragraph(what));
        page.push_str(&roff::verbatim(line));
    }
    page.push_str(&roff::section("EXIT STATUS"));
    page.push_str(&roff::paragraph(
        "`exitCode` of a RunReport is what the command ended with; castoff(8) lists all. A command that ends with an error \
         before it has a document prints none.",
    ));
    page.push_str(&roff::section("FILES"));
    page.push_str(&roff::term(
        "/var/lib/castoff/runs/RUN/report.json",
        "The RunReport of a run, readable for root only.",
    ));
    page.push_str(&roff::term("/var/lib/castoff/runs/RUN/plan.json", "Its Plan, with the contents of files."));
    page.push_str(&roff::section("ENVIRONMENT"));
    page.push_str(&roff::paragraph("No variable changes a document."));
    page.push_str(&see_also(
        &["castoff(8)"],
        &["castoff-show(8)", "castoff-report-merge(8)", "castoff-profile(5)", "jq(1)"],
    ));
    page
}

fn title(name: &str, line: &str) -> String {
    format!(
        ".TH {} 5 \"\" \"castoff {}\" \"castoff\"\n{}{line}\n",
        roff::escape(name),
        env!("CARGO_PKG_VERSION"),
        roff::section("NAME")
    )
}

fn see_also(first: &[&str], then: &[&str]) -> String {
    let pages: Vec<String> = first.iter().chain(then).map(|page| format!("`{}", page.replacen('(', "`(", 1))).collect();
    format!("{}{}", roff::section("SEE ALSO"), roff::paragraph(&pages.join(", ")))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
