//! A systemd in memory for tests: units with states, orders that change them, scripted failures, recorded calls.

use super::{JobResult, OwnProcess, Scope, UnitError, UnitState, Units};
use crate::host::Faults;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
    time::Duration,
};

/// A systemd in memory. Clones are the same systemd.
#[derive(Clone, Debug, Default)]
pub struct FakeUnits(Rc<RefCell<Manager>>);

#[derive(Default)]
struct Manager {
    faults: Faults,
    down: Option<String>,
    units: BTreeMap<String, UnitState>,
    /// Call → result of its job, once or for ever.
    failures: Vec<(String, String, bool)>,
    crashing: BTreeSet<String>,
    own: Option<OwnProcess>,
    reactions: Vec<(String, Reaction)>,
    calls: Vec<String>,
    counter: u32,
}

type Reaction = Rc<RefCell<dyn FnMut()>>;

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("units", &self.units).field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl FakeUnits {
    /// A systemd without units.
    pub fn new(faults: Faults) -> Self {
        let fake = Self::default();
        fake.0.borrow_mut().faults = faults;
        fake
    }

    /// The same systemd, asked by another process: its failures are scripted anew.
    #[must_use]
    pub fn with_faults(&self, faults: Faults) -> Self {
        self.0.borrow_mut().faults = faults;
        self.clone()
    }

    /// Adds a loaded, enabled unit that runs (`active`) or not.
    #[must_use]
    pub fn unit(self, name: &str, active: bool) -> Self {
        self.put(UnitState {
            load: "loaded".into(),
            file_state: "enabled".into(),
            fragment: Some(format!("/usr/lib/systemd/system/{name}")),
            ..UnitState::not_found(name)
        });
        if active {
            self.0.borrow_mut().up(name);
        }
        self
    }

    /// Adds or replaces a unit.
    pub fn put(&self, state: UnitState) {
        self.0.borrow_mut().units.insert(state.name.clone(), state);
    }

    /// Changes a unit that is there.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut UnitState)) {
        if let Some(state) = self.0.borrow_mut().units.get_mut(name) {
            change(state);
        }
    }

    /// Nothing can be reached any more.
    pub fn go_down(&self, why: &str) {
        self.0.borrow_mut().down = Some(why.to_owned());
    }

    /// Everything can be reached again.
    pub fn come_back(&self) {
        self.0.borrow_mut().down = None;
    }

    /// The next such call (`start kubelet.service`; `adopt` and `run` of whatever name) ends its job with this result.
    pub fn fail_once(&self, call: &str, result: &str) {
        self.0.borrow_mut().failures.push((call.to_owned(), result.to_owned(), true));
    }

    /// Where this process is; a login session without that.
    pub fn lives(&self, own: OwnProcess) {
        self.0.borrow_mut().own = Some(own);
    }

    /// Every such call ends its job with this result.
    pub fn fail_always(&self, call: &str, result: &str) {
        self.0.borrow_mut().failures.push((call.to_owned(), result.to_owned(), false));
    }

    /// From now on the unit's program dies after every start and systemd restarts it.
    pub fn crash_loop(&self, unit: &str) {
        self.0.borrow_mut().crashing.insert(unit.to_owned());
    }

    /// The unit's program is well again.
    pub fn heal(&self, unit: &str) {
        self.0.borrow_mut().crashing.remove(unit);
    }

    /// Runs `act` whenever such a call (`stop docker.service`, `reload`) succeeded: what the daemon itself would do.
    pub fn when(&self, call: &str, act: impl FnMut() + 'static) {
        self.0.borrow_mut().reactions.push((call.to_owned(), Rc::new(RefCell::new(act))));
    }

    /// Every order so far: `start X`, `stop X`, `restart X`, `reset-failed X`, `adopt X`, `run X`, `reload`. Looking is not recorded.
    pub fn calls(&self) -> Vec<String> {
        self.0.borrow().calls.clone()
    }

    /// The units with their states, for comparing before and after.
    pub fn snapshot(&self) -> BTreeMap<String, UnitState> {
        self.0.borrow().units.clone()
    }

    fn order(&self, call: &str, act: impl FnOnce(&mut Manager) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let faults = self.0.borrow().faults.clone();
        // What a daemon does of its own accord belongs to the effect: it happens although whoever asked dies right after.
        faults.effect(call, || {
            {
                let mut manager = self.0.borrow_mut();
                manager.reachable()?;
                manager.calls.push(call.to_owned());
                act(&mut manager)?;
            }
            self.react(call);
            Ok(())
        })
    }

    /// Runs without a borrow: a reaction may look at this fake, or change it.
    fn react(&self, call: &str) {
        let reactions = self.0.borrow().reactions.clone();
        for (_, reaction) in reactions.iter().filter(|(wanted, _)| wanted == call) {
            if let Ok(mut act) = reaction.try_borrow_mut() {
                act();
            }
        }
    }

    /// A unit that is made for one moment.
    fn transient(&self, verb: &str, unit: &str) -> anyhow::Result<()> {
        self.order(&format!("{verb} {unit}"), |manager| match manager.scripted(verb) {
            None => Ok(()),
            Some(result) => {
                let (verb, unit, log) = (verb.to_owned(), unit.to_owned(), vec!["scripted failure".to_owned()]);
                Err(UnitError::Job { verb, unit, result, log }.into())
            }
        })
    }

    fn job(&self, verb: &str, unit: &str, act: impl FnOnce(&mut Manager)) -> anyhow::Result<JobResult> {
        let call = format!("{verb} {unit}");
        self.order(&call, |manager| {
            manager.startable(verb, unit)?;
            if let Some(result) = manager.scripted(&call) {
                if verb != "stop" {
                    manager.down(unit, "failed");
                }
                let (verb, unit, log) = (verb.to_owned(), unit.to_owned(), vec!["scripted failure".to_owned()]);
                return Err(UnitError::Job { verb, unit, result, log }.into());
            }
            act(manager);
            Ok(())
        })?;
        Ok(JobResult { unit: unit.to_owned(), result: "done".to_owned(), seconds: 0.0 })
    }
}

