//! Support bundles: a node in one file, and planning out of it elsewhere.

use super::{
    context::{Context, json},
    exit::Usage,
    repeat::word,
};
use crate::{
    host::{
        bundle_file::{self, BundleContent},
        user_files::TempDir,
    },
    inspect,
    model::{Bundle, BundleText, Facts, Goal, Membership, Plan},
    plan,
    ui::Printer,
};
use anyhow::{Context as _, Result, anyhow};
use std::path::Path;

/// Writes a bundle of the node, and says on which counts it is not the node.
///
/// # Errors
/// A name that is none of a bundle's, a file in the way, whatever the system refuses.
pub fn make(context: &Context, file: &Path, force: bool, printer: Printer) -> Result<()> {
    if context.bundle.is_some() {
        return Err(Usage::error("this is a support bundle already", "copy it"));
    }
    let name = file.to_string_lossy();
    bundle_file::check_name(&name).map_err(|why| Usage::error(why, "for example `--bundle node.tar.zst`"))?;
    let facts = context.facts();
    let plans = |facts: &Facts| {
        let plan = |goal| {
            let desired = crate::model::Desired { goal, ..context.desired.clone() };
            (goal, plan::plan(facts, &desired, plan::Options::default()))
        };
        vec![plan(Goal::Containerd), plan(Goal::CgroupDriver)]
    };
    let (bundle, texts) = inspect::bundle::capture(&context.host, &facts, context.profile_text.as_deref(), &plans)
        .context("cannot make the bundle")?;
    bundle_file::write(file, &BundleContent { document: json(&bundle)?, texts }, force)
        .context("cannot write the bundle; `--force` replaces one that is there")?;
    let masked = bundle.files.iter().filter(|file| file.text == BundleText::Masked).count();
    printer.say(&format!("{} files, {masked} of them with masked secrets, are in {name}", bundle.files.len()));
    if context.host.is_live() && !context.host.kernel.is_root() {
        printer
            .insist("warning: not root: what only root can see is not in it, and a plan made out of it is another one");
    }
    for unlike in bundle.plans.iter().filter(|plan| !plan.same) {
        printer.insist(&format!(
            "warning: a plan for the goal {} comes out differently with masked secrets; make that one on the node",
            unlike.goal.word()
        ));
    }
    printer.say(&format!("Plan elsewhere:   castoff plan --root {}", word(&name)));
    Ok(())
}

/// Why a command that acts, or looks at files, does not take a bundle.
pub fn only_to_look_at(root: &Path) -> anyhow::Error {
    Usage::error(
        format!("{} is a support bundle, no node and no file tree", root.display()),
        "`castoff inspect`, `check` and `plan` look at one; the rest is done on the node",
    )
}

/// A bundle that stands for a node.
#[derive(Debug)]
pub struct FromBundle {
    bundle: Bundle,
    facts: Facts,
    /// A root without anything in it: nothing may be looked for on this machine.
    nowhere: TempDir,
}

impl FromBundle {
    /// Reads a bundle.
    ///
    /// # Errors
    /// When it cannot be read, was changed, or is none.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let content = bundle_file::read(path)?;
        let bundle: Bundle = serde_json::from_str(&content.document)
            .map_err(|error| anyhow!("{shown} is no support bundle that this castoff can read: {error}"))?;
        let facts =
            bundle.facts(content.texts).map_err(|why| anyhow!("{shown} cannot be used as a support bundle: {why}"))?;
        Ok(Self { bundle, facts, nowhere: TempDir::new("castoff-bundle")? })
    }

    /// An empty directory.
    pub fn nowhere(&self) -> &Path {
        self.nowhere.path()
    }

    /// The profile that was in force; without one, an empty text.
    pub fn profile(&self) -> &str {
        self.bundle.profile.as_deref().unwrap_or_default()
    }

    /// What was seen on the node.
    pub fn facts(&self, with_cluster: bool) -> Facts {
        let mut facts = self.facts.clone();
        if !with_cluster {
            facts.cluster = Membership::default();
        }
        facts
    }

    /// Gives a plan the digests it has on the node.
    pub fn settle(&self, plan: &mut Plan) {
        self.bundle.settle(plan);
    }

    /// Says whether it is the plan that the node had.
    pub fn tell(&self, plan: &Plan, printer: Printer) {
        let Bundle { node, created, plans, .. } = &self.bundle;
        let known = plans.iter().any(|known| known.digest == plan.digest);
        printer.say(&if known {
            format!("This is plan {} as on {node} at {created}.", plan.id)
        } else {
            format!("note: at {created} {node} had other plans than this one: other wishes, or another castoff")
        });
    }

    /// Refuses to save a plan whose contents are known on the node only.
    ///
    /// # Errors
    /// When it writes a masked file.
    pub fn check_savable(plan: &Plan) -> Result<()> {
        let masked = plan.steps.iter().find_map(|step| match &step.action {
            crate::model::Action::WriteFile { path, content: None, .. } => Some(path),
            _ => None,
        });
        match masked {
            None => Ok(()),
            Some(path) => Err(anyhow!(
                "the plan cannot be saved: it writes {path}, whose secrets are masked in the bundle; make it on the node, \
                 where it has the digest {} too",
                plan.digest
            )),
        }
    }
}
