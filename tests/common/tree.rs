//! File trees: laid out, copied, remembered and compared.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};
use tempfile::TempDir;

/// What castoff keeps for itself, what is gone after a reboot, the addresses of pods that run, and containerd's own data,
/// which is asked for: no part of the state that a node is brought to or back to.
const NOT_COMPARED: [&str; 4] = ["/var/lib/castoff", "/run", "/var/lib/cni", "/var/lib/containerd"];

/// How castoff names a file that is not in place yet.
pub const TEMPORARY: &str = ".castoff-tmp";

/// A temporary folder; in memory where that is possible, because the attacks ask for very many fsyncs.
pub fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::Builder::new()
        .prefix("castoff-test-")
        .tempdir_in(memory)
        .or_else(|_| tempfile::Builder::new().prefix("castoff-test-").tempdir())
        .unwrap()
}

/// `path` (absolute inside the tree) as a real path.
pub fn at(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Writes a file with its directories; mode 0644 and a time long ago, so that a kept time can be told from a new one.
pub fn put(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let real = at(root, path);
    make_dir(root, path.rsplit_once('/').unwrap().0);
    fs::write(&real, content).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    age(&real);
}

/// Sets a file's time to long ago, with nanoseconds.
pub fn age(real: &Path) {
    let long_ago = UNIX_EPOCH + Duration::new(1_500_000_000, 123_456_789);
    fs::File::options().write(true).open(real).unwrap().set_modified(long_ago).unwrap();
}

/// Makes a directory with its parents, mode 0755 each, whatever the umask.
pub fn make_dir(root: &Path, path: &str) {
    let mut real = root.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        real.push(part);
        if !real.exists() {
            fs::create_dir(&real).unwrap();
            fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

/// Sets permission bits.
pub fn set_mode(root: &Path, path: &str, mode: u32) {
    fs::set_permissions(at(root, path), fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a symbolic link with the directories it needs.
pub fn put_link(root: &Path, path: &str, target: &str) {
    make_dir(root, path.rsplit_once('/').unwrap().0);
    symlink(target, at(root, path)).unwrap();
}

/// Copies a whole tree with everything that belongs to it.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "cp -a failed");
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Dir { mode: u32, owner: (u32, u32) },
    Link { target: String },
    File { bytes: Vec<u8>, mode: u32, owner: (u32, u32), xattrs: BTreeMap<String, Vec<u8>>, mtime: (i64, i64) },
    Other,
}

/// Everything in a tree that counts as the node's state.
pub type Snapshot = BTreeMap<String, Entry>;

/// Looks at a tree.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root.join(dir.trim_start_matches('/'))).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
            if NOT_COMPARED.contains(&path.as_str()) {
                continue;
            }
            let real = entry.path();
            let meta = fs::symlink_metadata(&real).unwrap();
            let (mode, owner) = (meta.mode() & 0o7777, (meta.uid(), meta.gid()));
            let kind = meta.file_type();
            let seen = if kind.is_dir() {
                dirs.push(path.clone());
                Entry::Dir { mode, owner }
            } else if kind.is_symlink() {
                Entry::Link { target: fs::read_link(&real).unwrap().to_string_lossy().into_owned() }
            } else if kind.is_file() {
                let mtime = (meta.mtime(), meta.mtime_nsec());
                Entry::File { bytes: fs::read(&real).unwrap(), mode, owner, xattrs: xattrs(&real), mtime }
            } else {
                Entry::Other
            };
            all.insert(path, seen);
        }
    }
    all
}

fn xattrs(real: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = xattr::list(real).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| Some((name.to_string_lossy().into_owned(), xattr::get(real, &name).ok()??)))
        .collect()
}

/// The same tree without times of files: what two trees made at different moments have in common.
#[must_use]
pub fn timeless(snapshot: &Snapshot) -> Snapshot {
    let mut all = snapshot.clone();
    for entry in all.values_mut() {
        if let Entry::File { mtime, .. } = entry {
            *mtime = (0, 0);
        }
    }
    all
}

/// What is different, one line each; empty when nothing is.
pub fn diff(wanted: &Snapshot, there: &Snapshot) -> String {
    let mut text = String::new();
    for (path, entry) in wanted {
        match there.get(path) {
            None => drop(writeln!(text, "  missing {path}")),
            Some(now) if now != entry => drop(writeln!(text, "  differs {path}: {}", differs(entry, now))),
            Some(_) => {}
        }
    }
    for (path, entry) in there.iter().filter(|(path, _)| !wanted.contains_key(*path)) {
        let _ = writeln!(text, "  extra   {path}: {}", short(entry));
    }
    text
}

fn differs(wanted: &Entry, now: &Entry) -> String {
    let (Entry::File { bytes: old, .. }, Entry::File { bytes: new, .. }) = (wanted, now) else {
        return format!("{} -> {}", short(wanted), short(now));
    };
    if old == new {
        return format!("{} -> {}", short(wanted), short(now));
    }
    format!("content\n--- wanted\n{}\n--- there\n{}", String::from_utf8_lossy(old), String::from_utf8_lossy(new))
}

fn short(entry: &Entry) -> String {
    match entry {
        Entry::File { bytes, mode, owner, xattrs, mtime } => {
            let names: Vec<&String> = xattrs.keys().collect();
            format!(
                "file of {} bytes, mode {mode:o}, owner {owner:?}, attributes {names:?}, time {mtime:?}",
                bytes.len()
            )
        }
        Entry::Dir { mode, owner } => format!("directory, mode {mode:o}, owner {owner:?}"),
        Entry::Link { target } => format!("link to {target}"),
        Entry::Other => "something else".to_owned(),
    }
}

/// Files that a write left behind, anywhere in the tree, the run's own directory included.
pub fn leftovers(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(TEMPORARY) {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                dirs.push(path);
            }
        }
    }
    found
}

/// Gives the files that a migration writes an owner, a mode and an attribute that are not the defaults, as far as this
/// process may: what is only kept by luck gets lost here.
pub fn dress(root: &Path, paths: &[&str]) {
    for path in paths {
        let real = at(root, path);
        if !real.exists() {
            continue;
        }
        set_mode(root, path, 0o640);
        let _ = std::os::unix::fs::chown(&real, Some(7), Some(8));
        let _ = xattr::set(&real, "user.note", b"ours\0\xff");
        age(&real);
    }
}
