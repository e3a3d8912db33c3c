//! The step that carries images, and its undo.

use super::steps::Work;
use crate::{
    host::{Host, ImageName, Plugin},
    images::{self, Carried, Job, Loan, Said, Source},
    model::{Action, CarryMode, Undo},
};
use anyhow::{Context as _, Result, bail};
use std::{collections::BTreeSet, time::Duration};

/// What the step says of itself.
struct Import<'a> {
    images: &'a [String],
    bytes: u64,
    root: &'a str,
    new_root: bool,
    source: &'a str,
    job: Job<'a>,
}

impl<'a> Import<'a> {
    fn of(host: &'a Host, run: &'a str, action: &'a Action) -> Result<Self> {
        let Action::ImportImages {
            images,
            bytes,
            root,
            new_root,
            source,
            from_containerd,
            snapshotter,
            sandbox,
            options,
        } = action
        else {
            bail!("no step that carries images")
        };
        let (from_containerd, snapshotter, sandbox) = (*from_containerd, snapshotter.as_deref(), sandbox.as_deref());
        let job = Job { host, images, source, from_containerd, snapshotter, root, options, run, sandbox };
        Ok(Self { images, bytes: *bytes, root, new_root: *new_root, source, job })
    }
}

/// Works out what may be lent. Changes nothing.
pub fn prepare(work: &Work<'_>, action: &Action) -> Result<Undo> {
    let import = Import::of(work.host, &work.run.id, action)?;
    if import.source.is_empty() && !import.job.from_containerd {
        return Ok(Undo::None { reason: "images are only added; containerd does without them".to_owned() });
    }
    // A containerd with another root than the running one's is a new one.
    let had = if import.new_root {
        None
    } else {
        expect_root(work, import.root)?;
        let store = work.host.doors.layers(work.plan.desired.socket())?;
        Some(store.names()?.into_iter().map(|name| name.name).collect())
    };
    let (layers, ids) = import.job.loan(work.plan.desired.socket())?;
    Ok(Undo::ReturnImages {
        had,
        ids,
        source: import.source.to_owned(),
        root: import.root.to_owned(),
        new_root: import.new_root,
        layers,
    })
}

/// Carries them.
pub fn act(work: &mut Work<'_>, action: &Action) -> Result<Option<String>> {
    let (host, run) = (work.host, work.run);
    let import = Import::of(host, &run.id, action)?;
    let docker = import.job.docker(work.plan.desired.socket())?;
    let sorted = import.job.sort(docker.as_deref())?;
    let streamed: Vec<String> = sorted.streamed.iter().map(|(name, _)| name.clone()).collect();
    for (name, why) in &sorted.streamed {
        if docker.is_some() && import.job.options.mode == CarryMode::Auto {
            work.observer.warn(&format!("{name} goes through `docker save`: {why}"));
        }
    }
    for (name, why) in &sorted.nameless {
        work.observer.warn(&format!("{name} is left out: it has no tag, and would go through `docker save` ({why})"));
    }
    if !streamed.is_empty() {
        let bytes =
            if streamed.len() == import.images.len() { import.bytes } else { size_of(docker.as_deref(), &streamed) };
        images::check_room(work.host, import.root, bytes)?;
    }
    let timeout = work.timeouts.images.duration();
    let start = work.timeouts.unit.duration();
    let socket = work.plan.desired.socket().to_owned();
    let all = |work: &mut Work<'_>, socket: &str| -> Result<Carried> {
        let mut carried = match &docker {
            Some(docker) if !sorted.layered.is_empty() => {
                let store = host.doors.layers(socket)?;
                import.job.check_room(&sorted, &**docker, &*store)?;
                import.job.carry_layers(&**docker, &sorted, &*store, &mut |said| match said {
                    Said::Doing(what) => {
                        work.observer.waiting(what);
                        work.check_interrupt()
                    }
                    Said::Done(what) => {
                        work.observer.part_done(what);
                        Ok(())
                    }
                })?
            }
            _ => Carried::default(),
        };
        let bytes = size_of(docker.as_deref(), &streamed).max(if docker.is_none() { import.bytes } else { 0 });
        stream(host, socket, &import, &streamed, timeout, &mut carried, &mut |moved| {
            work.observer.moved(moved, bytes);
        })?;
        for (name, _) in &sorted.streamed {
            work.observer.part_done(&format!("{name} by stream"));
        }
        Ok(carried)
    };
    let carried = if import.new_root {
        images::with_containerd(host, import.root, timeout, start, |socket| all(work, socket))?
    } else {
        all(work, &socket)?
    };
    for note in &carried.notes {
        work.observer.warn(note);
    }
    if !import.new_root {
        expect_known(work, &carried.names)?;
        if import.job.options.online {
            ask_registries(work, &carried.without_manifest, timeout);
        }
    }
    Ok(Some(carried.sentence()))
}

/// How long an import that outlived its castoff may take to end.
const ORPHANS: Duration = Duration::from_secs(120);
/// How long CRI may take to learn of new names; it is told by events.
const LEARNING: Duration = Duration::from_secs(20);

/// Every name resolves over CRI. A containerd without CRI learns them when it gets one.
fn expect_known(work: &mut Work<'_>, names: &[String]) -> Result<()> {
    let endpoint = work.plan.desired.endpoint.clone();
    let cri = work.host.cri(&endpoint)?;
    if cri.images().is_err() {
        return Ok(());
    }
    work.wait_until(LEARNING, |_| {
        for name in names {
            if cri.image_status(name)?.is_none() {
                return Ok(Err(format!("CRI does not know {name}")));
            }
        }
        Ok(Ok(()))
    })
    .with_context(|| format!("containerd took the images, but CRI on {endpoint} does not know all of them"))
}

