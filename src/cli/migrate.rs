//! `castoff migrate`: the wizard.

use super::{
    apply::{Keep, carry_out, nothing_to_do, prompter, question, refuse_blocked, refuse_outdated},
    args::{MigrateArgs, time_to_keep},
    context::{Context, PROFILE, Trying, make_plan},
    exit::Exit,
};
use crate::{
    apply,
    host::{user_files, watch_signals},
    model::{Desired, DockerFate, ImagePolicy, Plan, Profile, Span},
    report,
    ui::{Answer, Printer, Prompter},
};
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// How long somebody has to look at the new state and keep it, unless the command line says otherwise.
const TRY: Span = Span::seconds(600);

/// Looks, asks, does, proves.
pub fn run(args: &MigrateArgs, printer: Printer) -> Result<Exit> {
    let mut context = Context::open(&args.node, &args.change.skip_check)?;
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    let trying = Trying { wanted: !args.change.no_trial, printer };
    let mut plan = make_plan(&context, 3, trying);
    if plan.is_empty() && plan.blocking().next().is_none() {
        return nothing_to_do(&plan, &args.change, printer);
    }
    if args.change.yes {
        refuse_blocked(&plan, &args.change, printer)?;
        return carry_out(&context, &plan, &args.change, Keep::unasked(&args.change), printer);
    }
    let prompter = prompter(&args.node)?;
    // From here on Ctrl-C is an answer, not a death with a hidden cursor.
    let _signals = watch_signals()?;
    introduce(&plan, printer);
    refuse_blocked(&plan, &args.change, printer)?;
    let mut keep =
        if args.change.no_commit { Keep::WhenAsked } else { Keep::Within(args.change.try_for.unwrap_or(TRY)) };
    loop {
        printer.insist(&choices(&context.desired, keep));
        let items = ["Show the plan and go on", "Change choices", "Save choices as a profile and quit", "Cancel"];
        let items: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
        match prompter.choose("What now", &items, 0)? {
            Answer::Given(0) => {
                printer.insist(&report::plan(&plan, printer.look(), true));
                match confirm(&plan, &prompter)? {
                    Answer::Given(true) => {
                        // Nobody knows how long the question stood there.
                        refuse_outdated(&plan, &context.host, &context.facts())?;
                        return carry_out(&context, &plan, &args.change, keep, printer);
                    }
                    Answer::Given(false) => printer.insist("Not confirmed; nothing was changed.\n"),
                    Answer::Cancelled => return Ok(cancelled(printer)),
                }
            }
            Answer::Given(1) => {
                let Some(changed) = change(&mut context, keep, &prompter)? else { return Ok(cancelled(printer)) };
                keep = changed;
                plan = make_plan(&context, 3, trying);
            }
            Answer::Given(2) => return save(args, &context, printer),
            Answer::Given(_) | Answer::Cancelled => return Ok(cancelled(printer)),
        }
    }
}

fn cancelled(printer: Printer) -> Exit {
    printer.insist("Cancelled. Nothing was changed.");
    Exit::INTERRUPTED
}

fn introduce(plan: &Plan, printer: Printer) {
    let s = plan.summary;
    let then =
        if plan.live { "restarts containerd and kubelet" } else { "leaves stopping and starting to the next boot" };
    printer.insist(&format!(
        "This moves {} from Docker to containerd.\nIt changes {} and creates {} files or links, and {then}.\n\
         Docker stays installed but stopped. `castoff rollback` brings everything back.",
        plan.node, s.update, s.create
    ));
    printer.insist(&report::findings(&plan.findings, &plan.desired.skip_checks, printer.look()));
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
        ImagePolicy::All => "bring all tagged images along",
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

fn choices(desired: &Desired, keep: Keep) -> String {
    let sandbox = desired.sandbox_image.as_deref().unwrap_or("the one kubelet uses now");
    format!(
        "\nCurrent choices\n{:>18}  systemd\n{:>18}  {}\n{:>18}  edit in place, comments kept\n{:>18}  {sandbox}\n{:>18}  {}\n{:>18}  {}\n{:>18}  {}\n",
        "cgroup driver",
        "endpoint",
        desired.endpoint,
        "configuration",
        "sandbox image",
        "Docker's images",
        policy(desired.images),
        "Docker's units",
        fate(desired.docker),
        "rollback by itself",
        fate_of_run(keep)
    )
}

/// Asks for each choice, the current value being the default. `None` when cancelled.
fn change(context: &mut Context, keep: Keep, prompter: &Prompter) -> Result<Option<Keep>> {
    let policies = [ImagePolicy::Needed, ImagePolicy::All, ImagePolicy::None];
    let items: Vec<String> = policies.iter().map(|p| policy(*p).to_owned()).collect();
    let now = policies.iter().position(|p| *p == context.desired.images).unwrap_or_default();
    let Answer::Given(images) = prompter.choose("Docker's images", &items, now)? else { return Ok(None) };
    let fates = [DockerFate::Mask, DockerFate::Disable];
    let items: Vec<String> = fates.iter().map(|f| fate(*f).to_owned()).collect();
    let now = fates.iter().position(|f| *f == context.desired.docker).unwrap_or_default();
    let Answer::Given(docker) = prompter.choose("Docker's units", &items, now)? else { return Ok(None) };
    let now = context.desired.sandbox_image.clone().unwrap_or_default();
    let check = |text: &str| {
        if text.contains(char::is_whitespace) { Err("an image name has no blanks".to_owned()) } else { Ok(()) }
    };
    let Answer::Given(sandbox) = prompter.text("Sandbox image (empty: the one kubelet uses)", &now, check)? else {
        return Ok(None);
    };
    context.desired.images = policies.get(images).copied().unwrap_or_default();
    context.desired.docker = fates.get(docker).copied().unwrap_or_default();
    context.desired.sandbox_image = Some(sandbox.trim().to_owned()).filter(|image| !image.is_empty());
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

/// The weight of the question follows the risk: with pods on the node its name must be typed.
fn confirm(plan: &Plan, prompter: &Prompter) -> Result<Answer<bool>> {
    if plan.restarts_pods() {
        let text = format!("{} Type the node's name ({}) to go on", question(plan), plan.node);
        prompter.type_word(&text, &plan.node)
    } else {
        prompter.confirm(&question(plan))
    }
}

fn save(args: &MigrateArgs, context: &Context, printer: Printer) -> Result<Exit> {
    let profile = Profile {
        sandbox_image: context.desired.sandbox_image.clone(),
        docker: Some(context.desired.docker),
        images: Some(context.desired.images),
        ..context.profile.clone()
    };
    let text = toml_edit::ser::to_string_pretty(&profile).context("cannot print the profile")?;
    let path = args.node.profile.clone().unwrap_or_else(|| {
        args.node
            .root
            .as_ref()
            .map_or_else(|| PathBuf::from(PROFILE), |root| root.join(PROFILE.trim_start_matches('/')))
    });
    user_files::write_public(&path, &text).context("cannot save the profile")?;
    printer.insist(&format!("Saved {}. The same without questions: castoff migrate --yes", path.display()));
    Ok(Exit::OK)
}
