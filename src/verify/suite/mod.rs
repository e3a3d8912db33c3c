//! The CRI suite: what kubelet asks of a runtime, asked of one that runs. Pods of castoff's own image, in a cgroup of
//! castoff's own; each check ends what it made.

mod bed;
mod containers;
mod files;
mod images;
mod network;
mod pods;
mod security;
mod streams;
mod users;

pub(crate) use bed::{Bed, NAMESPACE, Place, Pod, Seen, Unfit};
pub(crate) use images::{is_spare, sweep as sweep_images};

use crate::model::{Check, CheckStatus, Evidence, Rung};
use anyhow::Result;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What a check is: its name, and what it does. An error is a failure, [`Unfit`] says that it cannot be tried.
pub(crate) type Case = (&'static str, fn(&Bed<'_>) -> Result<String>);

/// What must work before a node is trusted with a migration.
pub(crate) const GATE: &[Case] = &[
    ("pod", pods::runs),
    ("cgroup", pods::cgroup),
    ("exec", containers::exec),
    ("logs", containers::logs),
    ("ends", containers::ends),
];

/// The rest of what kubelet relies on.
pub(crate) const FULL: &[Case] = &[
    ("pod", pods::runs),
    ("cgroup", pods::cgroup),
    ("limits", pods::limits),
    ("attributes", pods::attributes),
    ("lifecycle", containers::lifecycle),
    ("idempotence", pods::idempotence),
    ("exec", containers::exec),
    ("exec-timeout", containers::exec_timeout),
    ("logs", containers::logs),
    ("log-reopen", containers::reopen),
    ("stats", containers::stats),
    ("metrics", containers::metrics),
    ("ends", containers::ends),
    ("oom", containers::oom),
    ("environment", containers::environment),
    ("user", security::user),
    ("groups", security::groups),
    ("capabilities", security::capabilities),
    ("privileged", security::privileged),
    ("no-new-privs", security::no_new_privs),
    ("read-only-root", security::read_only_root),
    ("seccomp", security::seccomp),
    ("apparmor", security::apparmor),
    ("masked-paths", security::masked_paths),
    ("volumes", files::volumes),
    ("read-only-volumes", files::read_only),
    ("image-volumes", files::images),
    ("mount-propagation", files::propagation),
    ("devices", files::devices),
    ("sysctls", pods::sysctls),
    ("namespaces", pods::namespaces),
    ("user-namespaces", users::namespaces),
    ("host-network", network::host),
    ("dns", network::dns),
    ("pod-network", network::pod),
    ("host-port", network::port),
    ("stream-exec", streams::exec),
    ("attach", streams::attach),
    ("port-forward", streams::port_forward),
    ("images", images::known),
    ("image-names", images::names),
    ("image-users", images::users),
    ("image-removal", images::removal),
];

/// Checks that wait more than they work are done at the same time.
const WORKERS: usize = 4;

/// Runs checks, with `prefix` before their names. Without a pod nothing else can be tried, and nothing else is told. After a
/// signal none is begun.
pub(crate) fn run(bed: &Bed<'_>, cases: &[Case], prefix: &str, rung: Rung) -> Vec<Check> {
    let Some((first, rest)) = cases.split_first().filter(|_| !bed.is_interrupted()) else { return Vec::new() };
    let first = one(bed, first, prefix, rung);
    if first.status != CheckStatus::Pass {
        return vec![first];
    }
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = |bed: &Bed<'_>| {
        while !bed.is_interrupted()
            && let Some((index, case)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, rest.get(i)?)))
        {
            let check = one(bed, case, prefix, rung);
            found.lock().unwrap_or_else(PoisonError::into_inner).push((index, check));
        }
    };
    let helpers = if rest.len() < 2 * WORKERS { 0 } else { WORKERS - 1 };
    thread::scope(|scope| {
        for number in 1..=helpers {
            let (place, interrupt) = (bed.place.clone(), bed.interrupt);
            let help = move || place.with_own_client(number, interrupt, work);
            // A client and its connection belong to one thread. Without a helper, or where the machine has no thread left for
            // one, the others do its work.
            let _ = thread::Builder::new().spawn_scoped(scope, help);
        }
        work(bed);
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    std::iter::once(first).chain(found.into_iter().map(|(_, check)| check)).collect()
}

fn one(bed: &Bed<'_>, (id, case): &Case, prefix: &str, rung: Rung) -> Check {
    let began = bed.host.clock.monotonic();
    let check = judged(&format!("{prefix}{id}"), rung, case(bed));
    check.took(bed.host.clock.monotonic().saturating_sub(began))
}

/// What became of a check.
pub(crate) fn judged(id: &str, rung: Rung, done: Result<String>) -> Check {
    let error = match done {
        Ok(what) => return Check::new(id, rung, CheckStatus::Pass, what),
        Err(error) => error,
    };
    if let Some(Unfit(why)) = error.downcast_ref() {
        return Check::new(id, rung, CheckStatus::Skip, why.clone());
    }
    let evidence: Vec<Evidence> = error.downcast_ref::<Seen>().map(|seen| seen.evidence.clone()).into_iter().collect();
    Check::new(id, rung, CheckStatus::Fail, format!("{error:#}")).with(&evidence, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{FakeCri, Faults, Host};
    use std::{collections::BTreeSet, sync::atomic::AtomicBool};

    #[test]
    fn every_check_has_a_name_of_its_own_and_the_gate_is_part_of_the_whole() {
        let all: BTreeSet<&str> = FULL.iter().map(|(id, _)| *id).collect();
        assert_eq!(all.len(), FULL.len());
        assert!(GATE.iter().all(|(id, _)| all.contains(id)));
        assert_eq!(FULL[0].0, "pod");
    }

    #[test]
    fn nothing_is_begun_after_a_signal() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::open(dir.path(), &Faults::none()).unwrap();
        let (cri, interrupt) = (FakeCri::new("/run/fake.sock", Faults::none()), AtomicBool::new(false));
        let bed = Bed::new(&host, &cri, Place::in_folder(dir.path()), 0, &interrupt);
        let cases: [Case; 3] = [
            ("pod", |_| Ok(String::new())),
            ("signal", |bed| {
                bed.interrupt.store(true, Ordering::Relaxed);
                Ok(String::new())
            }),
            ("late", |_| Ok(String::new())),
        ];
        let ran = || run(&bed, &cases, "x-", Rung::Shadow).into_iter().map(|check| check.id).collect::<Vec<_>>();
        assert_eq!(ran(), ["x-pod", "x-signal"]);
        assert!(ran().is_empty());
    }

    #[test]
    fn errors_are_told_apart() {
        let status = |done| judged("x", Rung::Shadow, done).status;
        assert_eq!(status(Ok("fine".to_owned())), CheckStatus::Pass);
        assert_eq!(status(Err(Unfit("not here".to_owned()).into())), CheckStatus::Skip);
        assert_eq!(status(Err(anyhow::anyhow!("broken"))), CheckStatus::Fail);
        let seen = Seen::new("wrong", "/proc/1/cgroup", "/elsewhere");
        let check = judged("x", Rung::Shadow, Err(seen.into()));
        assert_eq!((check.detail.as_str(), check.evidence[0].value.as_str()), ("wrong", "/elsewhere"));
    }
}
