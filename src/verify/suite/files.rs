//! Files of the node in a container.

use super::Bed;
use crate::host::{ContainerSpec, MountSpec, Propagation, Security, scratch};
use anyhow::{Context as _, Result, ensure};

const EROFS: i32 = 30;
const ENOENT: i32 = 2;

fn mounted(bed: &Bed<'_>, name: &str, mount: MountSpec, privileged: bool) -> ContainerSpec {
    let security = Security { privileged, ..Security::default() };
    ContainerSpec { mounts: vec![mount], security, ..bed.container(name) }
}

fn at(host: &str) -> MountSpec {
    MountSpec { host: host.to_owned(), container: "/volume".to_owned(), ..MountSpec::default() }
}

/// Folders of the node, also behind a link, also read-only.
pub(super) fn volumes(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let dir = bed.put("volume", None)?;
    bed.put("volume/seen", Some(b"from the node\n"))?;
    scratch::link(&bed.place.tree, &format!("{}/link", bed.place.dir), "volume")?;
    let open = pod.start(&mounted(bed, "volume", at(&dir), false))?;
    ensure!(open.ask(&["cat", "/volume/seen"])? == "from the node\n", "a file of the node is not in the container");
    open.expect(&["write", "/volume/made", "x"], 0, "a volume cannot be written")?;
    let made = bed.place.tree.join(dir.trim_start_matches('/')).join("made");
    ensure!(scratch::text(&made).is_ok_and(|text| text == "x"), "what a container wrote is not on the node");
    let linked = pod.start(&mounted(bed, "volume-link", at(&format!("{}/link", bed.place.dir)), false))?;
    ensure!(linked.ask(&["cat", "/volume/seen"])? == "from the node\n", "a link to a folder is not followed");
    let closed = pod.start(&mounted(bed, "volume-closed", MountSpec { read_only: true, ..at(&dir) }, false))?;
    closed.expect(&["write", "/volume/made", "y"], EROFS, "a read-only volume can be written")?;
    Ok("folders of the node, behind links, read-only".to_owned())
}

/// Mounts that a container makes after its start: with rshared they get out and into others, with rslave they come in and
/// do not get out, with rprivate they do not come in.
pub(super) fn propagation(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let dir = bed.put("propagation", None)?;
    for sub in ["both", "own"] {
        bed.put(&format!("propagation/{sub}"), None)?;
    }
    let start = |name: &str, propagation| {
        let mount = MountSpec { propagation, ..at(&dir) };
        pod.start(&mounted(bed, name, mount, true)).with_context(|| format!("with {propagation:?} propagation"))
    };
    let both = start("shared", Propagation::Bidirectional)?;
    let slave = start("slave", Propagation::HostToContainer)?;
    let private = start("private", Propagation::Private)?;
    both.ask(&["tmpfs", "/volume/both"])?;
    let seen = (|| {
        both.ask(&["write", "/volume/both/x", "1"])?;
        let on_node = bed.place.tree.join(dir.trim_start_matches('/')).join("both/x");
        ensure!(scratch::text(&on_node).is_ok(), "a mount of a container with rshared is not on the node");
        slave.expect(&["cat", "/volume/both/x"], 0, "a mount of the node is not seen with rslave")?;
        private.expect(&["cat", "/volume/both/x"], ENOENT, "a mount of the node is seen with rprivate")?;
        slave.ask(&["tmpfs", "/volume/own"])?;
        slave.ask(&["write", "/volume/own/x", "1"])?;
        both.expect(&["cat", "/volume/own/x"], ENOENT, "a mount of a container with rslave got out")
    })();
    let _ = slave.ask(&["umount", "/volume/own"]);
    let undone = both.ask(&["umount", "/volume/both"]);
    seen?;
    undone?;
    Ok("rshared gets out, rslave only comes in, rprivate neither".to_owned())
}

/// A device of the node under another name.
pub(super) fn devices(bed: &Bed<'_>) -> Result<String> {
    let pod = bed.common()?;
    let plain = pod.start(&bed.container("no-device"))?;
    plain.expect(&["cat", "/dev/castoff"], ENOENT, "a device is there that was not asked for")?;
    let device = ("/dev/null".to_owned(), "/dev/castoff".to_owned(), "rwm".to_owned());
    let given = pod.start(&ContainerSpec { devices: vec![device], ..bed.container("device") })?;
    given.expect(&["cat", "/dev/castoff"], 0, "a device is not there")?;
    Ok("a device of the node under another name".to_owned())
}
