//! The command line.

use super::cluster_args::{BackArgs, ClusterArgs};
use super::image_args::{CleanupArgs, ImagesCommand};
use super::look_args::{CheckArgs, ExplainArgs, InspectArgs};
use super::report_args::{PlanArgs, ReportCommand, ShowArgs};
use super::schema::SchemaArgs;
use crate::{
    model::{CgroupDriver, Goal, Level, Span},
    runtime::oci::OciArgs,
    ui::ColourChoice,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Moves a live Kubernetes node from Docker to containerd, and back
#[derive(Debug, Parser)]
#[command(name = "castoff", version, max_term_width = 80, disable_help_subcommand = true, infer_subcommands = false)]
pub struct Cli {
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColourChoice,
    /// Only the outcome
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// No lines that move on a terminal: one line for each event, as elsewhere
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// More detail; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is there, each value with its origin
    Inspect(InspectArgs),
    /// Show what is notable, and what forbids a migration
    Check(CheckArgs),
    /// Show what would be done, with reasons and diffs; changes nothing
    Plan(PlanArgs),
    /// Move the node: look, ask, do, prove
    Migrate(MigrateArgs),
    /// Apply a saved plan, or the one that `plan` shows
    Apply(ApplyArgs),
    /// Prove that the node is as wanted
    Verify(VerifyArgs),
    /// Take a run back: the old files, units and pods
    Rollback(RollbackArgs),
    /// Go on with a run that was cut off
    Resume(ResumeArgs),
    /// Say that the new state stays
    Commit(RunArgs),
    /// End a run that was cut off; a run's own units call it at boot
    #[command(hide = true)]
    Recover(RecoverArgs),
    /// List the runs on this node
    History(HistoryArgs),
    /// Show one run in full
    Show(ShowArgs),
    /// Docker's images, and how they come along
    Images {
        #[command(subcommand)]
        command: ImagesCommand,
    },
    /// Remove what Docker left, for good
    Cleanup(CleanupArgs),
    /// Compare benchmarks
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Put the reports of many nodes together
    Report {
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// Be an Ansible module: JSON in, JSON out; the collection calls it
    #[command(hide = true)]
    Ansible {
        /// File with the module's arguments; `-` is standard input
        file: PathBuf,
    },
    /// Rewrite containerd's configuration to another version
    Convert(ConvertArgs),
    /// Explain a finding, step, verdict or exit code
    Explain(ExplainArgs),
    /// Try it all on a sample node in a temporary folder
    Demo(DemoArgs),
    /// Be an OCI runtime, with runc's commands; for verification
    Oci(OciArgs),
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the JSON Schema of a document
    Schema(SchemaArgs),
    /// Write the man pages into a directory
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// Options of every command that looks at a node.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// A node's file tree instead of this machine, or a support bundle; nothing live is touched
    #[arg(long, value_name = "DIR|BUNDLE")]
    pub root: Option<PathBuf>,
    /// State what a file tree cannot tell: docker.version,
    /// docker.cgroup-driver, containerd.version, kubelet.version,
    /// cgroup.mode, kernel.version, systemd.version (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub assume: Vec<String>,
    /// What is wanted [default: /etc/castoff/profile.toml]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// What to reach [default: containerd]
    #[arg(long, value_enum, value_name = "GOAL")]
    pub goal: Option<GoalArg>,
    /// Never ask anything
    #[arg(long)]
    pub non_interactive: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum GoalArg {
    /// Pods on containerd, systemd's cgroup driver everywhere
    #[default]
    Containerd,
    /// Stay on Docker, unify the cgroup driver only
    CgroupDriver,
}

impl From<GoalArg> for Goal {
    fn from(goal: GoalArg) -> Self {
        match goal {
            GoalArg::Containerd => Self::Containerd,
            GoalArg::CgroupDriver => Self::CgroupDriver,
        }
    }
}

impl From<Goal> for GoalArg {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Containerd => Self::Containerd,
            Goal::CgroupDriver => Self::CgroupDriver,
        }
    }
}

impl NodeArgs {
    /// What to reach.
    pub fn goal(&self) -> Goal {
        self.goal.unwrap_or_default().into()
    }
}

/// `-o`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// `-o` of commands that carry something out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum RunFormat {
    /// For people
    #[default]
    Text,
    /// One JSON document at the end
    Json,
    /// An event a line, while it goes on
    Jsonl,
}

