//! `castoff migrate`: the wizard.

use super::{
    apply::{Keep, carry_out, nothing_to_do, prompter, question, refuse_blocked, refuse_outdated},
    args::{MigrateArgs, time_to_keep},
    context::{Context, PROFILE, Trying, make_plan, plan_from},
    exit::Exit,
    repeat::options_of_migrate,
};
use crate::{
    apply,
    host::user_files,
    model::{Action, Desired, DockerFate, Finding, Goal, ImagePolicy, Plan, Profile, Severity, Span},
    report::{self, Look},
    ui::{Answer, Printer, Prompter, page},
};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use toml_edit::{DocumentMut, Item};

/// How long somebody has to look at the new state and keep it, unless the command line says otherwise.
const TRY: Span = Span::seconds(600);

/// Begins a profile that is not there yet.
const NEW: &str = "# What castoff is to want of this node. castoff-profile(5) has all keys.\n";

/// Looks, asks, does, proves.
pub fn run(args: &MigrateArgs, printer: Printer) -> Result<Exit> {
    // The wizard drains by itself, and asks.
    if args.change.yes {
        args.cluster.refuse_idle()?;
    }
    let mut context = Context::open(&args.node, &args.change.skip_check)?.with_cluster(&args.cluster)?;
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    let trying = Trying { wanted: !args.change.no_trial, printer };
    let facts = context.facts();
    let member = facts.cluster.member();
    let is_member = member.is_some();
    // Where no other node takes them, pods are away as long either way, and a budget may hold one back for ever.
    let leads_anywhere = member.is_some_and(|member| member.others.takes_pods != Some(false));
    // Asked for on the command line, it is meant; otherwise it must not be what keeps the node from moving.
    let by_default = leads_anywhere && !args.change.yes && !args.cluster.no_drain && !args.cluster.drain;
    context.desired.cluster.drain |= by_default;
    let mut plan = plan_from(&context, &facts, 3, trying);
    let forbids = plan.blocking().find(|finding| finding.id.starts_with("drain-")).cloned();
    if let Some(finding) = forbids.filter(|_| by_default) {
        let Finding { summary, cause, fix, .. } = finding;
        printer.insist(&format!("note: the node is not drained: {summary} ({cause}); {fix}"));
        context.desired.cluster.drain = false;
        plan = plan_from(&context, &facts, 3, trying);
    }
    if plan.is_empty() && plan.blocking().next().is_none() {
        return nothing_to_do(&plan, &args.change, printer);
    }
    if args.change.yes {
        refuse_blocked(&plan, &args.change, printer)?;
        return carry_out(&context, &plan, &args.node, &args.change, Keep::unasked(&args.change), printer);
    }
    let prompter = prompter(&args.node)?;
    introduce(&plan, printer);
    refuse_blocked(&plan, &args.change, printer)?;
    let mut keep =
        if args.change.no_commit { Keep::WhenAsked } else { Keep::Within(args.change.try_for.unwrap_or(TRY)) };
    loop {
        let printer = printer.resized();
        printer.insist(&choices(&context.desired, is_member, keep, printer.look()));
        let items = ["Show the plan and go on", "Change choices", "Save choices as a profile and quit", "Cancel"];
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        match prompter.choose("What now", &items, 0)? {
            Answer::Given(0) => {
                if page(&report::plan(&plan, printer.look(), true), printer)? == Answer::Cancelled {
                    return Ok(cancelled(printer));
                }
                match confirm(&plan, &prompter)? {
                    Answer::Given(true) => {
                        // Nobody knows how long the question stood there.
                        refuse_outdated(&plan, &context.host, &context.facts())?;
                        let exit = carry_out(&context, &plan, &args.node, &args.change, keep, printer)?;
                        if exit == Exit::OK {
                            printer.say(&format!("Same, unasked:    {}", unattended(args, &context, keep)));
                        }
                        return Ok(exit);
                    }
                    Answer::Given(false) => printer.insist("Not confirmed; nothing was changed.\n"),
                    Answer::Cancelled => return Ok(cancelled(printer)),
                }
            }
            Answer::Given(1) => {
                let Some(changed) = change(&mut context, is_member, keep, &prompter)? else {
                    return Ok(cancelled(printer));
                };
                keep = changed;
                plan = make_plan(&context, 3, trying);
            }
            Answer::Given(2) => return save(args, &context, keep, printer),
            Answer::Given(_) | Answer::Cancelled => return Ok(cancelled(printer)),
        }
    }
}

