//! `castoff schema`: JSON Schemas of castoff's documents. They are made out of the types by a test, committed in `schemas/`, and
//! packed into the program by `build.rs`.

use super::exit::{Exit, Usage};
use crate::ui::Printer;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use std::io::Read as _;

/// All of them, one object, packed.
const SCHEMAS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schemas.json.gz"));

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The kind of document [default: lists them]
    #[arg(value_name = "KIND", value_enum)]
    pub kind: Option<Kind>,
}

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What `inspect -o json` prints
    Facts,
    /// What `plan -o json` prints and `plan --out` saves
    Plan,
    /// What `apply -o json` prints and a run leaves as report.json
    RunReport,
    /// What `commit -o json` and `resume --cluster -o json` print
    RunAnswer,
    /// What `verify -o json` prints
    Verification,
    /// What `check -o json` prints
    Findings,
    /// What `check --list -o json` prints
    Checks,
    /// What `history -o json` prints
    History,
    /// What `images list -o json` prints
    Images,
    /// What `report merge -o json` prints
    FleetReport,
    /// A line of `apply -o jsonl`
    Events,
    /// The profile, /etc/castoff/profile.toml
    Profile,
    /// castoff-bundle.json of a support bundle
    Bundle,
}

impl Kind {
    /// Its word on the command line, and its file's name.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Prints a schema.
pub fn run(args: &SchemaArgs, printer: Printer) -> Result<Exit> {
    let Some(kind) = args.kind else {
        let line = |kind: &Kind| {
            let help = kind.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            format!("{:<14} {}\n", kind.word(), help.unwrap_or_default())
        };
        printer.data(&Kind::value_variants().iter().map(line).collect::<String>());
        return Ok(Exit::OK);
    };
    let all = all()?;
    let schema =
        all.get(&kind.word()).ok_or_else(|| Usage::error("there is no such schema", "`castoff schema` lists all"))?;
    printer.document(&super::context::json(schema)?);
    Ok(Exit::OK)
}

fn all() -> Result<Map<String, Value>> {
    let mut text = String::new();
    GzDecoder::new(SCHEMAS).read_to_string(&mut text).context("the schemas in this program are broken")?;
    serde_json::from_str(&text).context("the schemas in this program are broken")
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
