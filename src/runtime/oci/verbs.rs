//! What each command does.

use super::{
    args::{
        Create, Delete, Exec, Global, ImageArgs, Kill, List, ListFormat, OciArgs, Ps, Run, SpecArgs, Update, Verb,
        WhichImage, Wiring,
    },
    cgroup, features, seal, spec,
    store::{self, Notes, Store, check_id},
};

use crate::{
    host::{
        Aio, Clock as _, DBusUnits, Faults, Kernel as _, RealClock, RealKernel, RealProcs, Units as _, pass_signals_on,
        scratch,
    },
    runtime::{attempt, bundle::Bundle, workload},
};
use anyhow::{Context as _, Result, bail};
use libcgroups::common::{AnyCgroupManager, CgroupConfig, CgroupManager as _, ControllerOpt, create_cgroup_manager};
use libcontainer::{
    container::{Container, ContainerStatus, builder::ContainerBuilder},
    error::LibcontainerError,
    oci_spec::runtime::{LinuxResources, Process, Spec},
    signal::Signal,
    syscall::syscall::SyscallType,
};
use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};
use serde_json::json;
use std::{io::Write as _, path::Path, rc::Rc, time::Duration};

/// For systemd to forget a scope.
const SCOPE_LIMIT: Duration = Duration::from_secs(10);

/// For the last processes of a container to be gone.
const DYING: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);

/// Does one command; gives the exit code.
pub fn run(args: &OciArgs) -> Result<u8> {
    let global = &args.global;
    let store = Store::new(&global.state);
    match &args.verb {
        Verb::Create(args) => create(&store, global, args, true).map(drop),
        Verb::Start(args) => load(&store, &args.id)?.start().context("failed to start the container"),
        Verb::Run(args) => return whole(&store, global, args),
        Verb::State(args) => state(&store, &args.id),
        Verb::Kill(args) => kill(&store, args),
        Verb::Delete(args) => delete(&store, args),
        Verb::Exec(args) => return exec(&store, args),
        Verb::Pause(args) => load(&store, &args.id)?.pause().context("failed to freeze the container"),
        Verb::Resume(args) => load(&store, &args.id)?.resume().context("failed to thaw the container"),
        Verb::Ps(args) => ps(&store, args),
        Verb::Update(args) => update(&store, args),
        Verb::List(args) => list(&store, args),
        Verb::Features => say(&features::document().to_string()),
        Verb::Spec(args) => bundle(global, args),
        Verb::Image(args) => image(args),
        Verb::Hold => hold(),
    }?;
    Ok(0)
}

/// Holds a scope until its castoff ends it, or is no more.
fn hold() -> Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).context("cannot end with castoff")?;
    // It may be gone already.
    while nix::unistd::getppid() != Pid::from_raw(1) {
        nix::unistd::pause();
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("cannot write to standard output")
}

fn systemd() -> Result<DBusUnits> {
    let faults = Faults::none();
    Ok(DBusUnits::new(Aio::new()?, Rc::new(RealProcs::new(faults.clone())), faults))
}

fn load(store: &Store, id: &str) -> Result<Container> {
    check_id(id)?;
    if !store.has(id) {
        // runc's words: containerd's shim looks for them.
        bail!("container {id:?} does not exist");
    }
    Container::load(store.container(id)).with_context(|| format!("the state of container {id:?} cannot be read"))
}

fn builder(store: &Store, id: &str, wiring: &Wiring) -> Result<ContainerBuilder> {
    let builder = ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .with_root_path(store.dir())?
        .with_pid_file(wiring.pid_file.clone())?
        .with_console_socket(wiring.console_socket.clone())
        .with_preserved_fds(wiring.preserve_fds)
        .validate_id()?;
    Ok(builder)
}

