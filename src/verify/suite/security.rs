//! What a container may and may not.

use super::{Bed, Seen, bed::Status};
use crate::host::{ContainerSpec, CriApi, Seccomp, Security};
use crate::verify::view;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
/// Bits of capabilities (`linux/capability.h`).
const CHOWN: u64 = 1;
const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;
/// The image has its user `probe` in this group.
const IMAGE_GROUP: &str = "1234";
/// A profile that allows everything but making directories.
const PROFILE: &[u8] = br#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_AARCH64"],"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;

fn with(bed: &Bed<'_>, name: &str, security: Security) -> ContainerSpec {
    ContainerSpec { security, ..bed.container(name) }
}

fn seen(bed: &Bed<'_>, name: &str, security: Security) -> Result<Status> {
    bed.status_of(with(bed, name, security)).with_context(|| format!("as {name}"))
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// Users and groups, by number and by name.
pub(super) fn user(bed: &Bed<'_>) -> Result<String> {
    // Not the group that the image gives this user.
    let plain = Security { user: Some(1000), group: Some(4321), ..Security::default() };
    let status = seen(bed, "user", plain.clone())?;
    status.expect("Uid", "1000 1000 1000 1000", "its user is another")?;
    status.expect("Gid", "4321 4321 4321 4321", "its group is another")?;
    let named = seen(bed, "user-name", Security { user_name: "probe".to_owned(), ..Security::default() })?;
    named.expect("Uid", "1000 1000 1000 1000", "a user named as in the image is another")?;
    let headless = with(bed, "group-alone", Security { group: Some(1000), ..Security::default() });
    ensure!(bed.common()?.create(&headless).is_err(), "a group without a user is accepted");
    Ok("users and groups, by number and by name".to_owned())
}

/// More groups: those that are given and, unless it is said otherwise, those that the image has the user in.
pub(super) fn groups(bed: &Bed<'_>) -> Result<String> {
    let given = Security { user: Some(1000), groups: vec![5678, 6789], ..Security::default() };
    let of = |name: &str, security: Security| -> Result<Vec<String>> {
        let status = seen(bed, name, security)?;
        Ok(status.get("Groups").split_ascii_whitespace().map(str::to_owned).collect())
    };
    let has = |found: &[String], group: &str| found.iter().any(|other| other == group);
    let merged = of("groups", given.clone())?;
    ensure!(has(&merged, "5678") && has(&merged, "6789"), "it is not in the groups it was given: {}", merged.join(" "));
    ensure!(has(&merged, IMAGE_GROUP), "it is not in the group the image has its user in: {}", merged.join(" "));
    if !bed.cri.status(false)?.strict_groups {
        return Ok("those given and the image's; to leave the image's out is not offered".to_owned());
    }
    let strict = of("strict-groups", Security { strict_groups: true, ..given })?;
    ensure!(has(&strict, "5678") && has(&strict, "6789"), "it is not in the groups it was given: {}", strict.join(" "));
    ensure!(!has(&strict, IMAGE_GROUP), "it is in a group of the image's that was to be left out");
    Ok("those given, with the image's and without".to_owned())
}

/// A profile that the kernel does not have: a container must not run without the one it asked for.
pub(super) fn apparmor(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let name = || "castoff-not-loaded".to_owned();
    let by_field = Security { apparmor: name(), ..Security::default() };
    let by_word = Security { apparmor_word: name(), ..Security::default() };
    let by_both = Security { apparmor: name(), apparmor_word: name(), ..Security::default() };
    // `v1alpha2` ended before the field came.
    let ways = [("word", by_word), ("both", by_both), ("field", by_field)];
    let known = if bed.cri.api()? == CriApi::V1 { 3 } else { 2 };
    for (what, security) in ways.into_iter().take(known) {
        let started = pod.start(&with(bed, &format!("apparmor-{what}"), security));
        ensure!(started.is_err(), "a container with an AppArmor profile that is not loaded runs ({what})");
    }
    Ok("a profile that is not loaded is refused".to_owned())
}

/// Rights beyond the usual ones, and without them.
pub(super) fn capabilities(bed: &Bed<'_>) -> Result<String> {
    let held = |name: &str, add: &[&str], drop: &[&str]| -> Result<u64> {
        let security = Security { add: words(add), drop: words(drop), ..Security::default() };
        seen(bed, name, security)?.capabilities("CapEff")
    };
    let usual = held("usual", &[], &[])?;
    ensure!(usual & CHOWN != 0 && usual & (SYS_ADMIN | NET_ADMIN) == 0, "the usual capabilities are {usual:x}");
    ensure!(held("more", &["NET_ADMIN"], &[])? & NET_ADMIN != 0, "NET_ADMIN was added and is not there");
    ensure!(held("less", &[], &["CHOWN"])? & CHOWN == 0, "CHOWN was dropped and is there");
    ensure!(held("none", &[], &["ALL"])? == 0, "all were dropped and some are there");
    let bounds = seen(bed, "bounds", Security { drop: words(&["ALL"]), ..Security::default() })?;
    ensure!(bounds.capabilities("CapBnd")? == 0, "all were dropped and some can be had again");
    ensure!(held("all", &["ALL"], &[])? & SYS_ADMIN != 0, "all were added and SYS_ADMIN is not there");
    Ok(format!("usually {usual:x}; added and dropped as asked"))
}

/// Everything, or not.
pub(super) fn privileged(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let plain = pod.start(&with(bed, "unprivileged", Security::default()))?;
    // EACCES where a security module says no before the kernel asks for the capability.
    let refused = plain.exec(&["tmpfs", "/tmp"])?.code;
    ensure!([EPERM, EACCES].contains(&refused), "an ordinary container may mount (exit code {refused})");
    let all = pod.start(&with(bed, "privileged", Security { privileged: true, ..Security::default() }))?;
    all.expect(&["tmpfs", "/tmp"], 0, "a privileged container may not mount")?;
    Ok("only a privileged container may mount".to_owned())
}

/// Rights cannot be gained.
pub(super) fn no_new_privs(bed: &Bed<'_>) -> Result<String> {
    for (set, value) in [(true, "1"), (false, "0")] {
        let security = Security { no_new_privs: set, ..Security::default() };
        seen(bed, &format!("no-new-privs-{set}"), security)?.expect("NoNewPrivs", value, "not as asked")?;
    }
    Ok("as asked, on and off".to_owned())
}

/// A root file system that may not be written.
pub(super) fn read_only_root(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let closed = pod.start(&with(bed, "read-only", Security { read_only_root: true, ..Security::default() }))?;
    closed.expect(&["write", "/x", "y"], EROFS, "a read-only root can be written")?;
    let open = pod.start(&with(bed, "read-write", Security::default()))?;
    open.expect(&["write", "/x", "y"], 0, "the root cannot be written")?;
    Ok("read-only when asked".to_owned())
}

/// Profiles bind a container and the commands in it.
pub(super) fn seccomp(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let start = |name: &str, seccomp| pod.start(&with(bed, name, Security { seccomp, ..Security::default() }));
    // A node that is itself a container may be under a filter, and then so is everything on it.
    let around = bed.host.root.text(&format!("/proc/{}/status", bed.place.node_pid))?;
    let around = around.map(Status::of);
    let least = around.as_ref().map(|status| status.get("Seccomp")).filter(|mode| !mode.is_empty()).unwrap_or("0");
    // What none asked for means is the runtime's to say: unconfined, unless containerd was told otherwise.
    let config = view::config(&bed.cri.status(true)?);
    let unset = config.get("unsetSeccompProfile").and_then(Value::as_str).unwrap_or_default();
    for (name, profile, filtered) in [
        ("default", Seccomp::RuntimeDefault, true),
        ("unconfined", Seccomp::Unconfined, false),
        ("unset", Seccomp::Unset, !["", "unconfined"].contains(&unset)),
    ] {
        let container = start(&format!("seccomp-{name}"), profile)?;
        for file in ["/proc/1/status", "/proc/self/status"] {
            let status = Status::of(container.ask(&["cat", file])?);
            // A daemon may be under no filter where the node's first process is under one.
            if filtered || status.get("Seccomp") != "0" {
                let mode = if filtered { "2" } else { least };
                status.expect("Seccomp", mode, &format!("{file} of a container with the {name} profile"))?;
            }
        }
    }
    let file = bed.put("profile.json", Some(PROFILE))?;
    let container = start("seccomp-file", Seccomp::Localhost(file))?;
    let status = Status::of(container.ask(&["cat", "/proc/1/status"])?);
    status.expect("Seccomp", "2", "the first process of a container with a profile from a file")?;
    container.expect(&["mkdir", "/tmp/x"], EPERM, "a forbidden system call did not fail")?;
    container.expect(&["write", "/tmp/y", "z"], 0, "an allowed system call failed")?;
    let seccomp = Seccomp::Localhost(format!("{}/profile.json", bed.place.dir));
    let all =
        pod.start(&with(bed, "seccomp-privileged", Security { privileged: true, seccomp, ..Security::default() }))?;
    all.expect(&["mkdir", "/tmp/x"], 0, "a profile binds a privileged container")?;
    if pod
        .create(&with(
            bed,
            "seccomp-missing",
            Security {
                seccomp: Seccomp::Localhost(format!("{}/not-there.json", bed.place.dir)),
                ..Security::default()
            },
        ))
        .is_ok()
    {
        bail!("a profile that is not there is accepted");
    }
    Ok("the runtime's profile, a file, and none, for a container and for commands in it".to_owned())
}

/// Hidden and read-only paths of `/proc`.
pub(super) fn masked_paths(bed: &Bed<'_>) -> Result<String> {
    // Every kernel has it and everybody may read it; what is usually hidden (/proc/kcore) not every kernel has.
    let hidden = "/proc/version";
    let security = Security { masked: words(&[hidden]), read_only: words(&["/proc/sys"]), ..Security::default() };
    let container = bed.common()?.start(&with(bed, "masked", security))?;
    let done = container.exec(&["cat", hidden])?;
    ensure!(done.code == 0, "a masked file cannot be opened: it is not covered (exit code {})", done.code);
    if !done.stdout.is_empty() {
        return Err(Seen::new("a masked file can be read", hidden, format!("{} bytes", done.stdout.len())).into());
    }
    let write = ["write", "/proc/sys/kernel/shm_rmid_forced", "1"];
    container.expect(&write, EROFS, "a read-only path can be written")?;
    Ok("hidden and read-only paths are".to_owned())
}