fn cancelled(printer: Printer) -> Exit {
    printer.insist("Cancelled. Nothing was changed.");
    Exit::INTERRUPTED
}

fn introduce(plan: &Plan, printer: Printer) {
    let look = printer.look();
    let (mut text, pods) = match plan.goal {
        Goal::Containerd => (
            format!("This moves {} from Docker to containerd. Docker stays installed, with all its data.\n", plan.node),
            "stop, and start on containerd",
        ),
        Goal::CgroupDriver => {
            (format!("This is for {}: {}.\n", plan.node, report::goal(plan.goal)), "stop, and start again on Docker")
        }
    };
    let rows = [
        ("changes", files(plan, false)),
        ("creates", files(plan, true)),
        ("stops", units(plan, |action| matches!(action, Action::StopUnit { .. }))),
        ("starts", units(plan, |action| matches!(action, Action::StartUnit { .. } | Action::RestartUnit { .. }))),
        ("pods", if plan.restarts_pods() { pods.to_owned() } else { String::new() }),
        ("later", plan.deferred.join("; ")),
        ("undo", "castoff rollback: files byte for byte, units and pods as they are now".to_owned()),
    ];
    text.push_str(&report::rows(&rows, look));
    printer.insist(&text);
    // Notes come with the plan: here they would push what matters off the screen.
    let (notes, heavy): (Vec<Finding>, Vec<Finding>) =
        plan.findings.iter().cloned().partition(|finding| finding.severity == Severity::Note);
    printer.insist(&report::findings(&heavy, &plan.desired.skip_checks, look));
    if !notes.is_empty() {
        let ids: Vec<&str> = notes.iter().map(|finding| finding.id.as_str()).collect();
        printer.insist(&report::rows(&[("notes", format!("{} (told with the plan)", ids.join(", ")))], look));
    }
}

/// Files that the plan writes: those that are there, or new ones.
fn files(plan: &Plan, new: bool) -> String {
    let written = plan.steps.iter().filter_map(|step| match &step.action {
        Action::WriteFile { path, before, .. } if before.is_none() == new => Some(path.as_str()),
        _ => None,
    });
    written.collect::<Vec<_>>().join(", ")
}

fn units(plan: &Plan, wanted: fn(&Action) -> bool) -> String {
    let units = plan.steps.iter().filter(|step| wanted(&step.action)).map(|step| step.action.object());
    units.collect::<Vec<_>>().join(", ")
}

/// The command line that does the same without questions.
fn unattended(args: &MigrateArgs, context: &Context, keep: Keep) -> String {
    let unsaved =
        if chosen(context) == context.profile { "" } else { "    # with these choices saved as a profile (choice 3)" };
    format!("{}{unsaved}", same(args, &context.desired, keep))
}

fn same(args: &MigrateArgs, desired: &Desired, keep: Keep) -> String {
    format!("castoff migrate --yes{}", options_of_migrate(args, desired.cluster.drain, keep))
}

/// The profile that has the choices made.
fn chosen(context: &Context) -> Profile {
    let desired = &context.desired;
    // What nobody chose and no profile says stays unsaid.
    let image = desired.sandbox_image.clone();
    let docker =
        Some(desired.docker).filter(|docker| *docker != DockerFate::default() || context.profile.docker.is_some());
    let images =
        Some(desired.images).filter(|images| *images != ImagePolicy::default() || context.profile.images.is_some());
    Profile { sandbox_image: image, docker, images, ..context.profile.clone() }
}

const fn fate(docker: DockerFate) -> &'static str {
    match docker {
        DockerFate::Mask => "stop, disable and mask",
        DockerFate::Disable => "stop and disable",
    }
}

