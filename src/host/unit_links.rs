//! Enablement and masks of units, as the symlinks they are.
//!
//! systemd can change them over D-Bus too, but then the exact links that were there (an administrator's own
//! `foo.target.wants/docker.service`, a target with an odd path) could not be recorded before the act and put back
//! byte for byte. Doing it through [`super::Root`] gives one way for a running node and for a file tree, as
//! `systemctl --root` has.

use super::{EntryKind, FileError, Root};
use crate::{formats::unit_file, model::UnitLink};
use anyhow::{Result, bail};

/// Where an administrator's links live.
pub const ADMIN_DIR: &str = "/etc/systemd/system";

/// Unit file directories in systemd's order (systemd.unit(5)), without those that only exist at run time.
pub const UNIT_DIRS: [&str; 4] =
    [ADMIN_DIR, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

const MASK: &str = "/dev/null";

/// Every link below [`ADMIN_DIR`] that enables, aliases or masks `unit`, sorted by path.
///
/// # Errors
/// When a directory cannot be listed.
pub fn links_of(root: &Root, unit: &str) -> Result<Vec<UnitLink>, FileError> {
    let mut links = Vec::new();
    for (name, kind) in root.list(ADMIN_DIR)? {
        let path = format!("{ADMIN_DIR}/{name}");
        match kind {
            EntryKind::Link => push_if_of(root, unit, &name, path, &mut links),
            EntryKind::Dir if name.ends_with(".wants") || name.ends_with(".requires") => {
                for (inner, kind) in root.list(&path)? {
                    if kind == EntryKind::Link {
                        push_if_of(root, unit, &inner, format!("{path}/{inner}"), &mut links);
                    }
                }
            }
            _ => {}
        }
    }
    links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(links)
}

fn push_if_of(root: &Root, unit: &str, name: &str, path: String, links: &mut Vec<UnitLink>) {
    let Some(target) = root.link(&path) else { return };
    // An alias has another name but leads to this unit.
    let leads_here = target.rsplit('/').next() == Some(unit);
    if name == unit || leads_here {
        links.push(UnitLink { path, target });
    }
}

/// Removes the links that start `unit` at boot. A mask stays.
///
/// # Errors
/// When a link cannot be removed.
pub fn disable(root: &Root, unit: &str) -> Result<()> {
    for link in links_of(root, unit)? {
        if link.target != MASK {
            root.remove_link(&link.path)?;
        }
    }
    Ok(())
}

/// The links that the `[Install]` section of a unit's file asks for (`WantedBy=`, `RequiredBy=`).
fn install_links(root: &Root, unit: &str) -> Result<Vec<UnitLink>> {
    let Some(file) = fragment(root, unit) else { bail!("{unit} has no unit file, or is masked") };
    let text = root.text(&file)?.unwrap_or_default();
    let mut links = Vec::new();
    for entry in unit_file::UnitFile::parse(&text).entries().iter().filter(|entry| entry.section == "Install") {
        let kind = match entry.key.as_str() {
            "WantedBy" => "wants",
            "RequiredBy" => "requires",
            _ => continue,
        };
        let targets = entry.value.split_whitespace();
        links.extend(
            targets
                .map(|target| UnitLink { path: format!("{ADMIN_DIR}/{target}.{kind}/{unit}"), target: file.clone() }),
        );
    }
    if links.is_empty() {
        bail!("{file} names no target that wants it, so it cannot be enabled");
    }
    Ok(links)
}

/// Directories that [`enable`] would have to make, outermost first.
///
/// # Errors
/// When the unit cannot be enabled.
pub fn enable_dirs(root: &Root, unit: &str) -> Result<Vec<String>> {
    let links = install_links(root, unit)?;
    let mut dirs: Vec<String> = links
        .iter()
        .filter_map(|link| link.path.rsplit_once('/'))
        .flat_map(|(dir, _)| root.missing_dirs(dir))
        .collect();
    dirs.sort();
    dirs.dedup();
    Ok(dirs)
}

/// Makes the links that start `unit` at boot, as the `[Install]` section of its file says.
///
/// # Errors
/// When the unit has no file, its file names no target, or a link cannot be made.
pub fn enable(root: &Root, unit: &str) -> Result<()> {
    for link in install_links(root, unit)? {
        if let Some((dir, _)) = link.path.rsplit_once('/') {
            root.make_dirs(dir, 0o755)?;
        }
        root.make_link(&link.path, &link.target)?;
    }
    Ok(())
}

/// Links `unit` to `/dev/null`, so that nothing can start it.
///
/// # Errors
/// When an administrator's real unit file is in the way: it is not ours to move.
pub fn mask(root: &Root, unit: &str) -> Result<()> {
    root.make_dirs(ADMIN_DIR, 0o755)?;
    root.make_link(&format!("{ADMIN_DIR}/{unit}"), MASK)
}

/// Puts back exactly `links`: what is missing is made, what was not there is removed.
///
/// # Errors
/// When a link cannot be changed, or the journal names a place that holds no unit links.
pub fn restore(root: &Root, unit: &str, links: &[UnitLink]) -> Result<()> {
    for link in links {
        if !is_link_place(&link.path) {
            bail!("the journal names `{}` as a link of {unit}; unit links live below {ADMIN_DIR}", link.path);
        }
        let name = |path: &str| path.rsplit('/').next() == Some(unit);
        if !name(&link.path) && !name(&link.target) {
            bail!("the journal names `{}` as a link of {unit}, which is a link of another unit", link.path);
        }
    }
    // A process that died may have left a link that was not in place yet, its own or the mask.
    root.remove_link_leftover(&format!("{ADMIN_DIR}/{unit}"))?;
    for was in links {
        root.remove_link_leftover(&was.path)?;
    }
    for now in links_of(root, unit)? {
        if !links.iter().any(|was| was.path == now.path) {
            root.remove_link(&now.path)?;
        }
    }
    for was in links {
        // `systemctl disable` of another unit removes a `.wants` directory that became empty.
        let dir = was.path.rsplit_once('/').map_or(ADMIN_DIR, |(dir, _)| dir);
        root.make_dirs(dir, 0o755)?;
        root.make_link(&was.path, &was.target)?;
    }
    Ok(())
}

/// Directories that were made for links of a unit lie where such links live.
///
/// # Errors
/// When one does not: the journal was changed.
pub fn expect_dirs(unit: &str, dirs: &[String]) -> Result<()> {
    let on_the_way = |dir: &str| ADMIN_DIR == dir || ADMIN_DIR.strip_prefix(dir).is_some_and(|r| r.starts_with('/'));
    match dirs.iter().find(|dir| !on_the_way(dir) && !is_link_place(&format!("{dir}/{unit}"))) {
        Some(dir) => bail!("the journal names the directory `{dir}` for links of {unit}; they live below {ADMIN_DIR}"),
        None => Ok(()),
    }
}

fn is_link_place(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(ADMIN_DIR).and_then(|rest| rest.strip_prefix('/')) else { return false };
    let parts: Vec<&str> = rest.split('/').collect();
    let plain = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    match parts.as_slice() {
        [_] => parts.iter().all(plain),
        [dir, _] => (dir.ends_with(".wants") || dir.ends_with(".requires")) && parts.iter().all(plain),
        _ => false,
    }
}

/// A unit's file in a file tree: the first directory in systemd's order that has it. A mask hides it.
pub fn fragment(root: &Root, unit: &str) -> Option<String> {
    let masks = |path: &str| root.link(path).as_deref() == Some(MASK);
    let path = UNIT_DIRS.iter().map(|dir| format!("{dir}/{unit}")).find(|path| root.kind(path).is_some())?;
    (!masks(&path)).then_some(path)
}

/// A unit's drop-ins in a file tree, in the order they apply.
///
/// # Errors
/// When a directory cannot be listed.
pub fn drop_ins(root: &Root, unit: &str) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    let owners = drop_in_owners(unit);
    for dir in UNIT_DIRS.iter().flat_map(|dir| owners.iter().map(move |owner| format!("{dir}/{owner}.d"))) {
        for (name, _) in root.list(&dir)? {
            let path = format!("{dir}/{name}");
            let mask = root.link(&path).as_deref() == Some(MASK)
                || root.read(&path).is_ok_and(|read| read.is_some_and(|read| read.bytes.is_empty()));
            found.push((path, mask));
        }
    }
    let found: Vec<(&str, bool)> = found.iter().map(|(path, mask)| (path.as_str(), *mask)).collect();
    Ok(unit_file::order_drop_ins(&found).into_iter().map(str::to_owned).collect())
}

