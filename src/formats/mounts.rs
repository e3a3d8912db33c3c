//! What is mounted where: `/proc/self/mountinfo` of a running system, `/etc/fstab` and mount units of a file tree.

use super::{At, count, unit_file::UnitFile};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub point: String,
    /// What: a device, `UUID=…`, `tmpfs`, a server's path.
    pub source: String,
    /// `ext4`, `xfs`, …
    pub fs_type: String,
    /// Line of the table, counted from 1.
    pub line: u32,
}

/// Reads `/proc/PID/mountinfo` (proc(5)): `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER`.
pub fn mountinfo(text: &str) -> Vec<Mount> {
    let mount = |(index, line): (usize, &str)| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?;
        let mut right = right.split(' ');
        let (fs_type, source) = (right.next()?, right.next()?);
        Some(Mount {
            point: without_last_slash(&unescape(point)),
            source: unescape(source),
            fs_type: unescape(fs_type),
            line: count(index + 1),
        })
    };
    text.lines().enumerate().filter_map(mount).collect()
}

/// A mount that shows two paths of one file system, however they are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Where it is mounted.
    pub point: String,
    /// The two paths, below that.
    pub below: [String; 2],
}

/// Device, directory of it, and where that is shown.
type Shown = (String, String, String);

/// The mounts of `/proc/PID/mountinfo`, in the order of its lines.
fn places(text: &str) -> Vec<Shown> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(2);
        let device = fields.next()?.to_owned();
        Some((device, unescape(fields.next()?), without_last_slash(&unescape(fields.next()?))))
    };
    text.lines().filter_map(mount).collect()
}

/// What is left of a path below a directory.
fn rest(path: &str, dir: &str) -> String {
    path.strip_prefix(dir.trim_end_matches('/')).unwrap_or_default().to_owned()
}

/// Where in its file system a path is. Of several mounts at one place the last one hides the others.
fn inside(mounts: &[Shown], path: &str) -> Option<(String, String)> {
    let over = mounts.iter().filter(|(_, _, point)| is_below(path, point)).max_by_key(|(_, _, point)| point.len());
    over.map(|(device, root, point)| (device.clone(), format!("{}{}", root.trim_end_matches('/'), rest(path, point))))
}

/// True where a mount shows what would be there without it, as `mount --bind DIR DIR` does.
pub fn is_bound_on_itself(text: &str, point: &str) -> bool {
    let (over, below): (Vec<Shown>, Vec<Shown>) = places(text).into_iter().partition(|(_, _, at)| at == point);
    over.last().is_some_and(|(device, root, _)| inside(&below, point) == Some((device.clone(), root.clone())))
}

/// The mounts of `/proc/PID/mountinfo` that show both paths; none where they are on different file systems.
pub fn views(text: &str, a: &str, b: &str) -> Vec<View> {
    let mounts = places(text);
    let (Some((device, a)), Some((other, b))) = (inside(&mounts, a), inside(&mounts, b)) else { return Vec::new() };
    let shows_both = |(of, root, _): &&Shown| *of == device && *of == other && is_below(&a, root) && is_below(&b, root);
    let below = |path: &str, root: &str| rest(path, root).trim_start_matches('/').to_owned();
    let view = |(_, root, point): &Shown| View { point: point.clone(), below: [below(&a, root), below(&b, root)] };
    mounts.iter().filter(shows_both).map(view).collect()
}

/// Reads `/etc/fstab` (fstab(5)). Swap and entries without a mount point are left out.
pub fn fstab(text: &str) -> Vec<Mount> {
    let mount = |(index, line): (usize, &str)| {
        let mut fields = line.split_whitespace();
        let source = fields.next().filter(|field| !field.starts_with('#'))?;
        let (point, fs_type) = (fields.next()?, fields.next()?);
        let point = unescape(point);
        if !point.starts_with('/') || fs_type == "swap" {
            return None;
        }
        let point = without_last_slash(&point);
        Some(Mount { point, source: unescape(source), fs_type: unescape(fs_type), line: count(index + 1) })
    };
    text.lines().enumerate().filter_map(mount).collect()
}