const fn policy(images: ImagePolicy) -> &'static str {
    match images {
        ImagePolicy::Needed => "bring along what pods and the sandbox need",
        ImagePolicy::All => "bring these and all tagged images along",
        ImagePolicy::None => "bring none along (they are pulled again)",
    }
}

fn fate_of_run(keep: Keep) -> String {
    match keep {
        Keep::AtOnce => "kept once it is proven".to_owned(),
        Keep::WhenAsked => "only when asked".to_owned(),
        Keep::Within(span) => format!("{span} after the end without `castoff commit`"),
    }
}

fn choices(desired: &Desired, is_member: bool, keep: Keep, look: Look) -> String {
    let mut all = vec![("cgroup driver", "systemd".to_owned())];
    if desired.goal == Goal::Containerd {
        let way =
            if desired.containerd_config.is_edit() { "edit in place, comments kept" } else { "make anew, as one file" };
        all.extend([
            ("endpoint", desired.endpoint.clone()),
            ("configuration", way.to_owned()),
            ("sandbox image", desired.sandbox_image.clone().unwrap_or_else(|| "the one kubelet uses now".to_owned())),
            ("Docker's images", policy(desired.images).to_owned()),
            ("Docker's units", fate(desired.docker).to_owned()),
        ]);
    }
    if is_member {
        all.push(("pods", of_pods(desired.cluster.drain).to_owned()));
    }
    all.push(("rollback by itself", fate_of_run(keep)));
    format!("\nCurrent choices\n{}", report::rows(&all, look))
}

const fn of_pods(drain: bool) -> &'static str {
    if drain { "drained first, and welcome again at the end" } else { "stop here, and start here again" }
}

/// Asks for each choice, the current value being the default. `None` when cancelled.
fn change(context: &mut Context, is_member: bool, keep: Keep, prompter: &Prompter) -> Result<Option<Keep>> {
    // Who stays on Docker has nothing to choose about its images and units.
    if context.desired.goal == Goal::Containerd && !change_move(&mut context.desired, prompter)? {
        return Ok(None);
    }
    if is_member {
        let items: Vec<String> = [true, false].map(|drain| of_pods(drain).to_owned()).to_vec();
        let now = usize::from(!context.desired.cluster.drain);
        let Answer::Given(pods) = prompter.choose("Pods", &items, now)? else { return Ok(None) };
        context.desired.cluster.drain = pods == 0;
    }
    let now = match keep {
        Keep::Within(span) => span.to_string(),
        Keep::AtOnce | Keep::WhenAsked => String::new(),
    };
    let check = |text: &str| if text.trim().is_empty() { Ok(()) } else { time_to_keep(text).map(drop) };
    let Answer::Given(within) = prompter.text("Take it back by itself after (empty: never)", &now, check)? else {
        return Ok(None);
    };
    Ok(Some(time_to_keep(&within).map_or(Keep::WhenAsked, Keep::Within)))
}

/// Asks for what only a move to containerd has to choose; false when cancelled.
fn change_move(desired: &mut Desired, prompter: &Prompter) -> Result<bool> {
    let policies = [ImagePolicy::Needed, ImagePolicy::All, ImagePolicy::None];
    let items: Vec<String> = policies.iter().map(|p| policy(*p).to_owned()).collect();
    let now = policies.iter().position(|p| *p == desired.images).unwrap_or_default();
    let Answer::Given(images) = prompter.choose("Docker's images", &items, now)? else { return Ok(false) };
    let fates = [DockerFate::Mask, DockerFate::Disable];
    let items: Vec<String> = fates.iter().map(|f| fate(*f).to_owned()).collect();
    let now = fates.iter().position(|f| *f == desired.docker).unwrap_or_default();
    let Answer::Given(docker) = prompter.choose("Docker's units", &items, now)? else { return Ok(false) };
    let now = desired.sandbox_image.clone().unwrap_or_default();
    let check = |text: &str| {
        if text.contains(char::is_whitespace) { Err("an image name has no blanks".to_owned()) } else { Ok(()) }
    };
    let Answer::Given(sandbox) = prompter.text("Sandbox image (empty: the one kubelet uses)", &now, check)? else {
        return Ok(false);
    };
    desired.images = policies.get(images).copied().unwrap_or_default();
    desired.docker = fates.get(docker).copied().unwrap_or_default();
    desired.sandbox_image = Some(sandbox.trim().to_owned()).filter(|image| !image.is_empty());
    Ok(true)
}

