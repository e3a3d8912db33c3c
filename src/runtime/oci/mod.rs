//! `castoff oci`: the commands of an OCI runtime, as runc has them, so that containerd's shim can use castoff in
//! runc's place (`BinaryName`).

mod args;
mod cgroup;
mod features;
mod log;
mod payload;
mod seal;
mod seccomp;
mod spec;
mod store;
mod systemd;
mod verbs;

pub use args::OciArgs;

/// The name under which castoff is an OCI runtime and nothing else: containerd's shim starts `BinaryName` with runc's
/// arguments, which are not castoff's.
pub const PROGRAM: &str = "castoff-oci";

/// What libcontainer's process ends with when it cannot become the container's program.
const NOT_STARTED: u8 = 255;

/// Whether this is what the program was started as.
pub fn is_name(arg0: &str) -> bool {
    arg0.rsplit('/').next() == Some(PROGRAM)
}

/// Does what one command of the runtime asks; gives the exit code. An error is told on standard error and in the log;
/// the code of `run` and of an attached `exec` is the process's own.
pub fn main(args: &OciArgs) -> u8 {
    let log = log::start(&args.global);
    match verbs::run(args) {
        Ok(code) => {
            if code == NOT_STARTED {
                log.afterthought();
            }
            code
        }
        Err(error) => {
            log.fatal(&format!("{error:#}"));
            1
        }
    }
}