impl Manager {
    fn reachable(&self) -> anyhow::Result<()> {
        match &self.down {
            None => Ok(()),
            Some(why) => Err(UnitError::Unreachable { at: "the fake bus".to_owned(), detail: why.clone() }.into()),
        }
    }

    fn startable(&self, verb: &str, unit: &str) -> anyhow::Result<()> {
        let load = self.units.get(unit).map_or("not-found", |state| state.load.as_str());
        let unit = unit.to_owned();
        match load {
            _ if verb == "stop" => Ok(()),
            "masked" => Err(UnitError::Masked { unit }.into()),
            "not-found" => Err(UnitError::NotFound { unit, detail: "not in the fake".to_owned() }.into()),
            _ => Ok(()),
        }
    }

    fn scripted(&mut self, call: &str) -> Option<String> {
        let found = self.failures.iter().position(|(wanted, ..)| wanted == call)?;
        let (_, result, once) = self.failures[found].clone();
        if once {
            self.failures.remove(found);
        }
        Some(result)
    }

    fn up(&mut self, unit: &str) {
        self.counter += 1;
        let counter = self.counter;
        let needs = match self.units.get_mut(unit) {
            None => return,
            Some(state) if state.is_active() || !state.is_loaded() => return,
            Some(state) => {
                (state.active, state.sub, state.result) = ("active".into(), "running".into(), "success".into());
                (state.invocation, state.restarts) = (format!("{counter:032x}"), 0);
                (state.main_pid, state.entered) = (Some(1000 + counter), u64::from(counter) * 1_000_000);
                [state.requires.clone(), state.binds_to.clone(), state.wants.clone()].concat()
            }
        };
        for need in needs {
            self.up(&need);
        }
    }

    fn down(&mut self, unit: &str, active: &str) {
        let Some(state) = self.units.get_mut(unit) else { return };
        let was_active = state.is_active();
        if active == "failed" {
            (state.active, state.sub, state.result) = ("failed".into(), "failed".into(), "exit-code".into());
        } else if was_active || state.active == "activating" {
            (state.active, state.sub) = ("inactive".into(), "dead".into());
        }
        state.main_pid = None;
        if !was_active {
            return;
        }
        // systemd stops what requires a unit along with it.
        for dependent in [state.required_by.clone(), state.bound_by.clone()].concat() {
            self.down(&dependent, "inactive");
        }
    }

    /// One more crash, seen at every look.
    fn crash(&mut self, unit: &str) {
        if !self.crashing.contains(unit) {
            return;
        }
        self.counter += 1;
        let counter = self.counter;
        if let Some(state) = self.units.get_mut(unit).filter(|state| state.is_active()) {
            state.restarts += 1;
            (state.invocation, state.main_pid) = (format!("{counter:032x}"), Some(1000 + counter));
            state.result = "exit-code".into();
        }
    }
}

impl Units for FakeUnits {
    fn available(&self) -> Result<(), String> {
        self.0.borrow().reachable().map_err(|error| error.to_string())
    }

    fn systemd_version(&self) -> anyhow::Result<String> {
        self.0.borrow().reachable()?;
        Ok("252 (fake)".to_owned())
    }

    fn state(&self, unit: &str) -> anyhow::Result<UnitState> {
        let mut manager = self.0.borrow_mut();
        manager.reachable()?;
        let state = manager.units.get(unit).cloned().unwrap_or_else(|| UnitState::not_found(unit));
        manager.crash(unit);
        Ok(state)
    }

    fn start(&self, unit: &str, _timeout: Duration) -> anyhow::Result<JobResult> {
        self.job("start", unit, |manager| manager.up(unit))
    }

    fn stop(&self, unit: &str, _timeout: Duration) -> anyhow::Result<JobResult> {
        self.job("stop", unit, |manager| manager.down(unit, "inactive"))
    }

    fn restart(&self, unit: &str, _timeout: Duration) -> anyhow::Result<JobResult> {
        self.job("restart", unit, |manager| {
            manager.down(unit, "inactive");
            manager.up(unit);
        })
    }

    fn reset_failed(&self, unit: &str) -> anyhow::Result<()> {
        self.order(&format!("reset-failed {unit}"), |manager| {
            if let Some(state) = manager.units.get_mut(unit).filter(|state| state.active == "failed") {
                (state.active, state.sub, state.result) = ("inactive".into(), "dead".into(), "success".into());
            }
            Ok(())
        })
    }

    fn own(&self) -> anyhow::Result<OwnProcess> {
        let manager = self.0.borrow();
        manager.reachable()?;
        let session = || OwnProcess { pid: std::process::id(), unit: "session-1.scope".to_owned() };
        Ok(manager.own.clone().unwrap_or_else(session))
    }

    fn try_program(&self, _: &str) -> anyhow::Result<()> {
        self.transient("run", "castoff-program.service")
    }

    fn adopt(&self, scope: &Scope<'_>, _: u32) -> anyhow::Result<()> {
        self.transient("adopt", scope.name)
    }

    fn reload(&self) -> anyhow::Result<()> {
        self.order("reload", |manager| {
            for state in manager.units.values_mut() {
                state.need_reload = false;
            }
            Ok(())
        })
    }
}
