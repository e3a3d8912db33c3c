//! `castoff demo`: the whole pipeline on a sample node, embedded in the binary, in a temporary folder, without root.

use super::{args::DemoArgs, exit::Exit};
use crate::{
    apply::{self, Options, Store},
    host::{Attributes, Expect, Faults, Host, user_files::TempDir},
    inspect,
    model::{Assumptions, Desired, Facts, Goal, Level, Plan, Profile},
    plan, report,
    ui::{Printer, Progress},
    verify,
};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeMap, path::Path, sync::atomic::AtomicBool};

/// The sample node: path and content.
const FILES: &[(&str, &str)] = &[
    ("/etc/hostname", include_str!("../../templates/demo/hostname")),
    ("/etc/os-release", include_str!("../../templates/demo/os-release")),
    ("/etc/containerd/config.toml", include_str!("../../templates/demo/containerd-config.toml")),
    ("/etc/docker/daemon.json", include_str!("../../templates/demo/daemon.json")),
    ("/var/lib/kubelet/config.yaml", include_str!("../../templates/demo/kubelet-config.yaml")),
    ("/var/lib/kubelet/kubeadm-flags.env", include_str!("../../templates/demo/kubeadm-flags.env")),
    ("/var/lib/dpkg/status", include_str!("../../templates/demo/dpkg-status")),
    ("/etc/kubernetes/manifests/web.yaml", include_str!("../../templates/demo/web.yaml")),
    ("/etc/cni/net.d/10-bridge.conflist", include_str!("../../templates/demo/10-bridge.conflist")),
    ("/usr/lib/systemd/system/docker.service", include_str!("../../templates/demo/docker.service")),
    ("/usr/lib/systemd/system/docker.socket", include_str!("../../templates/demo/docker.socket")),
    ("/usr/lib/systemd/system/containerd.service", include_str!("../../templates/demo/containerd.service")),
    ("/usr/lib/systemd/system/kubelet.service", include_str!("../../templates/demo/kubelet.service")),
    ("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", include_str!("../../templates/demo/10-kubeadm.conf")),
    ("/opt/cni/bin/bridge", ""),
];

/// Its links: path and target.
const LINKS: &[(&str, &str)] = &[
    ("/etc/systemd/system/multi-user.target.wants/docker.service", "/lib/systemd/system/docker.service"),
    ("/etc/systemd/system/sockets.target.wants/docker.socket", "/lib/systemd/system/docker.socket"),
    ("/etc/systemd/system/multi-user.target.wants/kubelet.service", "/lib/systemd/system/kubelet.service"),
    ("/lib", "usr/lib"),
];

/// Shows the pipeline.
pub fn run(args: &DemoArgs, printer: Printer) -> Result<Exit> {
    let dir = TempDir::new("castoff-demo")?;
    let root = dir.path().to_owned();
    printer.data(&format!("A sample node is laid out in {}. Nothing else is touched.\n", root.display()));
    let outcome = pipeline(&root, printer);
    if args.keep {
        printer.data(&format!("\nLeft for you in {}; try castoff inspect --root there.\n", dir.keep().display()));
    }
    outcome
}

fn pipeline(root: &Path, printer: Printer) -> Result<Exit> {
    let host = Host::open(root, &Faults::none())?;
    lay_out(&host)?;
    let before = snapshot(&host)?;
    let desired = Desired::resolve(Goal::Containerd, &Profile::default(), &[]).map_err(anyhow::Error::msg)?;
    let look = printer.look();

    say(printer, "castoff inspect", "what is there, each value with its origin");
    let facts = facts(&host, &desired)?;
    printer.data(&report::facts(&facts, look));

    say(printer, "castoff plan", "what would be done; nothing is written");
    let plan = plan::plan(&facts, &desired, plan::Options::default());
    printer.data(&report::plan(&plan, look, true));
    ensure!(snapshot(&host)? == before, "planning changed the tree");

    say(printer, "castoff migrate --yes", "done as one transaction");
    let run = apply_plan(&host, &plan, printer)?;
    printer.data(&report::run_report(&run, look));

    say(printer, "castoff verify --level config", "what the files say now");
    let verification = verify::run(&host, &verify::Options::gate(Level::Config), &desired, &AtomicBool::new(false))?;
    printer.data(&report::verification(&verification, look));
    ensure!(verification.passed(), "the sample node is not as expected after the migration");

    say(printer, "castoff migrate --yes", "a second time");
    let again = plan::plan(&self::facts(&host, &desired)?, &desired, plan::Options::default());
    ensure!(again.is_empty(), "a second run found something to do:\n{}", report::plan(&again, look, true));
    printer.data(&format!("{} already is as wanted. No changes.\n", again.node));

    say(printer, "castoff rollback", "and everything back");
    let interrupt = AtomicBool::new(false);
    let options = Options::new(&interrupt);
    let back = apply::rollback(&host, None, &options, &mut Progress::new(printer, &*host.clock))?;
    printer.data(&format!("{}\n", report::outcome_line(&back)));
    ensure!(snapshot(&host)? == before, "the rollback did not bring the old tree back");
    printer.data("Every file is as it was, byte for byte.\n");

    say(printer, "castoff history", "what happened");
    printer.data(&report::history(&Store::new(&host).history()?, look));
    printer.data("\nOn a node, start with: sudo castoff inspect\n");
    Ok(Exit::OK)
}

fn facts(host: &Host, desired: &Desired) -> Result<Facts> {
    let mut assumptions = Assumptions::default();
    assumptions.set("cgroup.mode=unified").map_err(anyhow::Error::msg)?;
    Ok(inspect::inspect(host, &assumptions, &desired.endpoint))
}

fn apply_plan(host: &Host, plan: &Plan, printer: Printer) -> Result<crate::model::RunReport> {
    let interrupt = AtomicBool::new(false);
    let options = Options { commit: true, ..Options::new(&interrupt) };
    apply::apply(host, plan, &options, &mut Progress::new(printer, &*host.clock)).context("the sample migration failed")
}

fn say(printer: Printer, command: &str, what: &str) {
    printer.data(&format!("\n$ {}    # {what}\n", report::command(command)));
}

fn lay_out(host: &Host) -> Result<()> {
    for (path, target) in LINKS.iter().rev() {
        host.root.make_dirs(parent(path), 0o755)?;
        host.root.make_link(path, target)?;
    }
    for (path, content) in FILES {
        host.root.make_dirs(parent(path), 0o755)?;
        host.root.write_atomic(path, content.as_bytes(), Expect::Absent, Attributes::Keep { mode: 0o644 })?;
    }
    Ok(())
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir })
}

/// Everything the demo looks after: content and links below `/etc` and `/var/lib/kubelet`.
fn snapshot(host: &Host) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let mut dirs = vec!["/etc".to_owned(), "/var/lib/kubelet".to_owned()];
    while let Some(dir) = dirs.pop() {
        for (name, kind) in host.root.list(&dir)? {
            let path = format!("{dir}/{name}");
            match kind {
                crate::host::EntryKind::Dir => {
                    all.insert(path.clone(), "directory".to_owned());
                    dirs.push(path);
                }
                crate::host::EntryKind::Link => {
                    let target = host.root.link(&path).unwrap_or_default();
                    all.insert(path, format!("-> {target}"));
                }
                _ => {
                    let text = host.root.text(&path)?.unwrap_or_default();
                    all.insert(path, text);
                }
            }
        }
    }
    Ok(all)
}
