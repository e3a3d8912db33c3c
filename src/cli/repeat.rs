//! Command lines that do the same again, for somebody who reads a report elsewhere.

use super::{
    args::{GoalArg, NodeArgs},
    report_args::PlanArgs,
};
use std::path::Path;

/// A word for a shell: as it is where that is safe, else in single quotes.
fn word(text: &str) -> String {
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

/// Every option that decides what is planned; those that only decide how it is shown are left out.
pub fn options_of_plan(args: &PlanArgs) -> String {
    let mut text = options_of_node(&args.node);
    args.node.assume.iter().for_each(|pair| text.push_str(&option("assume", pair)));
    text.push_str(&path("profile", args.node.profile.as_deref()));
    if matches!(args.node.goal, GoalArg::CgroupDriver) {
        text.push_str(&option("goal", "cgroup-driver"));
    }
    let cluster = &args.cluster;
    for (name, on) in [
        ("no-cluster", cluster.no_cluster),
        ("drain", cluster.drain),
        ("no-drain", cluster.no_drain),
        ("drain-force", cluster.drain_force),
        ("delete-emptydir-data", cluster.delete_emptydir_data),
    ] {
        if on {
            text.push_str(&format!(" --{name}"));
        }
    }
    text.push_str(&path("kubeconfig", cluster.kubeconfig.as_deref()));
    if let Some(grace) = cluster.grace_period {
        text.push_str(&option("grace-period", &grace.to_string()));
    }
    if let Some(timeout) = cluster.drain_timeout {
        text.push_str(&option("drain-timeout", &timeout.to_string()));
    }
    args.skip_check.iter().for_each(|id| text.push_str(&option("skip-check", id)));
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
