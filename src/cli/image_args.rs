//! The command line of what is about images and Docker's data.

use super::args::{ChangeArgs, Format, NodeArgs};
use crate::model::{CarryMode, Comparing};
use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum ImagesCommand {
    /// Show what Docker and containerd have, and what carrying would take
    List(ImagesListArgs),
    /// Bring images from Docker to containerd, without copying where that is possible
    Carry(CarryArgs),
}

#[derive(Debug, Args)]
pub struct ImagesListArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Show what this way would take: auto, reflink, adopt, copy, stream, hardlink
    #[arg(long, default_value_t, value_name = "MODE")]
    pub mode: CarryMode,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

/// `--compare`.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum CompareArg {
    /// Nothing
    None,
    /// All but the content of files, and of one file in fifty that too
    #[default]
    Sample,
    /// Everything
    Full,
}

impl From<CompareArg> for Comparing {
    fn from(compare: CompareArg) -> Self {
        match compare {
            CompareArg::None => Self::None,
            CompareArg::Sample => Self::Sample,
            CompareArg::Full => Self::Full,
        }
    }
}

#[derive(Debug, Args)]
pub struct CarryArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
    /// This image, by name or id (repeatable) [default: what pods, static pods
    /// and the sandbox need]
    #[arg(long, value_name = "IMAGE", conflicts_with = "all")]
    pub image: Vec<String>,
    /// All that have a name
    #[arg(long)]
    pub all: bool,
    /// The way: auto, reflink, adopt, copy, stream, or hardlink, which changes
    /// what programs in containers see while both have the image
    #[arg(long, value_name = "MODE")]
    pub mode: Option<CarryMode>,
    /// Layers as archives too, for images that no registry has: without them
    /// containerd can run, but not export or push them
    #[arg(long)]
    pub with_blobs: bool,
    /// Ask registries for the manifests that Docker did not keep, through
    /// containerd; layers are not fetched again
    #[arg(long)]
    pub online: bool,
    /// Check Docker's layers against their digests first, which reads all files
    #[arg(long)]
    pub verify_layers: bool,
    /// What is compared with Docker's layers afterwards
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub compare: CompareArg,
}

#[derive(Debug, Args)]
pub struct CleanupArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Do it without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Remove Docker's volumes too
    #[arg(long)]
    pub volumes: bool,
    /// Only show what would be removed
    #[arg(long)]
    pub check: bool,
}
