//! Carrying images into a root that the running containerd does not use yet.
//!
//! Restarting containerd with the new root would come too late: by then Docker, which has the images, is stopped. And
//! what is imported into the running one would be left in the old root. So a second containerd of the node's own
//! program serves the new root on a socket of its own while the images come in, without CRI, NRI or anything else that
//! could be mistaken for the node's runtime, and ends before anything on the node stops.

use crate::host::{Attributes, Expect, Host};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// A transient unit: systemd ends it when castoff no longer can.
const UNIT: &str = "castoff-import.service";
/// Its runtime directory: systemd takes it away, with all that is in it, when the unit ends.
const DIR: &str = "/run/castoff-import";

/// The configuration it runs with. Every containerd since 1.3 reads schema 2.
fn config(root: &str) -> String {
    let disabled = [
        "io.containerd.cri.v1.images",
        "io.containerd.cri.v1.runtime",
        "io.containerd.grpc.v1.cri",
        "io.containerd.internal.v1.opt",
        "io.containerd.internal.v1.restart",
        "io.containerd.monitor.container.v1.restart",
        "io.containerd.nri.v1.nri",
        "io.containerd.podsandbox.controller.v1.podsandbox",
    ];
    let disabled: Vec<String> = disabled.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "version = 2\nroot = {root:?}\nstate = \"{DIR}/state\"\ndisabled_plugins = [{}]\n\n[grpc]\naddress = \"{DIR}/containerd.sock\"\n",
        disabled.join(", ")
    )
}

/// Starts a second containerd on `root`, hands its socket to `act`, and ends it.
///
/// # Errors
/// When it does not start, and whatever `act` fails with.
pub fn with_containerd<T>(
    host: &Host,
    root: &str,
    timeout: Duration,
    start: Duration,
    act: impl FnOnce(&str) -> Result<T>,
) -> Result<T> {
    // One that an earlier run of castoff left behind would hold the root's database.
    clear(host, start);
    let path = format!("{DIR}/config.toml");
    host.root.make_dirs(DIR, 0o700)?;
    if host.root.exists(&path) {
        host.root.remove_file(&path)?;
    }
    host.root.write_atomic(&path, config(root).as_bytes(), Expect::Absent, Attributes::Keep { mode: 0o600 })?;
    let program = host.procs.find("containerd").context("there is no program `containerd`")?;
    let limit = format!("--property=RuntimeMaxSec={}", timeout.as_secs().saturating_add(60));
    let unit = format!("--unit={UNIT}");
    let words = [
        "--quiet",
        &unit,
        "--property=Type=notify",
        "--property=Delegate=yes",
        "--property=RuntimeDirectory=castoff-import",
        "--property=RuntimeDirectoryMode=0700",
        &limit,
        &program,
        "--config",
        &path,
    ];
    let started = host.procs.run("systemd-run", &words, start).and_then(|ran| ran.ok("systemd-run"));
    let done = started
        .with_context(|| format!("cannot start a second containerd with the root {root}"))
        .and_then(|_| act(&format!("{DIR}/containerd.sock")));
    clear(host, start);
    done
}

/// Ends it; that it was not there is no error.
fn clear(host: &Host, timeout: Duration) {
    if host.units.state(UNIT).is_ok_and(|state| state.is_active()) {
        let _ = host.units.stop(UNIT, timeout);
    }
    let _ = host.units.reset_failed(UNIT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{
        Containerd, Cri, Doors, FakeClock, FakeEngine, FakeKernel, FakeProcs, FakeUnits, Faults, Parts, Root,
    };
    use anyhow::bail;

    #[derive(Debug)]
    struct Closed;

    impl Doors for Closed {
        fn cri(&self, _: &str) -> Result<Box<dyn Cri>> {
            bail!("nobody is there")
        }

        fn containerd(&self, _: &str) -> Result<Box<dyn Containerd>> {
            bail!("nobody is there")
        }
    }

    #[test]
    fn the_second_one_serves_nothing_but_images() {
        let text = config("/data/containerd");
        let value: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(value["root"].as_str(), Some("/data/containerd"));
        assert_eq!(value["grpc"]["address"].as_str(), Some("/run/castoff-import/containerd.sock"));
        assert!(value["disabled_plugins"].as_array().unwrap().len() > 5);
    }

    #[test]
    fn it_starts_is_fed_and_ends() {
        let dir = tempfile::tempdir().unwrap();
        let units = FakeUnits::new(Faults::none()).unit(UNIT, true);
        let procs = FakeProcs::new(Faults::none())
            .answer("containerd", 0, "", "")
            .answer("systemd-run", 0, "", "")
            .answer("ctr", 0, "docker.io/library/a:1\n", "");
        let host = Host::from_parts(Parts {
            root: Root::open(dir.path(), Faults::none()).unwrap(),
            units: Some(Box::new(units.clone())),
            engine: Box::new(FakeEngine::new("unix:///run/docker.sock", Faults::none())),
            procs: Box::new(procs.clone()),
            kernel: Box::new(FakeKernel::new("n")),
            clock: Box::new(FakeClock::new()),
            doors: Box::new(Closed),
            live: true,
        });
        let second = Duration::from_secs(1);
        // Whether the fake engine has the image does not matter here: the second containerd ends either way.
        let images = ["a:1".to_owned()];
        let _ = with_containerd(&host, "/data/containerd", second, second, |socket| {
            super::super::stream(&host, socket, &images, None, second, &mut |_| ())
        });
        let calls = procs.calls();
        assert!(calls[0].starts_with("systemd-run --quiet --unit=castoff-import.service "), "{calls:?}");
        assert!(calls[0].ends_with("/usr/bin/containerd --config /run/castoff-import/config.toml"), "{calls:?}");
        let to_it = |call: &String| call.starts_with("ctr --address /run/castoff-import/containerd.sock ");
        assert!(calls.len() > 1 && calls.iter().skip(1).all(to_it), "{calls:?}");
        assert!(!units.snapshot()[UNIT].is_active(), "it is stopped");
    }
}
