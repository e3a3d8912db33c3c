//! Options of commands whose documents people hand on.

use super::{args::NodeArgs, cluster_args::ClusterArgs};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// One report out of many nodes' documents: runs, plans, verifications, results of the Ansible collection
    Merge(MergeArgs),
}

/// `-o` of what people hand on: plans, runs, fleet reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
    /// For a merge request
    Markdown,
    /// One page without anything from elsewhere
    Html,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Documents, or directories of them (files `*.json`, `*.jsonl`)
    #[arg(value_name = "FILE|DIR", required = true)]
    pub inputs: Vec<PathBuf>,
    /// Write the report here instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the names of the nodes that need another try here, one a line,
    /// as `ansible-playbook --limit @FILE` takes them
    #[arg(long, value_name = "FILE")]
    pub retry_file: Option<PathBuf>,
    /// Exit with 2 when a node is not where it should be
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: ReportFormat,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Save the plan, to be applied later exactly as it is
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit with 2 when there is something to do
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Lines around each change in diffs
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub context: usize,
    /// Steps only, no diffs
    #[arg(long)]
    pub no_diff: bool,
    /// Let this finding not block (repeatable)
    #[arg(long, value_name = "ID")]
    pub skip_check: Vec<String>,
    /// Do not try the planned configuration with the node's containerd
    #[arg(long)]
    pub no_trial: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: ReportFormat,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Run id, or the plan's id at its end [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    #[command(flatten)]
    pub node: NodeArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: ReportFormat,
}
