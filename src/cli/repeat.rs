//! Command lines that do the same again, for somebody who reads a report elsewhere.

use super::{
    apply::Keep,
    args::{MigrateArgs, NodeArgs},
    cluster_args::ClusterArgs,
    report_args::PlanArgs,
};
use crate::model::Goal;
use std::path::Path;

/// A word for a shell: as it is where that is safe, else in single quotes.
pub fn word(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '=' | ':' | ',' | '@' | '%' | '+');
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn option(name: &str, value: &str) -> String {
    format!(" --{name} {}", word(value))
}

fn path(name: &str, value: Option<&Path>) -> String {
    value.map(|path| option(name, &path.to_string_lossy())).unwrap_or_default()
}

/// What a command needs to speak of the same node: nothing for this machine.
pub fn options_of_node(args: &NodeArgs) -> String {
    path("root", args.root.as_deref())
}

/// What a command needs to see the same node in the same light: all that a saved plan leaves to say.
pub fn options_of_sight(args: &NodeArgs) -> String {
    let mut text = options_of_node(args);
    args.assume.iter().for_each(|pair| text.push_str(&option("assume", pair)));
    text
}

/// What a command needs to want the same of the same node.
pub fn options_of_wish(args: &NodeArgs) -> String {
    let mut text = options_of_sight(args);
    text.push_str(&path("profile", args.profile.as_deref()));
    if args.goal() == Goal::CgroupDriver {
        text.push_str(&option("goal", "cgroup-driver"));
    }
    text
}

/// Every option that decides what is planned.
fn options_that_decide(node: &NodeArgs, cluster: &ClusterArgs, skip_checks: &[String]) -> String {
    let mut text = options_of_wish(node);
    for (name, value) in cluster.given() {
        text.push_str(&value.map_or_else(|| format!(" --{name}"), |value| option(name, &value)));
    }
    for id in skip_checks {
        text.push_str(&option("skip-check", id));
    }
    text
}

/// The same for `plan`; options that only decide how it is shown are left out.
pub fn options_of_plan(args: &PlanArgs) -> String {
    options_that_decide(&args.node, &args.cluster, &args.skip_check)
}

/// The options of a wizard's run, with what was chosen in it.
pub fn options_of_migrate(args: &MigrateArgs, drain: bool, keep: Keep) -> String {
    let change = &args.change;
    let mut text = match keep {
        Keep::AtOnce => String::new(),
        Keep::WhenAsked => " --no-commit".to_owned(),
        Keep::Within(span) => option("try", &span.to_string()),
    };
    let given = args.cluster.clone();
    // How to drain is of no use where nothing is drained, and refused.
    let cluster = ClusterArgs {
        drain,
        no_drain: given.no_drain && !drain,
        drain_force: given.drain_force && drain,
        delete_emptydir_data: given.delete_emptydir_data && drain,
        grace_period: given.grace_period.filter(|_| drain),
        drain_timeout: given.drain_timeout.filter(|_| drain),
        ..given
    };
    text.push_str(&options_that_decide(&args.node, &cluster, &change.skip_check));
    for (name, on) in [("no-trial", change.no_trial), ("keep-on-verify-failure", change.keep_on_verify_failure)] {
        if on {
            text.push_str(&format!(" --{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: PlanArgs,
    }

    #[derive(Debug, clap::Parser)]
    struct Wizard {
        #[command(flatten)]
        args: MigrateArgs,
    }

    #[test]
    fn a_wizard_is_repeated_with_what_was_chosen() {
        let again = |line: &[&str], drain, keep| options_of_migrate(&Wizard::parse_from(line).args, drain, keep);
        assert_eq!(again(&["castoff"], false, Keep::AtOnce), "");
        let how =
            ["castoff", "--drain-force", "--delete-emptydir-data", "--grace-period", "5", "--drain-timeout", "1m"];
        assert_eq!(again(&how, false, Keep::AtOnce), "");
        assert_eq!(
            again(
                &[
                    "castoff",
                    "--root",
                    "/n",
                    "--assume",
                    "cgroup.mode=unified",
                    "--profile",
                    "p.toml",
                    "--goal",
                    "cgroup-driver",
                    "--no-drain",
                    "--kubeconfig",
                    "k",
                    "--grace-period",
                    "5",
                    "--cluster-config",
                    "skip",
                    "--drain-timeout",
                    "90s",
                    "--skip-check",
                    "no-cni",
                    "--no-trial",
                    "--keep-on-verify-failure",
                ],
                true,
                Keep::WhenAsked,
            ),
            " --no-commit --root /n --assume cgroup.mode=unified --profile p.toml --goal cgroup-driver --drain --kubeconfig k \
             --grace-period 5 --cluster-config skip --drain-timeout 1m30s --skip-check no-cni --no-trial --keep-on-verify-failure"
        );
    }

    #[test]
    fn what_decides_is_repeated_and_nothing_else() {
        let again = |line: &[&str]| options_of_plan(&Line::parse_from(line).args);
        assert_eq!(again(&["castoff", "-o", "html", "--context", "5", "--no-diff", "--out", "x"]), "");
        assert_eq!(
            again(&[
                "castoff",
                "--root",
                "./the node's",
                "--assume",
                "cgroup.mode=unified",
                "--goal",
                "cgroup-driver",
                "--drain",
                "--drain-timeout",
                "90s",
                "--skip-check",
                "no-cni",
            ]),
            " --root './the node'\\''s' --assume cgroup.mode=unified --goal cgroup-driver --drain --drain-timeout 1m30s --skip-check no-cni"
        );
    }
}
