//! Commands that only look: `inspect`, `check`, and `man`.

use super::{
    args::Format,
    bundle,
    cluster_args::ClusterArgs,
    context::{Context, Trying, json, make_plan},
    exit::{Exit, Usage},
    look_args::{CheckArgs, InspectArgs},
    pages,
};
use crate::{
    checks, cluster,
    host::user_files,
    model::{CheckLine, Checks, Finding, Findings, Severity},
    report,
    ui::Printer,
};
use anyhow::{Context as _, Result};
use std::path::Path;

/// `castoff inspect`
pub fn inspect(args: &InspectArgs, printer: Printer) -> Result<Exit> {
    let mut context = Context::look(&args.node, &[])?;
    if let Some(file) = &args.bundle {
        if args.output == Format::Json {
            let hint = "leave `-o json` out; `castoff inspect -o json` prints the facts";
            return Err(Usage::error("`--bundle` writes its document into the file, and prints none", hint));
        }
        let cluster =
            ClusterArgs { no_cluster: args.no_cluster, kubeconfig: args.kubeconfig.clone(), ..ClusterArgs::default() };
        context = context.with_cluster(&cluster)?;
        bundle::make(&context, file, args.force, printer)?;
        return Ok(Exit::OK);
    }
    let facts = context.facts();
    match args.output {
        Format::Text => printer.data(&report::facts(&facts, printer.look())),
        Format::Json => printer.document(&json(&facts)?),
    }
    Ok(Exit::OK)
}

/// `castoff check`
pub fn check(args: &CheckArgs, printer: Printer) -> Result<Exit> {
    if args.list {
        if args.output == Format::Json {
            let line = |check: &checks::CheckInfo| CheckLine {
                id: check.id.to_owned(),
                severity: check.severity,
                summary: check.summary.to_owned(),
            };
            printer.document(&json(&Checks::of(checks::registry().map(line).collect()))?);
            return Ok(Exit::OK);
        }
        for check in checks::registry() {
            printer.data(&format!("{:<28} {:<6} {}\n", check.id, check.severity.word(), check.summary));
        }
        return Ok(Exit::OK);
    }
    args.of_cluster.refuse_idle()?;
    let context = Context::look(&args.node, &args.skip_check)?.with_cluster(&args.of_cluster)?;
    let findings = if args.cluster {
        of_cluster(&context, printer)?
    } else {
        make_plan(&context, 0, Trying { wanted: !args.no_trial, printer }).findings
    };
    match args.output {
        Format::Text if findings.is_empty() => printer.data("nothing to note\n"),
        Format::Text => {
            printer.data(report::findings(&findings, &context.desired.skip_checks, printer.look()).trim_start());
        }
        Format::Json => printer.document(&json(&Findings::of(findings.clone()))?),
    }
    let fatal = |finding: &&Finding| {
        let worst = if args.fatal_warnings { Severity::Warn } else { Severity::Block };
        finding.severity <= worst && !context.desired.skip_checks.contains(&finding.id)
    };
    Ok(if findings.iter().any(|finding| fatal(&finding)) { Exit::BLOCKED } else { Exit::OK })
}

/// What of the cluster's workload would not like the move, by whatever credentials there are.
fn of_cluster(context: &Context, printer: Printer) -> Result<Vec<Finding>> {
    let named = context.desired.cluster.kubeconfig.clone();
    let kubeconfig = named.or_else(|| context.kubelets_kubeconfig());
    let kubeconfig = kubeconfig.context("kubelet has no kubeconfig here; name one with `--kubeconfig FILE`")?;
    let api = cluster::open(&context.host, &kubeconfig)?;
    let (pods, findings) = cluster::survey(&*api).with_context(|| {
        format!("cannot look at the pods of the cluster with {kubeconfig}; `--kubeconfig FILE` names another")
    })?;
    printer.say(&format!("{pods} pods of {} looked at", api.server()));
    Ok(findings)
}

/// `castoff man`
pub fn man(dir: &Path, printer: Printer) -> Result<Exit> {
    for (name, page) in pages::man_pages()? {
        let path = dir.join(name);
        user_files::write_public(&path, &page)?;
        printer.say(&format!("{}", path.display()));
    }
    Ok(Exit::OK)
}