/// Options of commands that change a node.
#[derive(Debug, Clone, Args)]
pub struct ChangeArgs {
    /// Do it without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Let this finding not block (repeatable)
    #[arg(long, value_name = "ID")]
    pub skip_check: Vec<String>,
    /// Do not try the planned configuration, nor pods on it, before the first step
    #[arg(long)]
    pub no_trial: bool,
    /// Leave the run open after it is proven, until `castoff commit`
    #[arg(long)]
    pub no_commit: bool,
    /// Take the run back unless `castoff commit` comes within this time
    /// after its end, even if castoff or the machine goes down (`10m`)
    #[arg(long = "try", value_name = "DURATION", value_parser = time_to_keep)]
    pub try_for: Option<Span>,
    /// Do not roll back when only the proof fails (exit code 6)
    #[arg(long)]
    pub keep_on_verify_failure: bool,
    /// Output format of the run's report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: RunFormat,
}

/// How long somebody has to keep a run.
///
/// # Errors
/// Less would be over before anybody has read the report.
pub fn time_to_keep(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    if span < Span::seconds(30) { Err("give at least 30s to look and decide".to_owned()) } else { Ok(span) }
}

#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Only what must be done before containerd and kubelet start
    #[arg(long)]
    pub early: bool,
    #[command(flatten)]
    pub node: NodeArgs,
}

#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A plan saved with `castoff plan --out`
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum LevelArg {
    /// What the files say
    Config,
    /// What runs
    Runtime,
    /// What CRI answers
    Cri,
    /// Where pods landed
    #[default]
    Node,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Config => Self::Config,
            LevelArg::Runtime => Self::Runtime,
            LevelArg::Cri => Self::Cri,
            LevelArg::Node => Self::Node,
        }
    }
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// How far to look; each level includes those before it
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    pub level: LevelArg,
    /// Run pods through the node's runtime even while kubelet runs, which may end them
    #[arg(long)]
    pub live: bool,
    /// Try pods with all checks, also through castoff's own runtime; at level `cri` all are tried through the node's anyway
    #[arg(long, conflicts_with = "quick")]
    pub full: bool,
    /// Try pods with the most important checks only
    #[arg(long)]
    pub quick: bool,
    /// The cgroup driver that is expected [default: systemd where it runs]
    #[arg(long, value_name = "DRIVER")]
    pub cgroup_driver: Option<CgroupDriver>,
    /// Try the runtime behind this socket, and nothing else: CRI-O, cri-dockerd
    #[arg(long, value_name = "ENDPOINT")]
    pub endpoint: Option<String>,
    /// Put this program in runc's place for the second half of the trial, instead of castoff's own runtime
    #[arg(long, value_name = "PROGRAM")]
    pub handler: Option<String>,
    /// Measure pods and containers as critest does
    #[arg(long)]
    pub bench: bool,
    /// Samples of each benchmark
    #[arg(long, requires = "bench", default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub samples: u32,
    /// Samples at the same time
    #[arg(long, requires = "bench", default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub parallel: u32,
    /// Write metrics here too, for the node exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Exit with 2 when the node is not as expected
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Put two measurements side by side: documents of `castoff verify --bench -o json`, or files of critest
    Compare(CompareArgs),
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The first
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The second
    #[arg(value_name = "B")]
    pub second: PathBuf,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run id, or the plan's id at its end [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    #[command(flatten)]
    pub node: NodeArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: RunFormat,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Do what a run has put off because the cluster's API server was away or refused, or the node was kept unproven
    #[arg(long)]
    pub cluster: bool,
}

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    pub run: RunArgs,
    /// Also restore files that somebody else changed since (kept in backups)
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub cluster: BackArgs,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub node: NodeArgs,
    /// Remove old runs first, as every new run does; none that may still be needed
    #[arg(long)]
    pub prune: bool,
    /// With --prune, leave so many runs [default: the profile's, else 50]
    #[arg(long, value_name = "RUNS", requires = "prune")]
    pub keep: Option<usize>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// One file of the node [default: the main file and its imports]
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    /// The version the files shall have
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u32).range(2..=4))]
    pub to: u32,
    /// Only show what would change
    #[arg(long)]
    pub check: bool,
    /// With --check, exit with 2 when something would change
    #[arg(long, requires = "check")]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub node: NodeArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Leave the temporary folder, to look around in it
    #[arg(long)]
    pub keep: bool,
}
