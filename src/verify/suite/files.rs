//! Files of the node in a container.

use super::{Bed, Unfit};
use crate::formats::containerd::Release;
use crate::host::{ContainerSpec, MountSpec, Propagation, Security, scratch};
use anyhow::{Context as _, Result, bail, ensure};

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

/// A read-only folder with a mount in it, which stays as it is unless all of it is to be read-only.
pub(super) fn read_only(bed: &Bed<'_>) -> Result<String> {
    let dir = bed.put("read-only", None)?;
    bed.put("read-only/below", None)?;
    let pod = bed.common()?;
    // A mount on the node can only be made from inside a container, and comes out of it.
    let maker =
        pod.start(&mounted(bed, "maker", MountSpec { propagation: Propagation::Bidirectional, ..at(&dir) }, true))?;
    maker.ask(&["tmpfs", "/volume/below"])?;
    let seen = (|| {
        let plain = MountSpec { read_only: true, ..at(&dir) };
        let closed = pod.start(&mounted(bed, "read-only", plain.clone(), false))?;
        closed.expect(&["write", "/volume/x", "y"], EROFS, "a read-only volume can be written")?;
        closed.expect(&["write", "/volume/below/x", "y"], 0, "a mount in a read-only volume cannot be written")?;
        if !bed.cri.status(false)?.recursive_read_only {
            return Ok("only the volume itself; with what is mounted in it is not offered");
        }
        let all = MountSpec { recursive_read_only: true, ..plain };
        let closed = pod.start(&mounted(bed, "all-read-only", all.clone(), false))?;
        closed.expect(
            &["write", "/volume/below/x", "y"],
            EROFS,
            "a mount in a wholly read-only volume can be written",
        )?;
        for (what, mount) in [
            ("may be written", MountSpec { read_only: false, ..all.clone() }),
            ("gets mounts of the node", MountSpec { propagation: Propagation::HostToContainer, ..all.clone() }),
            ("gives its mounts to the node", MountSpec { propagation: Propagation::Bidirectional, ..all }),
        ] {
            let refused = pod.start(&mounted(bed, "wrong-read-only", mount, true));
            ensure!(refused.is_err(), "a wholly read-only volume that {what} is accepted");
        }
        Ok("the volume itself, and with all that is mounted in it")
    })();
    let undone = maker.ask(&["umount", "/volume/below"]);
    let said = seen?;
    undone?;
    Ok(said.to_owned())
}

/// An image as a volume, all of it and a part.
pub(super) fn images(bed: &Bed<'_>) -> Result<String> {
    let version = bed.cri.version()?;
    if version.runtime_name == "containerd"
        && Release::parse(&version.runtime_version).is_some_and(|release| release.pair() < (2, 1))
    {
        bail!(Unfit(format!("containerd {} mounts no images", version.runtime_version)));
    }
    let pod = bed.common()?;
    let image = MountSpec {
        container: "/volume".to_owned(),
        image: bed.place.image.clone(),
        read_only: true,
        ..MountSpec::default()
    };
    let whole = pod.start(&mounted(bed, "image", image.clone(), false))?;
    whole.expect(&["cat", "/volume/etc/group"], 0, "a file of an image that is mounted is not there")?;
    whole.expect(&["write", "/volume/x", "y"], EROFS, "an image that is mounted can be written")?;
    let id = bed.cri.image_status(&bed.place.image)?.context("the image is not known")?.id;
    let told = whole.status()?.image_mounts.into_iter().find(|(place, _)| place == "/volume");
    let told = told.context("a container's status does not have the image that is mounted")?.1;
    // 2.1 tells the name it was asked for.
    let known = told == id || told.contains("@sha256:") || told == bed.place.image;
    ensure!(known, "an image that is mounted is told as `{told}`");
    let open = pod.start(&mounted(bed, "image-open", MountSpec { read_only: false, ..image.clone() }, false));
    ensure!(open.is_err(), "an image is mounted to be written");
    let part =
        pod.start(&mounted(bed, "image-part", MountSpec { sub_path: "etc".to_owned(), ..image.clone() }, false))?;
    if part.exec(&["cat", "/volume/etc/group"])?.code == 0 {
        return Ok("an image as a volume, read-only; a part of one is not offered".to_owned());
    }
    part.expect(&["cat", "/volume/group"], 0, "a file of a part of an image is not there")?;
    let absent = MountSpec { sub_path: "not-there".to_owned(), ..image };
    ensure!(
        pod.start(&mounted(bed, "image-absent", absent, false)).is_err(),
        "a part an image does not have is mounted"
    );
    Ok("an image as a volume, read-only, and a part of one".to_owned())
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