/// The weight of the question follows the risk: with pods on the node its name must be typed.
fn confirm(plan: &Plan, prompter: &Prompter) -> Result<Answer<bool>> {
    // Drained, there is nobody's work left here but what every node has.
    if plan.restarts_pods() && !plan.drains() {
        let text = format!("{} Type the node's name ({}) to go on", question(plan), plan.node);
        prompter.type_word(&text, &plan.node)
    } else {
        prompter.confirm(&question(plan))
    }
}

/// The text of a profile in which what was chosen stands. Everything else in it stays.
fn with_choices(text: &str, was: &Profile, is: &Profile) -> Result<String> {
    let mut document: DocumentMut = text.parse().context("cannot edit the profile")?;
    let values = |profile: &Profile| toml_edit::ser::to_document(profile).context("cannot print the profile");
    let (was, is) = (values(was)?, values(is)?);
    let word = |of: &DocumentMut, key: &str| of.get(key).and_then(Item::as_str).map(str::to_owned);
    // There is no choice about the others.
    for key in ["sandbox-image", "docker", "images"] {
        let wanted = word(&is, key);
        if wanted == word(&was, key) {
            continue;
        }
        let Some(wanted) = wanted else {
            document.remove(key);
            continue;
        };
        match document.get_mut(key).and_then(Item::as_value_mut) {
            Some(value) => {
                let comment = value.decor().clone();
                *value = wanted.into();
                *value.decor_mut() = comment;
            }
            None => {
                document.insert(key, toml_edit::value(wanted));
            }
        }
    }
    Ok(document.to_string())
}

fn save(args: &MigrateArgs, context: &Context, keep: Keep, printer: Printer) -> Result<Exit> {
    let there = context.profile_text.as_deref();
    let text = with_choices(there.unwrap_or_default(), &context.profile, &chosen(context))?;
    let text = if there.is_some() { text } else { format!("{NEW}{text}") };
    let path = args.node.profile.clone().unwrap_or_else(|| {
        args.node
            .root
            .as_ref()
            .map_or_else(|| PathBuf::from(PROFILE), |root| root.join(PROFILE.trim_start_matches('/')))
    });
    user_files::write_public(&path, &text).context("cannot save the profile")?;
    let same = same(args, &context.desired, keep);
    printer.insist(&format!("Saved {}. The same without questions: {same}", path.display()));
    Ok(Exit::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_all_that_changes_in_a_profile() {
        let text = "# site\nimages = \"all\" # slow line\nsandbox-image = \"r/pause:1\"\n\n# Slow disks.\n[timeouts]\npods = \"20m\" # so\n";
        let was: Profile = toml_edit::de::from_str(text).unwrap();
        assert_eq!(with_choices(text, &was, &was).unwrap(), text);
        let is = Profile {
            images: Some(ImagePolicy::None),
            docker: Some(DockerFate::Disable),
            sandbox_image: None,
            ..was.clone()
        };
        let now = with_choices(text, &was, &is).unwrap();
        assert_eq!(toml_edit::de::from_str::<Profile>(&now).unwrap(), is);
        assert_eq!(
            now,
            "# site\nimages = \"none\" # slow line\ndocker = \"disable\"\n\n# Slow disks.\n[timeouts]\npods = \"20m\" # so\n"
        );
        let chosen = Profile { images: Some(ImagePolicy::All), ..Profile::default() };
        let new = with_choices("", &Profile::default(), &chosen).unwrap();
        assert_eq!(new, "images = \"all\"\n", "what nobody chose stays unsaid");
    }
}