/// The swap devices and files of `/etc/fstab`, without those that are not switched on at boot.
pub fn swap(text: &str) -> Vec<At<String>> {
    let swap = |(index, line): (usize, &str)| {
        let mut fields = line.split_whitespace();
        let source = fields.next().filter(|field| !field.starts_with('#'))?;
        let (_, fs_type, options) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
        let on = fs_type == "swap" && !options.split(',').any(|option| option == "noauto");
        on.then(|| At::new(unescape(source), count(index + 1)))
    };
    text.lines().enumerate().filter_map(swap).collect()
}

/// Reads a mount unit (systemd.mount(5)).
pub fn mount_unit(text: &str) -> Option<Mount> {
    let unit = UnitFile::parse(text);
    let entry = |key: &str| unit.entries().iter().rev().find(|entry| entry.section == "Mount" && entry.key == key);
    let point = entry("Where")?;
    if !point.value.starts_with('/') {
        return None;
    }
    Some(Mount {
        point: without_last_slash(&point.value),
        source: entry("What")?.value.clone(),
        fs_type: entry("Type").map_or_else(|| "auto".to_owned(), |entry| entry.value.clone()),
        line: point.line,
    })
}

/// The mount that holds `path`: the deepest one, and of several at one place the last, which hides the others.
pub fn holder<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    mounts.iter().filter(|mount| is_below(path, &mount.point)).max_by_key(|mount| mount.point.len())
}

