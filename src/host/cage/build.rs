//! The mounts of a cage. Everything here runs in the one thread whose namespaces it makes.

use super::{Cage, MARK, RUNTIME};
use crate::formats::mounts::{Mount, mountinfo};
use anyhow::{Context as _, bail};
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::{prctl, signal::Signal, stat::Mode},
    unistd::{chdir, chroot, gettid, pivot_root},
};
use std::{
    fs,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{PermissionsExt as _, symlink},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// File systems that answer at once, and so may be looked at: a mount of a network that is gone would hang.
const LOCAL: [&str; 10] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "squashfs", "tmpfs"];
/// Mounts below these are of pods and containers, many, and of no interest to a daemon that starts.
const SKIPPED: [&str; 5] =
    ["/var/lib/docker/", "/var/lib/kubelet/", "/var/lib/containerd/", "/var/lib/containers/", "/run/"];
/// Made anew in the cage.
const OWN: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];
/// File systems of the kernel that are written to run a container.
const WRITTEN_FOR_PODS: [&str; 3] = ["cgroup", "cgroup2", "securityfs"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the namespaces and mounts, and moves this thread into them. Returns the real path of the socket.
pub(super) fn build(cage: &Cage) -> anyhow::Result<String> {
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    unshare(own).context("no namespaces can be made here")?;
    step(mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE), "cut the mounts off")?;
    // Addresses of the node are not there in the new network; binding to them must still work.
    for family in ["ipv4", "ipv6"] {
        let _ = fs::write(format!("/proc/sys/net/{family}/ip_nonlocal_bind"), "1");
    }
    let mounts = mounts_below(&cage.root)?;
    // Opened before anything is covered: the tree may be where the new root is put.
    let tree = directory(&cage.root)?;
    let base = ["/tmp", "/mnt", "/var/tmp", "/run"].into_iter().find(|dir| Path::new(dir).is_dir());
    let base = Path::new(base.context("there is no directory to put the cage on")?);
    memory(base)?;
    for entry in fs::read_dir(at(&tree)).context("failed to list the tree")? {
        let entry = entry?;
        let name = entry.file_name();
        if OWN.iter().any(|own| name.to_str() == Some(own)) {
            continue;
        }
        bring(&entry.path(), &base.join(&name))?;
    }
    kernel(base, cage.pods)?;
    if cage.pods {
        for_pods(&tree, base)?;
    }
    for inside in mounts.iter().map(|inside| inside.trim_start_matches('/')) {
        // Best effort: what it holds is hardly ever needed.
        let _ = bind(&at(&tree).join(inside), &base.join(inside));
    }
    if cage.pods {
        // Whoever enters a container enters its mount namespace and with that the namespace's own root, which a chroot
        // does not change.
        step(chdir(base), "enter the new root")?;
        step(pivot_root(".", "."), "enter the new root")?;
        step(umount2(".", MntFlags::MNT_DETACH), "leave the old root")?;
    } else {
        step(chroot(base), "enter the new root")?;
    }
    step(chdir("/"), "enter the new root")?;
    furnish(cage)?;
    if cage.pods {
        // As systemd has it, and as CRI's mount propagation needs it; nobody outside is in this peer group.
        step(mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE), "share the mounts among pods")?;
    }
    Ok(real(Path::new(&cage.socket)).to_string_lossy().into_owned())
}

/// What pods need besides: systemd, which makes their cgroups, and castoff as a runtime.
fn for_pods(tree: &OwnedFd, base: &Path) -> anyhow::Result<()> {
    for dir in ["dbus", "systemd"] {
        let there = at(tree).join("run").join(dir);
        if there.is_dir() {
            let here = base.join("run").join(dir);
            fs::create_dir_all(&here).with_context(|| format!("failed to make {}", here.display()))?;
            plain_bind(&there, &here, MsFlags::empty())?;
        }
    }
    let runtime = base.join(RUNTIME.trim_start_matches('/'));
    let what = || format!("failed to make {}", runtime.display());
    fs::write(&runtime, "").with_context(what)?;
    // By its name: its open file belongs to the mounts outside. A copy where the name leads nowhere any more.
    let bound = fs::read_link("/proc/self/exe").ok().filter(|exe| exe.is_file());
    if bound.is_some_and(|exe| plain_bind(&exe, &runtime, MsFlags::empty()).is_ok()) {
        return Ok(());
    }
    fs::copy("/proc/self/exe", &runtime).with_context(what)?;
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).with_context(what)
}

