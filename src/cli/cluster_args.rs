//! Options about the node's cluster.

use super::exit::Usage;
use crate::{
    apply::Leaving,
    host::user_files,
    model::{ClusterConfig, ClusterOptions, Span},
};
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What becomes of kubeadm's ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MapWay {
    /// Changed, with the last node that leaves Docker
    Apply,
    /// Said what to change, and how
    Print,
    /// Nothing
    Skip,
}

impl From<MapWay> for ClusterConfig {
    fn from(way: MapWay) -> Self {
        match way {
            MapWay::Apply => Self::Apply,
            MapWay::Print => Self::Print,
            MapWay::Skip => Self::Skip,
        }
    }
}

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
    /// What becomes of kubeadm's configuration of all kubelets, the ConfigMap kubelet-config [default: print]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub cluster_config: Option<MapWay>,
    /// How long all evicted pods may take to be gone [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub drain_timeout: Option<Span>,
}

impl ClusterArgs {
    /// The options that were given, with their values.
    pub fn given(&self) -> Vec<(&'static str, Option<String>)> {
        let switches = [
            ("no-cluster", self.no_cluster),
            ("drain", self.drain),
            ("no-drain", self.no_drain),
            ("drain-force", self.drain_force),
            ("delete-emptydir-data", self.delete_emptydir_data),
        ];
        let map = self.cluster_config.and_then(|way| way.to_possible_value());
        let values = [
            ("kubeconfig", self.kubeconfig.as_ref().map(|path| path.to_string_lossy().into_owned())),
            ("grace-period", self.grace_period.map(|seconds| seconds.to_string())),
            ("cluster-config", map.map(|value| value.get_name().to_owned())),
            ("drain-timeout", self.drain_timeout.map(|span| span.to_string())),
        ];
        let switches = switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| (name, None));
        switches.chain(values.into_iter().filter(|(_, value)| value.is_some())).collect()
    }

    /// Refuses options that say how to drain where nobody says that it is to be: they would have no effect.
    ///
    /// # Errors
    /// A usage error.
    pub fn refuse_idle(&self) -> Result<()> {
        const HOW: [&str; 4] = ["drain-force", "delete-emptydir-data", "grace-period", "drain-timeout"];
        let given: Vec<String> =
            self.given().iter().filter(|(name, _)| HOW.contains(name)).map(|(name, _)| format!("--{name}")).collect();
        if self.drain || given.is_empty() {
            return Ok(());
        }
        let what = format!("{} says how to drain the node, and it is not to be drained", given.join(" "));
        Err(Usage::error(what, "add `--drain`, or leave it out"))
    }

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
            config: self.cluster_config.map(ClusterConfig::from).unwrap_or_default(),
        })
    }
}

/// Options of a rollback.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct BackArgs {
    /// Cordon the node and evict its pods before it goes back; uncordon it at the end
    #[arg(long)]
    pub drain: bool,
    /// Evict pods too that nothing makes again
    #[arg(long, requires = "drain")]
    pub drain_force: bool,
    /// Evict pods too that keep data in an emptyDir, which ends with them
    #[arg(long, requires = "drain")]
    pub delete_emptydir_data: bool,
    /// Seconds a pod gets to end, instead of its own
    #[arg(long, value_name = "SECONDS", requires = "drain")]
    pub grace_period: Option<u32>,
    /// How long all evicted pods may take to be gone [default: the run's]
    #[arg(long, value_name = "DURATION", requires = "drain")]
    pub drain_timeout: Option<Span>,
}

impl BackArgs {
    /// How pods leave, where they are to.
    pub fn leaving(self) -> Option<Leaving> {
        self.drain.then(|| Leaving {
            force: self.drain_force,
            delete_emptydir_data: self.delete_emptydir_data,
            grace: self.grace_period,
            timeout: self.drain_timeout.map(Span::duration),
        })
    }
}
