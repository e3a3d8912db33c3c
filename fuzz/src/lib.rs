//! What the fuzz targets share.
//!
//! The pure rooms are taken in as source instead of linking all of castoff: a target then holds nothing but the parsers
//! and their dependencies, which makes it build fast and run several times faster (libFuzzer looks at every counter of
//! the program after every input).

#![allow(dead_code, reason = "each target uses a part")]
#![allow(unused_imports, reason = "what only submodules used that are not here")]

#[path = "../../src/formats/mod.rs"]
pub mod formats;
#[path = "../../src/model/mod.rs"]
pub mod model;

/// What a journal says, and what is taken back by it.
#[path = "../../src/apply/records.rs"]
pub mod records;
#[path = "../../src/apply/tasks.rs"]
pub mod tasks;

/// Docker's answers; see `build.rs`.
pub mod engine {
    include!(concat!(env!("OUT_DIR"), "/engine.rs"));
}

use std::borrow::Cow;

/// The input as text: castoff refuses files that are not UTF-8 before any parser sees them.
pub fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// Splits a parameter off: what stands behind the first NUL, which no configuration file has.
pub fn with_parameter<'a>(text: &'a str, default: &'a str) -> (&'a str, &'a str) {
    text.split_once('\0').unwrap_or((text, default))
}

/// An edit may refuse a file, but never because it found its own result wrong.
pub fn refused(error: &formats::FormatError, text: &str) {
    assert!(!error.message.starts_with("internal"), "{error}\n{text:?}");
    place(error, text);
}

/// The place an error names is one in the text.
pub fn place(error: &formats::FormatError, text: &str) {
    // YAML's lines may end with a lone carriage return, so there can be more of them than others count.
    let lines = text.matches(['\n', '\r']).count() + 1;
    assert!(error.line.is_none_or(|line| line >= 1 && line as usize <= lines), "{error}\n{text:?}");
    assert!(!error.message.contains('\n'), "{error:?}");
}