/// What the program needs besides the node's files: empty directories, and the files that are tried.
fn furnish(cage: &Cage) -> anyhow::Result<()> {
    let mut empty: Vec<PathBuf> = cage.empty.iter().map(|dir| real(Path::new(dir))).collect();
    let run = real(Path::new("/var/run"));
    if run == Path::new("/var/run") && !run.exists() {
        make(Path::new("/var"))?;
        open_up(Path::new("/var"))?;
        symlink("/run", &run).context("failed to make /var/run of the cage")?;
    } else if run != Path::new("/run") {
        empty.push(run);
    }
    empty.sort();
    empty.dedup();
    let dirs = cage.dirs.iter().map(|dir| real(Path::new(dir)));
    // First what must be made, which may open up a parent; then what is covered.
    for dir in dirs.chain(empty.iter().cloned()) {
        make(&dir)?;
    }
    let mut covered: Option<&Path> = None;
    for dir in &empty {
        if covered.is_none_or(|outer| !dir.starts_with(outer)) {
            memory(dir)?;
            covered = Some(dir);
        }
    }
    for (index, (path, content)) in cage.files.iter().enumerate() {
        put(&real(Path::new(path)), content, index)?;
    }
    Ok(())
}

/// Puts a file where it belongs, over the one that is there.
fn put(path: &Path, content: &str, index: usize) -> anyhow::Result<()> {
    let what = || format!("failed to put {} into the cage", path.display());
    if path.exists() {
        let copy = PathBuf::from(format!("/.castoff-{index}"));
        fs::write(&copy, content).with_context(what)?;
        return bind(&copy, path).with_context(what);
    }
    if let Some(parent) = path.parent() {
        make(parent)?;
        open_up(parent)?;
    }
    fs::write(path, content).with_context(what)
}

/// `/proc`, `/sys` and `/dev` of the node, and an empty `/run` and `/tmp`. Where pods run, what the kernel has for them
/// can be written: cgroups, parameters (those of the network are the cage's own), security modules.
fn kernel(base: &Path, pods: bool) -> anyhow::Result<()> {
    for name in OWN {
        fs::create_dir(base.join(name)).with_context(|| format!("failed to make /{name} of the cage"))?;
    }
    // systemd's presence is told by this directory.
    fs::create_dir_all(base.join("run/systemd/system"))?;
    plain_bind(Path::new("/proc"), &base.join("proc"), MsFlags::empty())?;
    if !pods {
        bind(Path::new("/proc/sys"), &base.join("proc/sys"))?;
    }
    plain_bind(Path::new("/dev"), &base.join("dev"), MsFlags::empty())?;
    plain_bind(Path::new("/sys"), &base.join("sys"), MsFlags::MS_REC)?;
    // A recursive bind cannot be made read-only at once before Linux 5.12.
    let sys = base.join("sys");
    let open = |mount: &&Mount| !pods || !WRITTEN_FOR_PODS.contains(&mount.fs_type.as_str());
    let below = |mount: &&Mount| Path::new(&mount.point).starts_with(&sys);
    for mount in mount_points()?.iter().filter(below).filter(open) {
        let _ = read_only(Path::new(&mount.point));
    }
    Ok(())
}

/// An entry of the tree in the cage: the same link, or the same thing read-only.
fn bring(source: &Path, target: &Path) -> anyhow::Result<()> {
    let kind = fs::symlink_metadata(source).with_context(|| format!("failed to look at {}", source.display()))?;
    if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)?;
    } else if kind.is_dir() {
        fs::create_dir(target)?;
        bind(source, target)?;
    } else {
        fs::write(target, "")?;
        bind(source, target)?;
    }
    Ok(())
}

/// Makes a directory with its parents.
fn make(dir: &Path) -> anyhow::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let there = dir.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    open_up(there)?;
    fs::create_dir_all(dir).with_context(|| format!("failed to make {} in the cage", dir.display()))
}

