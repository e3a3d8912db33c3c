//! Options about the node's cluster.

use crate::{
    host::user_files,
    model::{ClusterOptions, Span},
};
use anyhow::{Context as _, Result};
use clap::Args;
use std::path::PathBuf;

/// Options of commands that plan something.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// Do not ask the cluster's API server; without it castoff does where kubelet has a kubeconfig
    #[arg(long, conflicts_with = "drain")]
    pub no_cluster: bool,
    /// Cordon the node and evict its pods before anything stops; uncordon it at the end
    #[arg(long)]
    pub drain: bool,
    /// Do not, where castoff would by itself
    #[arg(long, conflicts_with = "drain")]
    pub no_drain: bool,
    /// Speak to the API server with this file instead of kubelet's own
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Evict pods too that nothing makes again
    #[arg(long)]
    pub drain_force: bool,
    /// Evict pods too that keep data in an emptyDir, which ends with them
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// Seconds a pod gets to end, instead of its own
    #[arg(long, value_name = "SECONDS")]
    pub grace_period: Option<u32>,
    /// How long all evicted pods may take to be gone [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub drain_timeout: Option<Span>,
}

impl ClusterArgs {
    /// What is wanted.
    ///
    /// # Errors
    /// When the kubeconfig's path cannot be made absolute.
    pub fn options(&self) -> Result<ClusterOptions> {
        let kubeconfig = match &self.kubeconfig {
            None => None,
            Some(path) => {
                let path = user_files::absolute(path)?;
                Some(path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?.to_owned())
            }
        };
        Ok(ClusterOptions {
            kubeconfig,
            drain: self.drain,
            force: self.drain_force,
            delete_emptydir_data: self.delete_emptydir_data,
            grace: self.grace_period,
        })
    }
}
