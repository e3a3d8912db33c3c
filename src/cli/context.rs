//! What most commands need: the node, what is wanted of it, what is there.

use super::{
    args::NodeArgs,
    bundle::{self, FromBundle},
    cluster_args::ClusterArgs,
    exit::Usage,
    explain::guess,
};
use crate::{
    apply::{self, Refusal},
    checks, cluster,
    host::{Faults, Host, bundle_file, user_files},
    inspect,
    model::{Assumptions, Desired, Facts, Finding, PROFILE_KEYS, Plan, Profile},
    plan,
    ui::Printer,
    verify::trial,
};
use anyhow::{Context as _, Result, anyhow};
use std::path::{Path, PathBuf};

/// Where a profile is unless `--profile` says otherwise, below the root.
pub const PROFILE: &str = "/etc/castoff/profile.toml";

/// A node and what is wanted of it.
#[derive(Debug)]
pub struct Context {
    /// The node.
    pub host: Host,
    /// What is wanted.
    pub desired: Desired,
    /// The profile it came from.
    pub profile: Profile,
    /// The same as text; absent where there is none.
    pub profile_text: Option<String>,
    /// The support bundle that stands for the node.
    pub bundle: Option<FromBundle>,
    assumptions: Assumptions,
    asks_cluster: bool,
}

impl Context {
    /// Opens the node and reads the profile.
    ///
    /// # Errors
    /// Usage errors, an unreadable profile, a root that cannot be opened.
    pub fn open(args: &NodeArgs, skip_checks: &[String]) -> Result<Self> {
        no_bundle(args)?;
        Self::look(args, skip_checks)
    }

    /// The same for commands about a run that is there. They go by the plan that was saved with it, so a profile that
    /// cannot be used is told and left out: it must not keep a node from its way back, least of all at boot.
    ///
    /// # Errors
    /// Usage errors, a root that cannot be opened.
    pub fn of_run(args: &NodeArgs, printer: Printer) -> Result<Self> {
        no_bundle(args)?;
        let mut context = Self::without_profile(args, &[])?;
        if let Err(error) = context.read_profile(args, &[]) {
            let why = format!("{error:#}").replace('\n', "\n  ");
            let path = args.profile.as_deref().unwrap_or(Path::new(PROFILE)).display();
            printer.insist(&format!("warning: {path} is left out; the run's own plan says what was wanted: {why}"));
        }
        Ok(context)
    }

    /// The same as [`Context::open`] for commands that only look: what stands for the node may be a support bundle.
    ///
    /// # Errors
    /// As [`Context::open`]; a bundle that cannot be used.
    pub fn look(args: &NodeArgs, skip_checks: &[String]) -> Result<Self> {
        let mut context = Self::without_profile(args, skip_checks)?;
        context.read_profile(args, skip_checks)?;
        Ok(context)
    }

    fn without_profile(args: &NodeArgs, skip_checks: &[String]) -> Result<Self> {
        let mut assumptions = Assumptions::default();
        for pair in &args.assume {
            assumptions.set(pair).map_err(|why| {
                let key = pair.split('=').next().unwrap_or_default();
                let close = guess(key, Assumptions::KEYS.into_iter().filter(|known| *known != key));
                Usage::error(why, close.unwrap_or_else(|| "for example `--assume kubelet.version=1.23.17`".to_owned()))
            })?;
        }
        for id in skip_checks {
            known_check(id)?;
        }
        let bundle =
            args.root.as_deref().filter(|root| bundle_file::is_bundle(root)).map(FromBundle::open).transpose()?;
        if bundle.is_some() && !args.assume.is_empty() {
            return Err(Usage::error("a support bundle holds the node's own answers", "leave `--assume` out"));
        }
        let dir = match &bundle {
            Some(bundle) => bundle.nowhere().to_owned(),
            None => args.root.clone().unwrap_or_else(|| PathBuf::from("/")),
        };
        let host = Host::open(&user_files::absolute(&dir)?, &Faults::none())?;
        let profile = Profile::default();
        let desired = resolve(args, &profile, skip_checks)?;
        Ok(Self { host, desired, profile, profile_text: None, bundle, assumptions, asks_cluster: false })
    }

    fn read_profile(&mut self, args: &NodeArgs, skip_checks: &[String]) -> Result<()> {
        let of_bundle = self.bundle.as_ref().map(FromBundle::profile);
        let text = match (&args.profile, of_bundle) {
            (None, Some(text)) => Some(text.to_owned()),
            (path, _) => profile_text(&self.host, path.as_deref())?,
        };
        let profile = profile(text.as_deref(), args.profile.as_deref())?;
        self.desired = resolve(args, &profile, skip_checks)?;
        (self.profile, self.profile_text) = (profile, text);
        Ok(())
    }

    /// The same with the node's cluster, unless nobody wants it asked.
    ///
    /// # Errors
    /// When the kubeconfig's path cannot be used.
    pub fn with_cluster(mut self, args: &ClusterArgs) -> Result<Self> {
        self.asks_cluster = !args.no_cluster;
        self.desired.cluster = args.options()?;
        if let Some(timeout) = args.drain_timeout {
            self.desired.timeouts.drain = timeout;
        }
        Ok(self)
    }

    /// Looks at the node from here on as it was for this plan: by its endpoint and kubeconfig, and at the cluster only where
    /// the plan is about it too.
    pub fn go_by(&mut self, plan: &Plan) {
        self.desired.clone_from(&plan.desired);
        self.asks_cluster = plan.is_about_cluster();
    }

    /// What is stated about the node.
    pub const fn assumptions(&self) -> &Assumptions {
        &self.assumptions
    }