/// Makes a directory of the tree writable: memory takes its place, and its entries are brought back one by one.
fn open_up(dir: &Path) -> anyhow::Result<()> {
    let probe = dir.join(".castoff");
    match fs::create_dir(&probe) {
        Ok(()) => return fs::remove_dir(&probe).context("failed to clean up"),
        Err(error) if error.raw_os_error() == Some(Errno::EROFS as i32) => {}
        Err(error) => return Err(error).with_context(|| format!("failed to use {}", dir.display())),
    }
    let points = mount_points()?.into_iter().map(|mount| PathBuf::from(mount.point));
    let below: Vec<PathBuf> = points.filter(|point| point.starts_with(dir) && point != dir).collect();
    let before = directory(dir)?;
    memory(dir)?;
    for entry in fs::read_dir(at(&before)).with_context(|| format!("failed to list {}", dir.display()))? {
        let entry = entry?;
        bring(&entry.path(), &dir.join(entry.file_name()))?;
    }
    for target in below {
        let Ok(inside) = target.strip_prefix(dir) else { continue };
        let _ = bind(&at(&before).join(inside), &target);
    }
    Ok(())
}

/// The path without links: whatever part of it exists, resolved inside the cage.
fn real(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(found), Ok(rest)) = (fs::canonicalize(above), path.strip_prefix(above)) {
            return if rest.as_os_str().is_empty() { found } else { found.join(rest) };
        }
    }
    path.to_owned()
}

const NONE: Option<&str> = None;

fn memory(target: &Path) -> anyhow::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let made = mount(Some("castoff"), target, Some("tmpfs"), flags, Some("mode=0755,size=256m"));
    step(made, &format!("put memory on {}", target.display()))
}

fn plain_bind(source: &Path, target: &Path, more: MsFlags) -> anyhow::Result<()> {
    let bound = mount(Some(source), target, NONE, MsFlags::MS_BIND | more, NONE);
    step(bound, &format!("bring {} into the cage", target.display()))
}

fn bind(source: &Path, target: &Path) -> anyhow::Result<()> {
    plain_bind(source, target, MsFlags::empty())?;
    read_only(target)
}

/// Read-only for this mount alone: without `MS_BIND` the node's file system itself would be.
fn read_only(target: &Path) -> anyhow::Result<()> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    step(mount(NONE, target, NONE, flags, NONE), &format!("make {} read-only", target.display()))
}

fn step(done: nix::Result<()>, what: &str) -> anyhow::Result<()> {
    done.with_context(|| format!("failed to {what}"))
}

fn directory(path: &Path) -> anyhow::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).with_context(|| format!("failed to open {}", path.display()))
}

/// An open directory as a path that nothing can cover.
fn at(dir: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

fn mount_points() -> anyhow::Result<Vec<Mount>> {
    // Of this thread: the process's other threads are still outside.
    let text = fs::read_to_string(format!("/proc/self/task/{}/mountinfo", gettid()));
    Ok(mountinfo(&text.context("failed to read the mounts")?))
}

/// Where local file systems are mounted in the tree, as paths in it.
fn mounts_below(root: &Path) -> anyhow::Result<Vec<String>> {
    let inside = |mount: &Mount| Some(format!("/{}", Path::new(&mount.point).strip_prefix(root).ok()?.display()));
    let local = mount_points()?.into_iter().filter(|mount| LOCAL.contains(&mount.fs_type.as_str()));
    let wanted = |path: &String| {
        let top = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        !top.is_empty() && !OWN.contains(&top) && !SKIPPED.iter().any(|dir| path.starts_with(dir))
    };
    Ok(local.filter_map(|mount| inside(&mount)).filter(wanted).collect())
}

/// Starts the program in this thread's namespaces.
pub(super) fn spawn(cage: &Cage) -> anyhow::Result<Child> {
    if !Path::new(&cage.program).is_file() {
        bail!("{} is not there", cage.program);
    }
    let mut command = Command::new(&cage.program);
    command.args(&cage.args).env_clear().env("PATH", PATH).env("LANG", "C").current_dir("/");
    if cage.pods {
        command.env(MARK, std::process::id().to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: the closure runs between fork and exec and makes one system call, which is async-signal-safe.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Some(Signal::SIGKILL)).map_err(std::io::Error::from));
    }
    command.spawn().with_context(|| format!("{} cannot be started here", cage.program))
}
