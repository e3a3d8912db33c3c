//! Versions of installed packages: dpkg's status file, and what upstream version a package version stands for.

use super::{At, count};

/// The version of an installed package in dpkg's `status` file, with the line of its `Version:`.
///
/// Only what is installed counts, on hold (as kubeadm's manual wants kubelet) or not: a removed package whose settings
/// are still there has a version too.
pub fn dpkg_version(status_text: &str, package: &str) -> Option<At<String>> {
    let mut paragraph = Paragraph::default();
    for (index, line) in status_text.lines().enumerate() {
        if line.trim().is_empty() {
            if let Some(found) = paragraph.version_of(package) {
                return Some(found);
            }
            paragraph = Paragraph::default();
        }
        // Lines that start with a blank continue a field, such as a description that talks about versions.
        if let Some((field, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) {
            match field.to_ascii_lowercase().as_str() {
                "package" => value.trim().clone_into(&mut paragraph.package),
                // The wish (install, hold, …), the state of the entry, the state of the package.
                "status" => paragraph.installed = value.split_whitespace().skip(1).eq(["ok", "installed"]),
                "version" => paragraph.version = Some(At::new(value.trim().to_owned(), count(index + 1))),
                _ => {}
            }
        }
    }
    paragraph.version_of(package)
}

#[derive(Default)]
struct Paragraph {
    package: String,
    installed: bool,
    version: Option<At<String>>,
}

impl Paragraph {
    fn version_of(&self, package: &str) -> Option<At<String>> {
        self.version.clone().filter(|_| self.installed && self.package == package)
    }
}

/// The upstream version in a Debian package version: without epoch, package revision and the marks of repacked sources.
pub fn upstream_version(deb_version: &str) -> String {
    let version = deb_version.trim();
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    // A step back: 1.20.5+really1.20.2 is 1.20.2.
    let version = version.split_once("+really").map_or(version, |(_, real)| real);
    // What follows the number: `~ds1`, `+dfsg1`, `~3-0~debian`. A release candidate is part of the version.
    let number = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let rest = version.get(number..).unwrap_or_default();
    let candidate = ["~rc", "-rc", "~beta", "-beta", "~alpha", "-alpha"].iter().any(|mark| rest.starts_with(mark));
    let end = if candidate { version.len() } else { number };
    version.get(..end).unwrap_or(version).to_owned()
}

/// Major and minor of a version such as `1.20.2`, `v1.20.2`, `1.31` or `v1.28.3+k3s1`.
pub fn version_pair(version: &str) -> Option<(u32, u32)> {
    let version = version.trim();
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major, minor.get(..digits)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_installed_packages_have_a_version() {
        let status = "Package: runc\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: containerd\nStatus: install ok installed\nDescription: x\n Version: no\nVersion: 1.6.20~ds1-1\n\nPackage: kubelet\nStatus: hold ok installed\nVersion: 1.27.1\n\nPackage: last\nStatus: install ok installed\nVersion: 2";
        assert_eq!(dpkg_version(status, "containerd"), Some(At::new("1.6.20~ds1-1".into(), 9)));
        assert_eq!(dpkg_version(status, "last"), Some(At::new("2".into(), 17)));
        assert_eq!(dpkg_version(status, "kubelet"), Some(At::new("1.27.1".into(), 13)));
        assert_eq!(dpkg_version(status, "runc"), None);
        assert_eq!(dpkg_version(status, "contain"), None);
        assert_eq!(dpkg_version("", "x"), None);
    }

    #[test]
    fn upstream_versions_lose_debians_parts() {
        for (package, upstream) in [
            ("20.10.24+dfsg1-1+deb12u1", "20.10.24"),
            ("1.6.20~ds1-1+deb12u1", "1.6.20"),
            ("5:24.0.7-1~ubuntu", "24.0.7"),
            ("5:20.10.24~3-0~debian-bookworm", "20.10.24"),
            ("1.20.5+really1.20.2-1.1", "1.20.2"),
            ("1.7.24", "1.7.24"),
            ("2.0.0~rc.1-1", "2.0.0~rc.1"),
            ("", ""),
        ] {
            assert_eq!(upstream_version(package), upstream);
        }
    }

    #[test]
    fn pairs_are_read_with_and_without_v() {
        for (version, pair) in [
            ("1.20.2", Some((1, 20))),
            ("v1.20.2", Some((1, 20))),
            ("1.31", Some((1, 31))),
            ("v1.28+", Some((1, 28))),
            ("v1.28.3+k3s1", Some((1, 28))),
            ("1", None),
            ("x.y", None),
            ("", None),
        ] {
            assert_eq!(version_pair(version), pair, "{version}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,60}") {
            dpkg_version(&text, "x");
            upstream_version(&text);
            version_pair(&text);
        }
    }
}