    /// Looks at the node.
    pub fn facts(&self) -> Facts {
        if let Some(bundle) = &self.bundle {
            return bundle.facts(self.asks_cluster);
        }
        let mut facts = inspect::inspect(&self.host, &self.assumptions, &self.desired.endpoint);
        if self.asks_cluster {
            facts.cluster = cluster::look(&self.host, &facts, &self.desired.cluster);
        }
        facts
    }

    /// The kubeconfig that kubelet is started with.
    pub fn kubelets_kubeconfig(&self) -> Option<String> {
        let facts = inspect::inspect(&self.host, &self.assumptions, &self.desired.endpoint);
        facts.kubelet.flag("kubeconfig").map(|flag| flag.value.clone())
    }

    /// Looks at the node, and reads one file more.
    pub fn facts_with(&self, file: Option<&str>) -> Facts {
        let mut facts = self.facts();
        if let Some(file) = file {
            inspect::read_also(&self.host, file, &mut facts);
        }
        facts
    }

    /// Refuses to change a running node without being root.
    ///
    /// # Errors
    /// [`Refusal::NotRoot`], or no systemd to talk to.
    pub fn need_rights(&self) -> Result<()> {
        if !self.host.is_live() {
            return Ok(());
        }
        if !self.host.kernel.is_root() {
            return Err(Refusal::NotRoot.into());
        }
        self.host.units.state("kubelet.service").map(|_| ())
    }
}

/// A check that exists; a mistyped one is guessed.
///
/// # Errors
/// A usage error.
pub fn known_check(id: &str) -> Result<&'static checks::CheckInfo> {
    checks::find(id).ok_or_else(|| {
        let close = guess(id, checks::registry().map(|check| check.id));
        let hint = close.unwrap_or_else(|| "`castoff check --list` shows all".to_owned());
        Usage::error(format!("there is no finding `{id}`"), hint)
    })
}

/// A support bundle is no node to act on.
fn no_bundle(args: &NodeArgs) -> Result<()> {
    match args.root.as_deref().filter(|root| bundle_file::is_bundle(root)) {
        Some(root) => Err(bundle::only_to_look_at(root)),
        None => Ok(()),
    }
}

fn resolve(args: &NodeArgs, profile: &Profile, skip_checks: &[String]) -> Result<Desired> {
    Desired::resolve(args.goal(), profile, skip_checks)
        .map_err(|why| Usage::error(why, "correct the profile, or leave the key out"))
}

fn profile_text(host: &Host, path: Option<&Path>) -> Result<Option<String>> {
    match path {
        Some(path) => Ok(Some(user_files::read(path).context("cannot read the profile")?)),
        None => Ok(host.root.text(PROFILE)?),
    }
}

fn profile(text: Option<&str>, path: Option<&Path>) -> Result<Profile> {
    let Some(text) = text else { return Ok(Profile::default()) };
    let shown = path.map_or_else(|| PROFILE.to_owned(), |path| path.display().to_string());
    // toml's error shows the line with a caret below the fault.
    let profile: Profile = toml::from_str(text).map_err(|error| {
        let close = meant_key(error.message()).map(|close| format!("\n{close}")).unwrap_or_default();
        anyhow!("{shown} cannot be used\n{}{close}", error.to_string().trim_end())
    })?;
    for id in &profile.skip_checks {
        known_check(id).with_context(|| format!("{shown} skips a check"))?;
    }
    Ok(profile)
}

/// A guess for a key of the profile that there is not.
fn meant_key(message: &str) -> Option<String> {
    let wrong = message.strip_prefix("unknown field `")?.split('`').next()?;
    guess(wrong, PROFILE_KEYS.iter().flat_map(|key| [key.key, key.table]).filter(|word| !word.is_empty()))
}

/// Whether and how loudly the planned configuration is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trying {
    /// False with `--no-trial`.
    pub wanted: bool,
    /// Where its times go with `-v`.
    pub printer: Printer,
}

/// Makes the plan for a node, and tries it.
pub fn make_plan(context: &Context, lines: usize, trying: Trying) -> Plan {
    plan_from(context, &context.facts(), lines, trying)
}

/// The same, out of facts that are there already.
pub fn plan_from(context: &Context, facts: &Facts, lines: usize, trying: Trying) -> Plan {
    let mut plan = plan::plan(facts, &context.desired, plan::Options { context: lines });
    match &context.bundle {
        // There is nothing here to try it with.
        Some(bundle) => bundle.settle(&mut plan),
        None => try_out(context, facts, &mut plan, trying),
    }
    plan
}

/// Tries a plan's containerd configuration, and looks whether it can be carried out at all; what is found joins the
/// plan's findings, which its digest does not cover.
pub fn try_out(context: &Context, facts: &Facts, plan: &mut Plan, trying: Trying) {
    let known = |finding: &Finding| {
        finding.id.starts_with("containerd-trial-") || checks::OF_THE_MOMENT.iter().any(|check| finding.id == check.id)
    };
    plan.findings.retain(|finding| !known(finding));
    plan.findings.extend(apply::obstacles(&context.host, plan));
    let Some(trial) = trying.wanted.then(|| trial::run(&context.host, facts, plan)).flatten() else { return };
    if trying.printer.verbose() > 0 {
        trying.printer.say(&format!("trial: {} ms", trial.took.as_millis()));
        for line in &trial.learned {
            trying.printer.say(&format!("trial: {line}"));
        }
    }
    plan.findings.extend(trial.findings);
}

/// A document as JSON text.
///
/// # Errors
/// Never for castoff's own documents.
pub fn json(document: &impl serde::Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(document).context("cannot print JSON")?;
    text.push('\n');
    Ok(text)
}