/// A pull by digest brings the registry's manifest and finds every layer here. That it fails changes nothing.
fn ask_registries(work: &mut Work<'_>, names: &[String], timeout: Duration) {
    for name in names {
        work.observer.waiting(&format!("asking for the manifest of {name}"));
        let pulled = work.host.cri(&work.plan.desired.endpoint).and_then(|cri| cri.pull(name, timeout));
        if let Err(error) = pulled {
            work.observer.warn(&format!("{name} keeps the manifest made here: {error:#}"));
        }
    }
}

fn size_of(docker: Option<&dyn Source>, names: &[String]) -> u64 {
    let size = |name: &String| {
        let docker = docker?;
        docker.image(&docker.find(name).ok()??).ok().map(|image| image.size())
    };
    names.iter().filter_map(size).sum()
}

/// What cannot be carried by layers.
fn stream(
    host: &Host,
    socket: &str,
    import: &Import<'_>,
    names: &[String],
    timeout: Duration,
    carried: &mut Carried,
    moved: &mut dyn FnMut(u64),
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    images::await_imports(host, socket, ORPHANS);
    // Only names that this run makes are its to take away again.
    let store =
        if import.source.is_empty() && !import.job.from_containerd { None } else { host.doors.layers(socket).ok() };
    let before = store.as_ref().map(|store| store.names()).transpose()?.unwrap_or_default();
    carried.bytes += images::stream(host, socket, names, import.job.snapshotter, timeout, moved)?;
    if let Some(store) = store {
        let planned = |name: &ImageName| names.iter().any(|image| images::canonical(image) == name.name);
        let there: Vec<ImageName> = store.names()?.into_iter().filter(planned).collect();
        for name in there.iter().filter(|name| !before.iter().any(|known| known.name == name.name)) {
            store.label_name(name, images::RUN_LABEL, import.job.run)?;
        }
        // An import leaves out the id, which CRI would add only when it runs; killed since, it may have ended without us.
        for id in images::ids_of(&there, &*store, import.job.run)? {
            store.put_name(&id)?;
        }
        carried.names.extend(there.into_iter().map(|name| name.name));
    }
    carried.streamed(names.len());
    Ok(())
}

/// Takes it back: first Docker's layers, then what containerd knows of them.
pub fn give_back(work: &Work<'_>, undo: &Undo) -> Result<()> {
    let Undo::ReturnImages { source, root, new_root, layers, ids, had } = undo else { bail!("no images to give back") };
    let planned = work.plan.steps.iter().find_map(|step| match &step.action {
        Action::ImportImages { source: s, root: r, images, .. } if s == source && r == root => Some(images),
        _ => None,
    });
    let Some(images) = planned else {
        bail!("the journal gives images back to {source}, with which its plan has nothing to do")
    };
    let loan = Loan { run: &work.run.id, source, root, layers, ids, images, had: had.as_deref() };
    let none = BTreeSet::new();
    let host = work.host;
    if !host.is_live() {
        return loan.return_layers(host, &none).map(drop);
    }
    let back = |socket: &str| -> Result<()> {
        let store = host.doors.layers(socket)?;
        images::await_imports(host, socket, ORPHANS);
        loan.expect_unused(host, &*store)?;
        let needed = loan.needed(&*store)?;
        loan.return_layers(host, &needed)?;
        loan.forget(&*store, &needed).map(drop)
    };
    let endpoint = &work.plan.desired.endpoint;
    if serves(host, endpoint, root, *new_root) {
        return back(work.plan.desired.socket());
    }
    if !host.root.exists(&images::snapshots_dir(root)) {
        // It never came to anything.
        return loan.return_layers(host, &none).map(drop);
    }
    let (timeout, start) = (work.timeouts.images.duration(), work.timeouts.unit.duration());
    images::with_containerd(host, root, timeout, start, back)
        .with_context(|| format!("cannot tell containerd that the layers below {root} are Docker's again"))
}

/// What is carried to another place than the plan says would not be found again by who takes it back.
fn expect_root(work: &Work<'_>, root: &str) -> Result<()> {
    match layers_of(work.host, &work.plan.desired.endpoint) {
        Ok(Some(dir)) if !is_in(&dir, root) => bail!(
            "the running containerd keeps its layers in {dir}, and by its configuration they were below {root}; once it was \
             restarted, plan again"
        ),
        _ => Ok(()),
    }
}

/// Whether the running containerd is the one that keeps its data in `root`.
fn serves(host: &Host, endpoint: &str, root: &str, new_root: bool) -> bool {
    match layers_of(host, endpoint) {
        Err(_) => false,
        Ok(Some(dir)) => is_in(&dir, root),
        // It does not tell where; it has the root that its configuration had before, or has now.
        Ok(None) => !new_root,
    }
}

fn is_in(dir: &str, root: &str) -> bool {
    dir.starts_with(&format!("{}/", root.trim_end_matches('/')))
}

/// Where the running containerd keeps its layers, when it tells.
fn layers_of(host: &Host, endpoint: &str) -> Result<Option<String>> {
    let plugins = host.doors.containerd(endpoint)?.plugins()?;
    let is_overlayfs = |plugin: &Plugin| plugin.kind == "io.containerd.snapshotter.v1" && plugin.id == "overlayfs";
    Ok(plugins.into_iter().find(is_overlayfs).and_then(|mut plugin| plugin.exports.remove("root")))
}
