//! Pages that are made from the code, so that they cannot say anything else than what is so: man pages, which every
//! castoff can write, and the reference in `docs/`, which `tests/pages.rs` holds against the code.

mod documents;
mod man;
mod reference;
mod roff;
mod words;

pub use documents::{DOCUMENTS, Document};
pub use man::pages as man_pages;
pub use reference::{commands, exit_codes, findings, profile};

use super::args::Cli;
use clap::CommandFactory as _;

/// castoff and every command that is shown, with its words after `castoff`; those of runc's command line are runc's.
fn walk() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command();
    root.build();
    let mut all = vec![(String::new(), root.clone())];
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name().to_owned();
        all.push((name.clone(), command.clone()));
        if name != "oci" {
            let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help");
            all.extend(subs.map(|sub| (format!("{name} {}", sub.get_name()), sub.clone())));
        }
    }
    all
}

/// How it is called, without the word before it.
fn usage(command: &clap::Command) -> String {
    let text = command.clone().render_usage().to_string();
    text.trim_start_matches("Usage: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_has_its_words_and_no_other_has() {
        let commands: BTreeSet<String> = walk().into_iter().map(|(name, _)| name).collect();
        let told: BTreeSet<String> = words::WORDS.iter().map(|words| words.command.to_owned()).collect();
        assert_eq!(told, commands);
        for words in words::WORDS {
            assert!(
                !words.text.is_empty() && !words.examples.is_empty() && !words.codes.is_empty(),
                "{}",
                words.command
            );
        }
    }

    #[test]
    fn examples_can_be_parsed() {
        for words in words::WORDS {
            for (line, what) in words.examples {
                assert!(line.starts_with(format!("castoff {}", words.command).trim_end()), "{line}");
                assert!(!what.is_empty());
                if let Err(error) = Cli::try_parse_from(line.split(' ')) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn files_and_pages_that_are_named_exist() {
        let pages: BTreeSet<String> = man_pages().unwrap().into_iter().map(|(name, _)| name).collect();
        for words in words::WORDS {
            for file in words.files {
                assert!(words::FILES.iter().any(|(known, _)| known == file), "{file}");
            }
            for page in words.see.iter().filter(|page| page.starts_with("castoff")) {
                let file = page.trim_end_matches(')').replace('(', ".");
                assert!(pages.contains(&file), "{page} in {}", words.command);
            }
        }
    }
}