/// Whose drop-ins a unit reads, the closest first: of `a-b-c.service` its own, those of `a-b-.service` and `a-.service`,
/// and those of all services (systemd.unit(5)).
fn drop_in_owners(unit: &str) -> Vec<String> {
    let mut owners = vec![unit.to_owned()];
    if let Some((name, kind)) = unit.rsplit_once('.') {
        let prefixes = name.rmatch_indices('-').filter_map(|(at, _)| name.get(..=at));
        owners.extend(prefixes.map(|prefix| format!("{prefix}.{kind}")));
        owners.push(kind.to_owned());
    }
    owners
}

/// What `systemctl --root is-enabled` would say: `masked`, `enabled`, `linked`, `disabled`, `static`, or empty when no unit
/// file of that name is there.
///
/// # Errors
/// When a directory cannot be listed.
pub fn unit_file_state(root: &Root, unit: &str) -> Result<String, FileError> {
    let links = links_of(root, unit)?;
    if links.iter().any(|link| link.path == format!("{ADMIN_DIR}/{unit}") && link.target == MASK) {
        return Ok("masked".to_owned());
    }
    let Some(path) = fragment(root, unit) else { return Ok(String::new()) };
    // A link to a file that lies elsewhere makes the unit known. It starts nothing.
    if links.iter().any(|link| link.path != format!("{ADMIN_DIR}/{unit}")) {
        return Ok("enabled".to_owned());
    }
    let text = root.text(&path)?.unwrap_or_default();
    let installs = unit_file::UnitFile::parse(&text)
        .entries()
        .iter()
        .any(|entry| entry.section == "Install" && !entry.value.is_empty());
    Ok(match (links.is_empty(), installs) {
        (false, _) => "linked",
        (true, true) => "disabled",
        (true, false) => "static",
    }
    .to_owned())
}

