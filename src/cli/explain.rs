//! `castoff explain`, and guesses for mistyped words.

use super::{
    exit::{Exit, Usage},
    glossary::{self, GROUPS},
    look_args::ExplainArgs,
};
use crate::{checks, formats::spelling::distance, report, ui::Printer};
use anyhow::Result;

/// Prints the long text of an id; without one, all ids there are.
pub fn run(args: &ExplainArgs, printer: Printer) -> Result<Exit> {
    let Some(id) = &args.id else {
        printer.data(&all());
        return Ok(Exit::OK);
    };
    if let Some(check) = checks::find(id) {
        printer.data(&report::explanation(&check.explain(), printer.look()));
    } else if let Some((group, word)) = glossary::find(id) {
        printer.data(&report::meaning(
            &format!("{} ({})", word.id, group.name),
            word.summary,
            word.text,
            printer.look(),
        ));
    } else {
        let known = checks::registry().map(|check| check.id);
        let known = known.chain(GROUPS.iter().flat_map(|group| group.words).map(|word| word.id));
        return Err(Usage::error(
            format!("there is no finding, step, verdict, outcome or exit code `{id}`"),
            guess(id, known)
                .unwrap_or_else(|| "`castoff explain` lists them, `castoff check --list` all findings".to_owned()),
        ));
    }
    Ok(Exit::OK)
}

fn all() -> String {
    let line = |id: &str, summary: &str| format!("  {id:<30} {summary}\n");
    let mut text = String::from("Findings\n");
    for check in checks::registry() {
        text.push_str(&line(check.id, check.summary));
    }
    for group in GROUPS {
        text.push_str(&format!("\n{}\n", group.title));
        for word in group.words {
            text.push_str(&line(word.id, word.summary));
        }
    }
    text
}

/// `did you mean …?`, when something is close to a mistyped word.
pub fn guess<'w>(wrong: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    // A short word has fewer letters to be wrong.
    let most = (wrong.chars().count() / 3).clamp(1, 3);
    let mut close: Vec<(usize, &str)> = known
        .filter(|word| word.len() > 2)
        .map(|word| (distance(wrong, word), word))
        .filter(|(distance, word)| *distance <= most || (wrong.len() > 3 && word.contains(wrong)))
        .collect();
    close.sort_unstable();
    close.dedup();
    let words: Vec<&str> = close.into_iter().take(3).map(|(_, word)| word).collect();
    (!words.is_empty()).then(|| format!("did you mean {}?", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_guessed_and_others_are_not() {
        let known = ["stop-docker", "stop-kubelet", "carried", "64"];
        let guess = |wrong: &str| guess(wrong, known.into_iter());
        assert_eq!(guess("stop-dokcer").as_deref(), Some("did you mean stop-docker?"));
        assert_eq!(guess("caried").as_deref(), Some("did you mean carried?"));
        assert_eq!(guess("stop").as_deref(), Some("did you mean stop-docker or stop-kubelet?"));
        assert_eq!(guess("zzzzzz"), None);
        assert_eq!(guess("65"), None);
    }

    #[test]
    fn words_are_unique_and_say_something() {
        let words: Vec<_> = GROUPS.iter().flat_map(|group| group.words).collect();
        for (number, word) in words.iter().enumerate() {
            assert!(!words[..number].iter().any(|other| other.id == word.id), "{} twice", word.id);
            assert!(checks::find(word.id).is_none(), "{} is a finding too", word.id);
            assert!(
                !word.summary.ends_with('.') && word.text.ends_with('.') && !word.text.contains("  "),
                "{}",
                word.id
            );
        }
    }
}