/// True for `dir` itself and whatever is below it.
pub fn is_below(path: &str, dir: &str) -> bool {
    let rest = path.strip_prefix(dir.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name of systemd's unit for a mount point, as `systemd-escape --path --suffix=mount` gives it (systemd.unit(5), "String Escaping
/// for Inclusion in Unit Names").
pub fn unit_name(point: &str) -> String {
    let parts: Vec<&str> = point.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return "-.mount".to_owned();
    }
    let escaped = |(at, byte): (usize, u8)| match byte {
        b'/' => "-".to_owned(),
        b'.' if at == 0 => "\\x2e".to_owned(),
        b':' | b'_' | b'.' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("\\x{byte:02x}"),
    };
    let name: String = parts.join("/").bytes().enumerate().map(escaped).collect();
    format!("{name}.mount")
}

/// systemd mounts a directory once, whatever number of slashes its name ends with; the root is one slash.
fn without_last_slash(point: &str) -> String {
    match point.trim_end_matches('/') {
        "" if !point.is_empty() => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// Blanks and backslashes stand as `\040` and so on in both tables.
fn unescape(field: &str) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))
        });
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_directory_bound_on_itself_is_no_file_system_of_its_own() {
        let table = "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 24 8:1 /var/lib/kubelet /var/lib/kubelet rw shared:5 - ext4 /dev/sda1 rw\n\
            31 24 8:17 / /data rw - xfs /dev/sdb1 rw\n\
            32 24 8:17 /etcd /var/lib/etcd rw - xfs /dev/sdb1 rw\n\
            33 31 8:17 /x /data/x rw - xfs /dev/sdb1 rw\n";
        let bound = |point: &str| is_bound_on_itself(table, point);
        assert!(bound("/var/lib/kubelet") && bound("/data/x"));
        assert!(!bound("/data") && !bound("/var/lib/etcd") && !bound("/nowhere"));
    }

    #[test]
    fn the_kernels_table() {
        let mounts = mountinfo(
            "24 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
             40 24 8:17 / /data\\040disk rw shared:2 master:3 - xfs /dev/sdb1 rw,noquota\n\
             41 24 0:30 / /run rw - tmpfs tmpfs rw\n\
             damaged\n\
             42 40 8:33 / /data\\040disk rw - btrfs /dev/sdc1 rw\n",
        );
        assert_eq!(mounts.len(), 4);
        assert_eq!(holder(&mounts, "/var/lib/docker").unwrap().source, "/dev/sda1");
        assert_eq!(holder(&mounts, "/data disk/docker").unwrap().fs_type, "btrfs", "the later mount hides the other");
        assert_eq!(holder(&mounts, "/runner").unwrap().point, "/");
        assert_eq!(holder(&mounts, "/").unwrap().line, 1);
        assert_eq!(holder(&[], "/"), None);
    }

    #[test]
    fn what_one_mount_shows_together() {
        let text = "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 24 8:17 / /data rw - ext4 /dev/sdb1 rw\n\
            41 24 8:17 /docker /var/lib/docker rw - ext4 /dev/sdb1 rw\n\
            42 24 8:17 /c\\040d /var/lib/containerd rw - ext4 /dev/sdb1 rw\n\
            43 24 8:1 /srv/x /srv/x rw - ext4 /dev/sda1 rw\n";
        let seen = |a: &str, b: &str| {
            let found = views(text, a, b).into_iter();
            found.map(|View { point, below: [a, b] }| format!("{point}: {a}, {b}")).collect::<Vec<_>>()
        };
        assert_eq!(seen("/var/lib/docker/overlay2", "/var/lib/containerd"), ["/data: docker/overlay2, c d"]);
        assert_eq!(seen("/srv/x/y", "/srv/z"), ["/: srv/x/y, srv/z"], "what is mounted on itself");
        assert_eq!(seen("/var/lib/docker", "/var/lib/docker"), ["/data: docker, docker", "/var/lib/docker: , "]);
        assert!(seen("/var/lib/docker", "/srv").is_empty(), "two file systems");
        let without = text.replace("40 24 8:17 / /data rw - ext4 /dev/sdb1 rw\n", "");
        assert!(views(&without, "/var/lib/docker", "/var/lib/containerd").is_empty());
    }

    #[test]
    fn an_administrators_table() {
        let mounts = fstab(
            "# /etc/fstab\n\nUUID=1 / ext4 defaults 0 1\n/dev/sdb1\t/var/lib/docker/  xfs noatime 0 2\nUUID=2 none swap sw 0 0\nUUID=3 swap swap sw 0 0\nLABEL=x /mnt/a\\040b ext4\nbroken\nUUID=4 // ext4\n",
        );
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts.get(3).map(|mount| mount.point.as_str()), Some("/"));
        assert_eq!(
            swap("UUID=2 none swap sw 0 0\nUUID=3 none swap noauto 0 0\n#x none swap sw\n"),
            [At::new("UUID=2".to_owned(), 1)]
        );
        let disk = holder(&mounts, "/var/lib/docker/overlay2").unwrap();
        assert_eq!((disk.point.as_str(), disk.fs_type.as_str(), disk.line), ("/var/lib/docker", "xfs", 4));
        assert_eq!(holder(&mounts, "/mnt/a b").unwrap().source, "LABEL=x");
    }

    #[test]
    fn mount_units() {
        let mount = mount_unit("[Mount]\nWhat=/dev/sdb1\nWhere=/data\nType=xfs\n").unwrap();
        assert_eq!((mount.point.as_str(), mount.fs_type.as_str(), mount.line), ("/data", "xfs", 3));
        assert_eq!(mount_unit("[Mount]\nWhat=/dev/sdb1\n"), None);
        assert_eq!(mount_unit("[Mount]\nWhat=/dev/sdb1\nWhere=%h\n"), None);
    }

    #[test]
    fn names_of_mount_units() {
        for (point, name) in [
            ("/", "-.mount"),
            ("/var/lib/kubelet", "var-lib-kubelet.mount"),
            ("//srv//kube-data/", "srv-kube\\x2ddata.mount"),
            ("/.hidden/a.b_c:d", "\\x2ehidden-a.b_c:d.mount"),
            ("/a b/é%", "a\\x20b-\\xc3\\xa9\\x25.mount"),
        ] {
            assert_eq!(unit_name(point), name);
        }
    }

    proptest! {
        #[test]
        fn no_table_breaks_it(text in "\\PC*", odd in "[0-9 /\\\\\\n-]{0,60}") {
            for text in [&text, &odd] {
                let _ = (mountinfo(text), fstab(text), mount_unit(text), swap(text), views(text, "/a", "/"));
            }
        }
    }
}
