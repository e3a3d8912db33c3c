//! Options of the commands that only look.

use super::{
    args::{Format, NodeArgs},
    cluster_args::ClusterArgs,
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Write everything a plan needs into one file, secrets masked, to plan
    /// elsewhere with `--root`; the name ends in .tar.zst, .tar.gz or .tar
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Replace a bundle that is there already
    #[arg(long, requires = "bundle")]
    pub force: bool,
    /// With --bundle, do not ask the cluster's API server
    #[arg(long, requires = "bundle", conflicts_with = "kubeconfig")]
    pub no_cluster: bool,
    /// With --bundle, speak to the API server with this file instead of kubelet's own
    #[arg(long, requires = "bundle", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub of_cluster: ClusterArgs,
    /// Look at the workload of the whole cluster instead of this node
    #[arg(long, conflicts_with_all = ["drain", "no_cluster", "list", "root"])]
    pub cluster: bool,
    /// List every finding there is
    #[arg(long)]
    pub list: bool,
    /// Let this finding not block (repeatable)
    #[arg(long, value_name = "ID")]
    pub skip_check: Vec<String>,
    /// Warnings block too
    #[arg(long)]
    pub fatal_warnings: bool,
    /// Do not try the planned configuration with the node's containerd
    #[arg(long)]
    pub no_trial: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A finding, step, verdict, outcome or exit code [default: lists them]
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}
