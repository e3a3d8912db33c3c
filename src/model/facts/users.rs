//! Who else on the node uses Docker: what stops working, or would bring Docker back, when it is gone.

use crate::model::Origin;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of thing uses Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UserKind {
    /// A systemd unit other than those of Docker, containerd and kubelet.
    Unit,
    /// A cron job.
    Cron,
    /// A rule of logrotate.
    Logrotate,
    /// A supervisor of the host: monit, node-problem-detector, supervisord.
    Watchdog,
    /// An agent of the host that collects logs or figures.
    Agent,
    /// A static pod.
    StaticPod,
    /// A pod that runs on Docker now.
    Pod,
}

impl fmt::Display for UserKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unit => "unit",
            Self::Cron => "cron",
            Self::Logrotate => "logrotate",
            Self::Watchdog => "watchdog",
            Self::Agent => "agent",
            Self::StaticPod => "static pod",
            Self::Pod => "pod",
        })
    }
}

/// How it uses Docker, the strongest tie first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Tie {
    /// A unit that cannot run without Docker's unit (`Requires=`, `Requisite=`, `BindsTo=`, `PartOf=`).
    Requires,
    /// A unit that only Docker's start starts (`docker.service.wants/`).
    StartedBy,
    /// It starts or restarts Docker.
    Restarts,
    /// It talks to Docker's socket.
    Socket,
    /// It runs the Docker command line.
    Command,
    /// It reads the log files of Docker's containers.
    Logs,
    /// It reaches into the rest of Docker's data root.
    Data,
    /// It mounts a folder above Docker's socket, such as `/run`.
    Folder,
    /// A unit that would like Docker to be there (`Wants=`, `ConditionPathExists=`).
    Wants,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DockerUser {
    /// What it is.
    pub kind: UserKind,
    /// Its name: of the unit, file or pod.
    pub name: String,
    /// How it uses Docker.
    pub tie: Tie,
    /// The words that say so: never arguments, which may hold secrets.
    pub detail: String,
    /// Where they stand.
    pub origin: Origin,
}
