use super::*;
use crate::host::Faults;
use std::{
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
};

fn put(dir: &Path, name: &str, content: &[u8], mode: u32) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A layer with what is easily lost.
fn odd(root: &Path) {
    let layer = root.join("a");
    put(&layer, "plain", b"text", 0o644);
    put(&layer, "setuid", b"#!", 0o4755);
    put(&layer, "d/empty", b"", 0o600);
    put(&layer, "d/new\nline and -dash", b"x", 0o640);
    fs::hard_link(layer.join("plain"), layer.join("d/again")).unwrap();
    symlink("../plain", layer.join("d/link")).unwrap();
    symlink("/nowhere", layer.join("dangling")).unwrap();
    let mut sparse = fs::File::create(layer.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(1 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    let _ = xattr::set(layer.join("plain"), "user.note", b"\0\xff");
    rustix::fs::mknodat(CWD, layer.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::set_permissions(layer.join("d"), fs::Permissions::from_mode(0o1711)).unwrap();
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(root.join("b")).unwrap();
}

fn opened() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    odd(dir.path());
    let root = Root::open(dir.path(), Faults::none()).unwrap();
    (dir, root)
}

#[test]
fn everything_a_container_could_see_is_cloned() {
    for how in [Cloning::Copy, Cloning::Hardlink] {
        let (dir, root) = opened();
        // What a killed run left.
        put(&dir.path().join("b"), "half/file", b"1", 0o600);
        root.clone_layer("/a", "/b", how).unwrap();
        root.compare_layers("/a", "/b", true).unwrap();
        let meta = |name: &str| fs::symlink_metadata(dir.path().join("b").join(name)).unwrap();
        assert_eq!(meta("plain").ino(), meta("d/again").ino(), "{how:?}: two names of one file");
        assert_eq!(meta("setuid").mode() & 0o7777, 0o4755);
        assert!(meta("sparse").blocks() < 1000 && !dir.path().join("b/half").exists());
        assert_eq!(meta(".").mode() & 0o7777, 0o700);
    }
}

/// Many files in many directories, whose times are long ago.
fn wide(root: &Path) {
    let layer = root.join("a");
    for n in 0..1500_u32 {
        put(&layer, &format!("d{}/e{}/f{n}", n % 30, n % 7), n.to_string().repeat(n as usize % 90).as_bytes(), 0o640);
    }
    fs::create_dir(root.join("b")).unwrap();
    let long_ago = sys::Timestamps {
        last_access: sys::Timespec { tv_sec: 10, tv_nsec: 1 },
        last_modification: sys::Timespec { tv_sec: 20, tv_nsec: 2 },
    };
    for dir in ["a", "a/d3", "a/d3/e3", "a/d29"] {
        sys::utimensat(CWD, root.join(dir), &long_ago, AtFlags::empty()).unwrap();
    }
}

#[test]
fn directories_keep_their_times_whoever_made_their_last_entry() {
    let dir = tempfile::tempdir().unwrap();
    wide(dir.path());
    let root = Root::open(dir.path(), Faults::none()).unwrap();
    let cloned = root.clone_layer("/a", "/b", Cloning::Copy).unwrap();
    assert_eq!(cloned.entries, 1500 + 30 + 210);
    let size = |n: u64| n.to_string().len() as u64 * (n % 90);
    assert_eq!(cloned.bytes, (0..1500).map(size).sum::<u64>());
    root.compare_layers("/a", "/b", true).unwrap();
    let meta = fs::metadata(dir.path().join("b/d3/e3")).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (20, 2));
}

#[test]
fn a_file_that_cannot_be_cloned_is_named() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    wide(dir.path());
    let root = Root::open(dir.path(), Faults::none()).unwrap();
    // A file system in memory shares no blocks.
    let error = root.clone_layer("/a", "/b", Cloning::Reflink).unwrap_err();
    assert!(format!("{error:#}").contains("cannot clone d"), "{error:#}");
}

