//! `castoff images`

use super::{
    apply::{Keep, carry_out, not_confirmed, nothing_to_do, refuse_blocked},
    args::Format,
    context::{Context, json},
    exit::{Exit, Usage},
    image_args::{CarryArgs, ImagesListArgs},
};
use crate::{
    apply,
    images::{self, Places},
    model::{CarryMode, CarryOptions, Facts, Images},
    plan, report,
    ui::Printer,
};
use anyhow::Result;
use std::collections::BTreeMap;

/// Shows what there is to carry, and what that would take. Changes nothing.
pub fn list(args: &ImagesListArgs, printer: Printer) -> Result<Exit> {
    let context = Context::open(&args.node, &[])?;
    let images = look(&context, &context.facts(), args.mode)?;
    match args.output {
        Format::Text => printer.data(&report::images(&images, printer.look())),
        Format::Json => printer.document(&json(&images)?),
    }
    Ok(Exit::OK)
}

fn look(context: &Context, facts: &Facts, mode: CarryMode) -> Result<Images> {
    let mut source = plan::docker_layers(facts);
    let snapshotter = facts.containerd.other_snapshotter();
    if source.is_empty() && snapshotter.is_none() && !context.host.is_live() {
        // Nobody says which driver it is; the directories do.
        let root = facts.docker.data_root.as_ref().map_or("/var/lib/docker", |root| root.value.as_str());
        root.clone_into(&mut source);
    }
    let root = facts.containerd.root.as_ref().map_or(plan::CONTAINERD_ROOT, |root| root.value.as_str());
    let from_containerd = plan::keeps_in_containerd(facts);
    let (snapshotter, socket) = (snapshotter.as_deref(), context.desired.socket());
    let places = Places { source: &source, from_containerd, snapshotter, root, socket, mode };
    let listed: Vec<images::Listed> =
        facts.docker.images.iter().map(|image| (image.id.clone(), image.tags.clone(), image.size)).collect();
    let needs = plan::needs(facts, context.desired.sandbox_image.as_deref());
    images::list(&context.host, places, &listed, &needs)
}

/// Carries images, as a run that can be taken back.
pub fn carry(args: &CarryArgs, printer: Printer) -> Result<Exit> {
    let mut context = Context::open(&args.node, &args.change.skip_check)?;
    if !context.host.is_live() {
        return Err(Usage::error(
            "images are carried into a running containerd, and --root names a file tree",
            "run it on the node itself",
        ));
    }
    context.need_rights()?;
    apply::refuse_open_run(&context.host)?;
    context.desired.carry = CarryOptions {
        mode: args.mode.unwrap_or(context.desired.carry.mode),
        with_blobs: args.with_blobs,
        verify_layers: args.verify_layers,
        compare: args.compare.into(),
        online: args.online,
    };
    let facts = context.facts();
    let seen = look(&context, &facts, context.desired.carry.mode)?;
    for what in &seen.unseen {
        printer.insist(&format!("warning: not seen: {what}"));
    }
    let wanted = choose(&seen, args)?;
    let mut plan = plan::carry(&facts, &context.desired, &wanted);
    plan.findings.extend(apply::obstacles(&context.host, &plan));
    refuse_blocked(&plan, &args.change, printer)?;
    // A question shows them with the plan.
    if !plan.findings.is_empty() && (args.change.yes || plan.is_empty()) {
        printer.insist(&report::findings(&plan.findings, &[], printer.look()));
    }
    if plan.is_empty() && !wanted.is_empty() && !args.image.is_empty() {
        let hint = "`docker tag IMAGE NAME` gives it one";
        return Err(Usage::error(
            "without its layers only an image with a tag can be carried, and this one has none",
            hint,
        ));
    }
    if plan.is_empty() {
        return nothing_to_do(&plan, &args.change, printer);
    }
    if !args.change.yes
        && let Some(exit) = not_confirmed(&plan, &args.node, printer)?
    {
        return Ok(exit);
    }
    carry_out(&context, &plan, &args.node, &args.change, Keep::unasked(&args.change), printer)
}

/// Names of the images that are wanted and not there yet.
fn choose(seen: &Images, args: &CarryArgs) -> Result<Vec<String>> {
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for (at, image) in seen.images.iter().enumerate() {
        let hex = image.id.strip_prefix("sha256:").unwrap_or(&image.id);
        // As `docker images` shows ids.
        by_name.extend([(image.id.clone(), at), (hex.to_owned(), at), (hex.chars().take(12).collect(), at)]);
        by_name.extend(image.names.iter().chain(&image.digests).map(|name| (plan::familiar(name), at)));
    }
    let mut chosen: Vec<usize> = Vec::new();
    for name in &args.image {
        match by_name.get(name).or_else(|| by_name.get(&plan::familiar(name))) {
            Some(at) => chosen.push(*at),
            None => {
                return Err(Usage::error(
                    format!("Docker has no image `{name}`"),
                    "`castoff images list` shows what it has",
                ));
            }
        }
    }
    if args.image.is_empty() {
        let wanted = |at: &usize| {
            seen.images.get(*at).is_some_and(|image| {
                if args.all {
                    !image.names.is_empty() || !image.needed_by.is_empty()
                } else {
                    !image.needed_by.is_empty()
                }
            })
        };
        chosen.extend((0..seen.images.len()).filter(wanted));
    }
    let missing = chosen.into_iter().filter_map(|at| seen.images.get(at)).filter(|image| !image.carried);
    Ok(missing
        .flat_map(|image| if image.names.is_empty() { vec![image.id.clone()] } else { image.names.clone() })
        .collect())
}
