//! Package managers' own notes on what is installed, held and wanted only by others.

use super::{At, count};
use std::collections::BTreeSet;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with the line that says it.
    pub version: At<String>,
    /// True when it is on hold.
    pub hold: bool,
}

/// The packages of these names that dpkg's `status` file calls installed.
pub fn dpkg(status: &str, names: &[&str]) -> Vec<Package> {
    let mut found = Vec::new();
    let (mut name, mut state, mut version) = (String::new(), String::new(), None);
    let mut take = |name: &str, state: &str, version: Option<At<String>>| {
        let installed = state.split_whitespace().skip(1).eq(["ok", "installed"]);
        if let (true, true, Some(version)) = (installed, names.contains(&name), version) {
            found.push(Package { name: name.to_owned(), version, hold: state.starts_with("hold") });
        }
    };
    for (index, line) in status.lines().enumerate() {
        if line.trim().is_empty() {
            take(&name, &state, version.take());
            (name, state) = (String::new(), String::new());
        } else if let Some(value) = line.strip_prefix("Package:") {
            value.trim().clone_into(&mut name);
        } else if let Some(value) = line.strip_prefix("Status:") {
            value.trim().clone_into(&mut state);
        } else if let Some(value) = line.strip_prefix("Version:") {
            version = Some(At::new(value.trim().to_owned(), count(index + 1)));
        }
    }
    take(&name, &state, version);
    found
}

/// Packages that apt's `extended_states` calls automatically installed.
pub fn automatic(extended_states: &str) -> BTreeSet<String> {
    let name = |paragraph: &'_ str| -> Option<String> {
        let auto = paragraph.lines().any(|line| line.trim() == "Auto-Installed: 1");
        let name = paragraph.lines().find_map(|line| line.strip_prefix("Package:")).filter(|_| auto)?;
        Some(name.trim().to_owned())
    };
    extended_states.split("\n\n").filter_map(name).collect()
}

/// What `rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\n'` answers; lines about packages that are not there say so in words.
pub fn rpm(answer: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (words.next().is_none() && version.starts_with(|c: char| c.is_ascii_digit()))
            .then(|| (name.to_owned(), version.to_owned()))
    };
    answer.lines().filter_map(pair).collect()
}

/// True when `APT::Periodic::Unattended-Upgrade` is on in a file of apt.conf.d; `None` when it does not say.
pub fn unattended(apt_conf: &str) -> Option<At<bool>> {
    let lines = apt_conf.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let said = lines.filter_map(|(index, line)| {
        let value = line.trim().strip_prefix("APT::Periodic::Unattended-Upgrade")?;
        let value = value.trim().trim_end_matches(';').trim_matches('"');
        Some(At::new(value != "0" && value != "false", count(index + 1)))
    });
    said.last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dpkg_and_apt() {
        let status = "Package: runc\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: docker.io\nStatus: install ok installed\nDepends: containerd\nVersion: 20.10.24+dfsg1-1\n\nPackage: kubelet\nStatus: hold ok installed\nVersion: 1.27.1-00";
        let found = dpkg(status, &["runc", "docker.io", "kubelet"]);
        let rows: Vec<(&str, u32, bool)> = found.iter().map(|p| (p.name.as_str(), p.version.line, p.hold)).collect();
        assert_eq!(rows, [("docker.io", 8, false), ("kubelet", 12, true)]);
        let noted = "Package: containerd\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: runc\nAuto-Installed: 0\n";
        assert_eq!(automatic(noted).into_iter().collect::<Vec<_>>(), ["containerd"]);
        assert_eq!(unattended("APT::Periodic::Unattended-Upgrade \"1\";\n"), Some(At::new(true, 1)));
        assert_eq!(unattended("//APT::Periodic::Unattended-Upgrade \"1\";\n"), None);
        assert_eq!(unattended("APT::Periodic::Unattended-Upgrade \"0\";\n").map(|at| at.value), Some(false));
    }

    #[test]
    fn rpm_answers() {
        let answer = "containerd.io 1.6.33-3.1.el8\npackage docker-ce is not installed\nkubelet 1.24.17-0\n";
        let names: Vec<String> = rpm(answer).into_iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(names, ["containerd.io 1.6.33-3.1.el8", "kubelet 1.24.17-0"]);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,60}", odd in "[PackgeSttusVrion: \\n1]{0,60}") {
            for text in [&text, &odd] {
                dpkg(text, &["k"]);
                automatic(text);
                rpm(text);
                unattended(text);
            }
        }
    }
}