#[cfg(test)]
mod tests {
    use super::{drop_in_owners, drop_ins, is_link_place};
    use crate::host::{Attributes, Expect, Faults, Root};

    #[test]
    fn drop_ins_of_all_services_and_of_a_prefix_count_too() {
        assert_eq!(drop_in_owners("cri-docker.service"), ["cri-docker.service", "cri-.service", "service"]);
        assert_eq!(drop_in_owners("a-b-c.socket"), ["a-b-c.socket", "a-b-.socket", "a-.socket", "socket"]);
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path(), Faults::none()).unwrap();
        for path in ["/etc/systemd/system/service.d/10-all.conf", "/usr/lib/systemd/system/cri-.service.d/05-cri.conf"]
        {
            root.make_dirs(path.rsplit_once('/').unwrap().0, 0o755).unwrap();
            root.write_atomic(path, b"[Service]\n", Expect::Absent, Attributes::Keep { mode: 0o644 }).unwrap();
        }
        let found = drop_ins(&root, "cri-docker.service").unwrap();
        let all = "/etc/systemd/system/service.d/10-all.conf";
        assert_eq!(found, ["/usr/lib/systemd/system/cri-.service.d/05-cri.conf", all]);
    }

    #[test]
    fn a_tampered_journal_cannot_link_elsewhere() {
        for good in ["/etc/systemd/system/docker.service", "/etc/systemd/system/multi-user.target.wants/docker.service"]
        {
            assert!(is_link_place(good));
        }
        for bad in [
            "/etc/passwd",
            "/etc/systemd/system/../../passwd",
            "/etc/systemd/system/",
            "/etc/systemd/system/docker.service.d/x.conf",
            "/etc/systemd/system/a.wants/../../../shadow",
            "/etc/systemd/systemd",
        ] {
            assert!(!is_link_place(bad), "{bad}");
        }
    }
}
