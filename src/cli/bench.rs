//! `castoff bench compare`

use super::{args::CompareArgs, exit::Exit};
use crate::{
    host::user_files,
    model::{Benchmark, Verification},
    report,
    ui::Printer,
};
use anyhow::{Context as _, Result, bail};
use std::path::Path;

/// Puts two measurements side by side.
pub fn compare(args: &CompareArgs, printer: Printer) -> Result<Exit> {
    let (first, second) = (load(&args.first)?, load(&args.second)?);
    if report::pairs(&first, &second).is_empty() {
        bail!("{} and {} have no operation in common", args.first.display(), args.second.display());
    }
    printer.data(&report::comparison(&first, &second));
    Ok(Exit::OK)
}

/// A verification with benchmarks, or one benchmark as critest writes it.
fn load(path: &Path) -> Result<Vec<Benchmark>> {
    let text = user_files::read(path).context("cannot read the measurement")?;
    let shown = path.display();
    let found =
        if let Ok(verification) = serde_json::from_str::<Verification>(&text) {
            verification.bench
        } else {
            let read = serde_json::from_str::<Benchmark>(&text);
            vec![read.with_context(|| {
                format!("{shown} is neither a `castoff verify --bench -o json` nor a file of critest")
            })?]
        };
    if found.iter().all(|bench| bench.datapoints.is_empty()) {
        bail!("{shown} has no measurement; `castoff verify --bench -o json` makes one");
    }
    Ok(found)
}
