//! The command line of an OCI runtime: runc's, as containerd's shim and people use it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// An OCI runtime inside castoff, for verification. Takes runc's arguments.
#[derive(Debug, Clone, Parser)]
#[command(name = super::PROGRAM, version)]
pub struct OciArgs {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that stand before the command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the state of containers is kept
    #[arg(long = "root", value_name = "DIR", default_value = "/run/castoff/oci")]
    pub state: PathBuf,
    /// Write what happens to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Write every step to the log
    #[arg(long)]
    pub debug: bool,
    /// Let systemd make the cgroups; cgroupsPath is then SLICE:PREFIX:NAME
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Taken for runc's sake; castoff's runtime is always root's
    #[arg(long, value_name = "BOOL", hide = true)]
    pub rootless: Option<String>,
    /// Taken for runc's sake
    #[arg(long, value_name = "PATH", hide = true)]
    pub criu: Option<PathBuf>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One sentence a line.
    Text,
    /// One JSON object a line, as containerd's shim reads them.
    Json,
}

/// What can be asked of the runtime.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Create a container: everything but its own program
    Create(Create),
    /// Start the program of a created container
    Start(Id),
    /// Create and start a container, wait for its end, and delete it
    Run(Run),
    /// Tell the state of a container as JSON
    State(Id),
    /// Send a signal to a container
    Kill(Kill),
    /// Delete a container that has ended
    Delete(Delete),
    /// Run another process in a container
    Exec(Exec),
    /// Freeze a container's processes
    Pause(Id),
    /// Thaw a container's processes
    Resume(Id),
    /// Tell the processes of a container
    Ps(Ps),
    /// Change the limits of a container
    Update(Update),
    /// Tell the containers below --root
    List(List),
    /// Tell what this runtime can do, as JSON
    Features,
    /// Wait to be ended
    #[command(hide = true)]
    Hold,
    /// Write one of castoff's two images to a file
    Image(ImageArgs),
    /// Write a bundle with castoff's own workload, to try a runtime with
    Spec(SpecArgs),
}

/// A container.
#[derive(Debug, Clone, Args)]
pub struct Id {
    /// Its id
    pub id: String,
}

/// What `create`, `run` and `exec` share.
#[derive(Debug, Clone, Args)]
pub struct Wiring {
    /// Write the process's number to this file
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Send the terminal's master end over this socket
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// File descriptors to hand on, besides the first three
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: i32,
}

/// Arguments of `create`.
#[derive(Debug, Clone, Args)]
pub struct Create {
    /// Directory with config.json
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// Pid file, terminal, file descriptors.
    #[command(flatten)]
    pub wiring: Wiring,
    /// Do not pivot_root: for a root file system in memory
    #[arg(long)]
    pub no_pivot: bool,
    /// Taken for runc's sake: a session keyring is never made
    #[arg(long, hide = true)]
    pub no_new_keyring: bool,
    /// The container's id
    pub id: String,
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// As for `create`.
    #[command(flatten)]
    pub create: Create,
    /// Leave it running, and do not wait
    #[arg(long, short)]
    pub detach: bool,
    /// Do not delete it when it has ended
    #[arg(long)]
    pub keep: bool,
}

/// Arguments of `kill`.
#[derive(Debug, Clone, Args)]
pub struct Kill {
    /// All processes of the container
    #[arg(long, short)]
    pub all: bool,
    /// The container's id
    pub id: String,
    /// Name or number
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

/// Arguments of `delete`.
#[derive(Debug, Clone, Args)]
pub struct Delete {
    /// Kill what still runs; a container that is not there is deleted
    #[arg(long, short)]
    pub force: bool,
    /// The container's id
    pub id: String,
}

/// Arguments of `exec`.
#[derive(Debug, Clone, Args)]
pub struct Exec {
    /// Pid file, terminal, file descriptors.
    #[command(flatten)]
    pub wiring: Wiring,
    /// File with the process, as in an OCI specification
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["cwd", "env", "user"])]
    pub process: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long, short)]
    pub detach: bool,
    /// Directory to start in
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// NAME=VALUE, more than once
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// UID or UID:GID
    #[arg(long, short, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// The container's id
    pub id: String,
    /// Program and arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Arguments of `ps`.
#[derive(Debug, Clone, Args)]
pub struct Ps {
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// The container's id
    pub id: String,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Arguments of `update`.
#[derive(Debug, Clone, Args)]
pub struct Update {
    /// File with `linux.resources` of an OCI specification; `-` is standard input
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    pub resources: PathBuf,
    /// The container's id
    pub id: String,
}

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
pub struct List {
    /// How it is written
    #[arg(long, short, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// Arguments of `spec`.
#[derive(Debug, Clone, Args)]
pub struct SpecArgs {
    /// Directory to make; what is in it already stays
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// The id the container will have: its cgroup is named after it
    pub id: String,
    /// What the workload is to do: `uname`, `exit 7`, `cat FILE`, `alloc MEGABYTES`, `pause`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, default_value = "pause")]
    pub args: Vec<String>,
}

/// Arguments of `image`.
#[derive(Debug, Clone, Args)]
pub struct ImageArgs {
    /// The file: an OCI layout that `ctr images import`, `docker load` and `podman load` take
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Which
    #[arg(value_enum)]
    pub image: WhichImage,
}

/// An image that castoff carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhichImage {
    /// castoff.invalid/pause:1
    Pause,
    /// castoff.invalid/probe:1
    Probe,
}