fn create(store: &Store, global: &Global, args: &Create, detach: bool) -> Result<Container> {
    check_id(&args.id)?;
    if store.has(&args.id) {
        bail!("container with id exists: {:?}", args.id);
    }
    new_enough()?;
    seal::ensure()?;
    let bundle = store::real(&args.bundle)?;
    let original = Spec::load(bundle.join("config.json"))
        .with_context(|| format!("the specification of the bundle {} cannot be read", bundle.display()))?;
    let mode = RealKernel.cgroup_mode()?;
    let adapted = spec::adapt(&original, &bundle, &args.id, global.systemd_cgroup, mode)?;
    cgroup::must_be_free(&adapted.cgroup)?;
    let holder = match &adapted.place {
        Some(place) => Some((place.make(&systemd()?, &args.id)?, place.directory())),
        None => None,
    };
    let notes = Notes { bundle, scope: adapted.place.map(|place| place.scope) };
    let kept = store.keep(&args.id, &original, &adapted.spec, &notes)?;
    let built = builder(store, &args.id, &args.wiring)?
        .with_executor(adapted.payload)
        .as_init(kept)
        .with_systemd(adapted.systemd)
        .with_detach(detach)
        .with_no_pivot(args.no_pivot)
        .build();
    let built = built.map_err(anyhow::Error::from).and_then(|container| {
        if let (Some((_, scope)), Some(pid)) = (&holder, container.pid()) {
            cgroup::join_scope(pid.as_raw(), scope)?;
        }
        let resources = original.linux().as_ref().and_then(|linux| linux.resources().as_ref());
        cgroup::take_swap(Path::new(&adapted.cgroup), resources.and_then(|limits| limits.memory().as_ref()))?;
        Ok(container)
    });
    built.context("failed to create the container").inspect_err(|_| discard(store, &args.id))
}

/// Takes away what a creation that failed has left: after a failed hook libcontainer leaves the container's process.
fn discard(store: &Store, id: &str) {
    if let Ok(mut container) = load(store, id)
        && let Err(error) = remove(&mut container, true)
    {
        tracing::warn!("what is left of {id}: {error:#}");
    }
    if let Err(error) = store.remove(id) {
        tracing::warn!("what is left of {id}: {error:#}");
    }
}

/// libcontainer mounts by calls of Linux 5.12 only (`mount_setattr`).
fn new_enough() -> Result<()> {
    let release = RealKernel.release()?;
    if attempt::is_new_enough(&release) {
        return Ok(());
    }
    bail!("the kernel is {release}; castoff's runtime needs Linux {} (mount_setattr)", attempt::OLDEST_KERNEL)
}

fn whole(store: &Store, global: &Global, args: &Run) -> Result<u8> {
    let mut container = create(store, global, &args.create, args.detach)?;
    let id = &args.create.id;
    let started = container.start().context("failed to start the container");
    if args.detach || started.is_err() {
        if started.is_err() {
            let _ = delete(store, &Delete { force: true, id: id.clone() });
        }
        return started.map(|()| 0);
    }
    let pid = container.pid().map(i32::from).context("the container has no process")?;
    let code = wait(pid);
    if !args.keep {
        delete(store, &Delete { force: true, id: id.clone() })?;
    }
    code
}

/// Waits for a child, passing signals on to it; gives its exit code, 128 + N for signal N.
fn wait(pid: i32) -> Result<u8> {
    let child = Pid::from_raw(pid);
    pass_signals_on(child)?;
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(128 + u8::try_from(signal as i32).unwrap_or(0)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("cannot wait for the container's process"),
        }
    }
}

fn state(store: &Store, id: &str) -> Result<()> {
    let container = load(store, id)?;
    let mut state = container.state.clone();
    if let Some(notes) = store.notes(id) {
        state.bundle = notes.bundle;
    }
    say(&serde_json::to_string_pretty(&state).context("the state cannot be written")?)
}

fn kill(store: &Store, args: &Kill) -> Result<()> {
    let mut container = load(store, &args.id)?;
    let (number, signal) = signal(&args.signal)?;
    if !container.can_kill() && !args.all {
        bail!("container not running");
    }
    let before = container.status();
    let killed = container.kill(signal, args.all);
    // systemd takes the scope away as soon as it is empty, and a shim asks for `--all` after the end: as with runc,
    // nobody is left to be killed then. With an error containerd would wait for the end forever.
    if killed.is_err() && args.all && container.spec().is_ok_and(|config| cgroup::is_gone(&config.cgroup_path)) {
        return Ok(());
    }
    killed.with_context(|| format!("failed to send {} to the container", args.signal))?;
    // libcontainer takes any signal for the end, and who did not end of it for running: a container that was created
    // could not be started any more. One that has ended is seen to have no process.
    if stays(before, number, args.all) {
        container.set_status(before).save().context("the container's state cannot be kept")?;
    }
    Ok(())
}