#[test]
fn every_difference_is_found() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 8] = [
        (" has another content", |b| put(b, "plain", b"TEXT", 0o644)),
        ("setuid has another kind or mode", |b| put(b, "setuid", b"#!", 0o755)),
        ("d/empty is missing", |b| fs::remove_file(b.join("d/empty")).unwrap()),
        ("extra is one too many", |b| put(b, "extra", b"", 0o644)),
        ("dangling is a link to something else", |b| {
            fs::remove_file(b.join("dangling")).unwrap();
            symlink("/nowhere/", b.join("dangling")).unwrap();
        }),
        ("sparse has another size", |b| fs::write(b.join("sparse"), b"end").unwrap()),
        (" has other extended attributes", |b| drop(xattr::set(b.join("plain"), "user.note", b"other"))),
        ("pipe has another kind or mode", |b| {
            fs::remove_file(b.join("pipe")).unwrap();
            put(b, "pipe", b"", 0o400);
        }),
    ];
    for (said, change) in changes {
        let (dir, root) = opened();
        root.clone_layer("/a", "/b", Cloning::Copy).unwrap();
        change(&dir.path().join("b"));
        // Only what was changed on purpose shall be different.
        let times = |from: &Path, to: &Path| {
            if let (Ok(from), Ok(to)) = (fs::symlink_metadata(from), fs::File::open(to))
                && from.is_file()
            {
                to.set_modified(from.modified().unwrap()).unwrap();
            }
        };
        for name in ["plain", "setuid", "sparse"] {
            times(&dir.path().join("a").join(name), &dir.path().join("b").join(name));
        }
        for name in [".", "d"] {
            let time = fs::metadata(dir.path().join("a").join(name)).unwrap().modified().unwrap();
            fs::File::open(dir.path().join("b").join(name)).unwrap().set_modified(time).unwrap();
        }
        let found = root.compare_layers("/a", "/b", true);
        match found {
            Err(error) => {
                let text = format!("{error:#}");
                let also = said.starts_with("dangling") && text.contains("dangling has another");
                assert!(text.contains(said) || also, "{said}: {text}");
            }
            // The file system of this folder has no such attributes.
            Ok(()) => assert!(
                said.contains("extended attributes")
                    && xattr::list(dir.path().join("a/plain")).is_ok_and(|all| all.count() == 0),
                "{said}"
            ),
        }
    }
}

#[test]
fn what_only_its_mount_understands_is_refused() {
    let (dir, root) = opened();
    root.expect_plain_layer("/a").unwrap();
    if xattr::set(dir.path().join("a/d"), "trusted.overlay.redirect", b"/x").is_err() {
        // Not root, or a file system without such attributes.
        return;
    }
    let error = root.expect_plain_layer("/a").unwrap_err();
    assert!(error.downcast_ref::<NotPlain>().unwrap().to_string().contains("/a/d was renamed"), "{error}");
    xattr::remove(dir.path().join("a/d"), "trusted.overlay.redirect").unwrap();
    let file = fs::File::create(dir.path().join("a/meta")).unwrap();
    file.set_len(4096).unwrap();
    root.expect_plain_layer("/a").unwrap();
    // As the kernel writes them, with the handle of the file that was copied up; ext4 takes a block for that.
    xattr::set(dir.path().join("a/meta"), "trusted.overlay.origin", &[7; 29]).unwrap();
    root.expect_plain_layer("/a").unwrap();
    xattr::set(dir.path().join("a/meta"), "trusted.overlay.metacopy", b"").unwrap();
    // Other file systems count blocks in other ways, and a file that is empty is copied up like any other.
    for content in ["", "x"] {
        fs::write(dir.path().join("a/meta"), content).unwrap();
        assert!(root.expect_plain_layer("/a").unwrap_err().to_string().contains("/a/meta holds only metadata"));
    }
    file.set_len(100_000).unwrap();
    assert!(root.expect_plain_layer("/a").unwrap_err().to_string().contains("/a/meta holds only metadata"));
}

#[test]
fn a_tree_without_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = dir.path().join("a");
    fs::create_dir(&path).unwrap();
    fs::create_dir(dir.path().join("b")).unwrap();
    let mut fd = open_dir(CWD, &path).unwrap();
    for _ in 0..DEEPEST + 5 {
        sys::mkdirat(&fd, "x", Mode::RWXU).unwrap();
        fd = open_dir(&fd, Path::new("x")).unwrap();
        path.push("x");
    }
    let root = Root::open(dir.path(), Faults::none()).unwrap();
    for error in [root.expect_plain_layer("/a").unwrap_err(), root.clone_layer("/a", "/b", Cloning::Copy).unwrap_err()]
    {
        assert!(error.chain().any(|cause| cause.to_string().contains("without end")), "{error:#}");
    }
}
