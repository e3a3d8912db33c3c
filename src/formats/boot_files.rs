//! What the kernel is told at boot: `sysctl.d` and `modules-load.d` (sysctl.d(5), modules-load.d(5)).

use super::{At, count};

/// Directories from the strongest to the weakest, to which `sysctl.d` or `modules-load.d` is added.
pub const DIRS: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// One assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// The key with dots, as `sysctl` prints it.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Line, counted from 1.
    pub line: u32,
}

/// The assignments of a file, in order.
pub fn sysctls(text: &str) -> Vec<Sysctl> {
    let read = |(index, line): (usize, &str)| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        // A leading `-` means that failing is fine.
        let (key, value) = line.trim_start_matches('-').split_once('=')?;
        Some(Sysctl { key: dotted(key.trim()), value: value.trim().to_owned(), line: count(index + 1) })
    };
    text.lines().enumerate().filter_map(read).collect()
}

/// `net/ipv4/ip_forward` is `net.ipv4.ip_forward`; whichever separator comes first is the separator.
fn dotted(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.get(at..).is_some_and(|rest| rest.starts_with('/')) => key
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_owned(),
    }
}

/// The modules a file loads.
pub fn modules(text: &str) -> Vec<At<String>> {
    let read = |(index, line): (usize, &str)| {
        let word = line.split_whitespace().next().filter(|word| !word.starts_with(['#', ';']))?;
        // The kernel takes both spellings for one name.
        Some(At::new(word.replace('-', "_"), count(index + 1)))
    };
    text.lines().enumerate().filter_map(read).collect()
}

/// Puts configuration files into the order in which they are applied, the last winning: by name, and of several files
/// of one name only the one in the strongest directory.
pub fn in_order(mut paths: Vec<String>) -> Vec<String> {
    let split = |path: &str| -> (String, usize) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let rank = DIRS.iter().position(|known| dir.rsplit_once('/').is_some_and(|(base, _)| base == *known));
        (name.to_owned(), rank.unwrap_or(DIRS.len()))
    };
    paths.retain(|path| path.ends_with(".conf"));
    paths.sort_by_key(|path| split(path));
    paths.dedup_by_key(|path| split(path).0);
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn assignments_in_every_spelling() {
        let seen: Vec<_> = sysctls(
            "# c\n; d\nnet.ipv4.ip_forward = 1\n-net/bridge/bridge-nf-call-iptables=1\n\nnonsense\nnet.ipv4.conf.eth0/1.rp_filter=2\n",
        )
        .into_iter()
        .map(|sysctl| (sysctl.key, sysctl.value, sysctl.line))
        .collect();
        let owned = |key: &str, value: &str, line| (key.to_owned(), value.to_owned(), line);
        assert_eq!(
            seen,
            [
                owned("net.ipv4.ip_forward", "1", 3),
                owned("net.bridge.bridge-nf-call-iptables", "1", 4),
                owned("net.ipv4.conf.eth0/1.rp_filter", "2", 7),
            ]
        );
    }

    #[test]
    fn modules_one_a_line() {
        let seen: Vec<String> = modules("# x\noverlay\n br-netfilter # y\n\n").into_iter().map(|at| at.value).collect();
        assert_eq!(seen, ["overlay", "br_netfilter"]);
    }

    #[test]
    fn files_are_applied_by_name() {
        let paths = [
            "/etc/sysctl.d/99-b.conf",
            "/usr/lib/sysctl.d/50-a.conf",
            "/etc/sysctl.d/50-a.conf",
            "/etc/sysctl.d/README",
        ];
        assert_eq!(
            in_order(paths.iter().map(|path| (*path).to_owned()).collect()),
            ["/etc/sysctl.d/50-a.conf", "/etc/sysctl.d/99-b.conf"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,60}", odd in "[a-z./=#; \n-]{0,60}") {
            for text in [&text, &odd] {
                sysctls(text);
                modules(text);
                in_order(vec![text.clone()]);
            }
        }
    }
}