/// Whether a container that lives on after a signal has the status that it had. libcontainer thaws who is to hear a
/// signal to all, and on v1 who is to be killed.
const fn stays(before: ContainerStatus, signal: i32, all: bool) -> bool {
    let kills = signal == nix::libc::SIGKILL;
    match before {
        ContainerStatus::Created => !kills,
        ContainerStatus::Paused => !kills && !all,
        _ => false,
    }
}

/// By number, or by name with or without SIG.
fn signal(word: &str) -> Result<(i32, Signal)> {
    let number = word.parse::<i32>().ok().or_else(|| {
        let name = word.to_ascii_uppercase();
        let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
        name.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
    });
    let signal = number.and_then(|number| Some((number, Signal::try_from(number).ok()?)));
    signal.with_context(|| format!("unknown signal {word:?}"))
}

fn delete(store: &Store, args: &Delete) -> Result<()> {
    check_id(&args.id)?;
    if !store.has(&args.id) {
        if args.force {
            return store.remove(&args.id);
        }
        bail!("container {:?} does not exist", args.id);
    }
    let notes = store.notes(&args.id);
    remove(&mut load(store, &args.id)?, args.force).context("failed to delete the container")?;
    if let Some(scope) = notes.and_then(|notes| notes.scope) {
        // Empty by now, and mostly forgotten by systemd already.
        if let Err(error) = systemd()?.stop(&scope, SCOPE_LIMIT) {
            tracing::warn!("{scope} is not stopped: {error:#}");
        }
    }
    store.remove(&args.id)
}

/// Deletes a container. Its last processes may still be dying, and its cgroup cannot go before them.
fn remove(container: &mut Container, force: bool) -> Result<()> {
    let clock = RealClock::new();
    let began = clock.monotonic();
    loop {
        match container.delete(force) {
            Err(LibcontainerError::CgroupManager(_)) if clock.monotonic().saturating_sub(began) < DYING => {
                if let Ok(config) = container.spec() {
                    cgroup::clear_inside(&config.cgroup_path);
                }
                clock.sleep(PAUSE);
            }
            // Its processes and its cgroup are gone by then. "The runtime MUST log a warning, but the remaining hooks and
            // lifecycle continue as if the hook had succeeded" (runtime-spec 1.0, "Lifecycle").
            Err(LibcontainerError::Hook(error)) => {
                tracing::warn!("a poststop hook failed: {error}");
                return Ok(());
            }
            result => return Ok(result?),
        }
    }
}

fn exec(store: &Store, args: &Exec) -> Result<u8> {
    load(store, &args.id)?;
    seal::ensure()?;
    let original = store.original(&args.id)?;
    let mut process: Process = match &args.process {
        Some(path) => store::read_json(path)?,
        None => assemble(args, &original)?,
    };
    let payload = spec::payload(&original, &process)?;
    spec::bare(&mut process);
    let file = store.process(&args.id, &process)?;
    let pid = builder(store, &args.id, &args.wiring)?
        .with_executor(payload)
        .as_tenant()
        .with_process(Some(&file.0))
        .with_detach(args.detach)
        .build()
        .context("exec failed")?;
    drop(file);
    if args.detach { Ok(0) } else { wait(pid.as_raw()) }
}

/// A process from the command line: the container's own with other arguments.
fn assemble(args: &Exec, original: &Spec) -> Result<Process> {
    if args.command.is_empty() {
        bail!("exec needs a program, or a file with --process");
    }
    let mut process = original.process().clone().context("the specification has no process")?;
    process.set_terminal(Some(false)).set_args(Some(args.command.clone()));
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(args.env.iter().cloned());
    process.set_env(Some(env));
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    if let Some(user) = &args.user {
        let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
        let number = |word: &str| word.parse::<u32>().with_context(|| format!("no number in --user {user}"));
        let mut who = process.user().clone();
        who.set_uid(number(uid)?);
        if !gid.is_empty() {
            who.set_gid(number(gid)?);
        }
        process.set_user(who);
    }
    Ok(process)
}

fn cgroups(container: &Container) -> Result<AnyCgroupManager> {
    let config = container.spec().context("the container's configuration cannot be read")?;
    let config = CgroupConfig {
        cgroup_path: config.cgroup_path,
        systemd_cgroup: container.systemd(),
        container_name: container.id().to_owned(),
    };
    create_cgroup_manager(config).context("the container's cgroup cannot be opened")
}

fn ps(store: &Store, args: &Ps) -> Result<()> {
    let container = load(store, &args.id)?;
    let pids = cgroups(&container)?.get_all_pids().context("the container's processes cannot be listed")?;
    let pids: Vec<i32> = pids.iter().copied().map(i32::from).collect();
    match args.format {
        ListFormat::Json => say(&json!(pids).to_string()),
        ListFormat::Table => pids.iter().try_for_each(|pid| say(&pid.to_string())),
    }
}

fn update(store: &Store, args: &Update) -> Result<()> {
    let container = load(store, &args.id)?;
    let resources: LinuxResources = if args.resources == Path::new("-") {
        serde_json::from_str(&store::read_stdin()?).context("standard input is no `linux.resources`")?
    } else {
        store::read_json(&args.resources)?
    };
    let limits =
        ControllerOpt { resources: &resources, disable_oom_killer: false, oom_score_adj: None, freezer_state: None };
    cgroups(&container)?.apply(&limits).context("the container's limits cannot be changed")?;
    let path = container.spec().context("the container's configuration cannot be read")?.cgroup_path;
    cgroup::take_swap(&path, resources.memory().as_ref())
}

fn bundle(global: &Global, args: &SpecArgs) -> Result<()> {
    check_id(&args.id)?;
    let words: Vec<&str> = args.args.iter().map(String::as_str).collect();
    let bundle = Bundle { id: &args.id, args: &words, systemd: global.systemd_cgroup, swap_limit: false };
    bundle
        .files()
        .iter()
        .try_for_each(|(path, mode, content)| scratch::put(&args.bundle, path, *mode, content.as_deref()))
}

fn image(args: &ImageArgs) -> Result<()> {
    let image = match args.image {
        WhichImage::Pause => workload::pause()?,
        WhichImage::Probe => workload::probe()?,
    };
    store::write_file(&args.out, &image.archive()?)?;
    say(image.name)
}

fn list(store: &Store, args: &List) -> Result<()> {
    let mut rows = Vec::new();
    for id in store.ids() {
        let Ok(container) = load(store, &id) else { continue };
        let bundle = store.notes(&id).map_or_else(|| container.bundle().clone(), |notes| notes.bundle);
        let pid = container.pid().map_or(0, i32::from);
        rows.push((id, pid, container.status().to_string(), bundle));
    }
    match args.format {
        ListFormat::Json => {
            let row =
                |(id, pid, status, bundle): &_| json!({ "id": id, "pid": pid, "status": status, "bundle": bundle });
            say(&json!(rows.iter().map(row).collect::<Vec<_>>()).to_string())
        }
        ListFormat::Table => rows
            .iter()
            .try_for_each(|(id, pid, status, bundle)| say(&format!("{id}\t{pid}\t{status}\t{}", bundle.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_number_and_name() {
        for word in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert!(signal(word).is_ok(), "{word}");
        }
        assert_eq!(signal("SIGWHAT").unwrap_err().to_string(), "unknown signal \"SIGWHAT\"");
    }

    #[test]
    fn a_signal_that_ends_nobody_changes_no_state() {
        const TERM: i32 = 15;
        const KILL: i32 = 9;
        assert!(stays(ContainerStatus::Created, TERM, false) && stays(ContainerStatus::Created, TERM, true));
        assert!(stays(ContainerStatus::Paused, TERM, false) && !stays(ContainerStatus::Paused, TERM, true));
        assert!(!stays(ContainerStatus::Running, TERM, false));
        assert!(!stays(ContainerStatus::Created, KILL, false) && !stays(ContainerStatus::Paused, KILL, false));
    }

    #[test]
    fn a_container_that_is_not_there_is_said_to_be_so_in_runcs_words() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert_eq!(load(&store, "c1").unwrap_err().to_string(), "container \"c1\" does not exist");
        assert!(load(&store, "../c1").unwrap_err().to_string().contains("invalid container id"));
        delete(&store, &Delete { force: true, id: "c1".to_owned() }).unwrap();
        assert!(delete(&store, &Delete { force: false, id: "c1".to_owned() }).is_err());
    }
}
