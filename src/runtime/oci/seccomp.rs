//! A seccomp profile as filters that the kernel takes. libcontainer would need the C library libseccomp for that, and
//! says nothing to its caller when it was built without; here a profile that cannot be applied is an error.
//!
//! A filter of seccompiler knows two actions, a profile any number. The kernel runs all filters of a process and obeys
//! the strictest, so a profile becomes one filter for its default (everything that has a rule passes) and one for every
//! action its rules have.

use crate::host::install_filter;
use anyhow::{Context as _, Result, bail};
use libcontainer::oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag as Flag,
    LinuxSeccompOperator as Operator, LinuxSyscall,
};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::{collections::BTreeMap, str::FromStr as _};
use syscalls::Sysno;

/// EPERM, what a profile means by ERRNO without a number.
const EPERM: u32 = 1;

/// A profile, ready to be installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    programs: Vec<BpfProgram>,
    flags: libc::c_ulong,
    /// System calls of the profile that this kind of machine does not have; they cannot be made here.
    pub unknown: Vec<String>,
}

/// Rules of one filter: number of the system call, and the conditions of each rule; no rule: always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Makes the filters of a profile.
///
/// # Errors
/// When something in it can not be done here: then the container must not run as if it were.
pub fn compile(profile: &LinuxSeccomp) -> Result<Filters> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut all = Rules::new();
    // By what the kernel is told: actions have no order of their own.
    let mut by_action: BTreeMap<u32, (SeccompAction, Rules)> = BTreeMap::new();
    let mut unknown = Vec::new();
    for rule in profile.syscalls().iter().flatten() {
        // `defaultErrnoRet` is the default action's alone: a rule without an error of its own means EPERM (runtime-spec
        // 1.1, "Seccomp"; runc, `getAction`).
        let wanted = action(rule.action(), rule.errno_ret())?;
        if wanted == default {
            continue;
        }
        let conditions = conditions(rule).with_context(|| format!("the rule for {}", rule.names().join(", ")))?;
        for name in rule.names() {
            let Ok(number) = Sysno::from_str(name) else {
                unknown.push(name.clone());
                continue;
            };
            let number = i64::from(number.id());
            add(&mut all, number, &conditions);
            if wanted != SeccompAction::Allow {
                let (_, rules) = by_action.entry(wanted.clone().into()).or_insert((wanted.clone(), Rules::new()));
                add(rules, number, &conditions);
            }
        }
    }
    let mut programs = Vec::new();
    if default != SeccompAction::Allow {
        programs.push(program(all, default, SeccompAction::Allow)?);
    }
    for (action, rules) in by_action.into_values() {
        programs.push(program(rules, SeccompAction::Allow, action)?);
    }
    unknown.sort();
    unknown.dedup();
    Ok(Filters { programs, flags: flags(profile), unknown })
}

/// An unconditional rule makes the conditions of others for the same call meaningless.
fn add(rules: &mut Rules, number: i64, conditions: &[SeccompRule]) {
    let known = rules.get(&number).is_some_and(Vec::is_empty);
    if conditions.is_empty() {
        rules.insert(number, Vec::new());
    } else if !known {
        rules.entry(number).or_default().extend_from_slice(conditions);
    }
}

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram> {
    let arch =
        TargetArch::try_from(std::env::consts::ARCH).context("seccomp filters cannot be made on this machine")?;
    let filter = SeccompFilter::new(rules, otherwise, matched, arch).context("the seccomp profile makes no filter")?;
    filter.try_into().context("the seccomp profile does not fit a filter")
}

fn action(action: Action, errno: Option<u32>) -> Result<SeccompAction> {
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => SeccompAction::KillThread,
        Action::ScmpActKillProcess => SeccompAction::KillProcess,
        Action::ScmpActTrap => SeccompAction::Trap,
        Action::ScmpActErrno => SeccompAction::Errno(errno.unwrap_or(EPERM)),
        Action::ScmpActTrace => SeccompAction::Trace(errno.unwrap_or(EPERM)),
        Action::ScmpActLog => SeccompAction::Log,
        Action::ScmpActAllow => SeccompAction::Allow,
        Action::ScmpActNotify => bail!("SCMP_ACT_NOTIFY needs a seccomp agent, which castoff's runtime does not serve"),
    })
}

/// The rules of one entry: all its arguments must match, but several conditions on the same argument are
/// alternatives, as in runc (libcontainer/seccomp, `matchSyscall`).
fn conditions(rule: &LinuxSyscall) -> Result<Vec<SeccompRule>> {
    let Some(args) = rule.args().as_ref().filter(|args| !args.is_empty()) else { return Ok(Vec::new()) };
    let twice = args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1);
    let conditions = args.iter().map(condition).collect::<Result<Vec<_>>>()?;
    let sets = if twice { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] };
    sets.into_iter().map(|set| SeccompRule::new(set).context("it makes no condition")).collect()
}

fn condition(arg: &LinuxSeccompArg) -> Result<SeccompCondition> {
    let index = u8::try_from(arg.index()).ok().filter(|index| *index < 6);
    let index = index.with_context(|| format!("a system call has no argument {}", arg.index()))?;
    let (operator, value) = match arg.op() {
        Operator::ScmpCmpNe => (SeccompCmpOp::Ne, arg.value()),
        Operator::ScmpCmpLt => (SeccompCmpOp::Lt, arg.value()),
        Operator::ScmpCmpLe => (SeccompCmpOp::Le, arg.value()),
        Operator::ScmpCmpEq => (SeccompCmpOp::Eq, arg.value()),
        Operator::ScmpCmpGe => (SeccompCmpOp::Ge, arg.value()),
        Operator::ScmpCmpGt => (SeccompCmpOp::Gt, arg.value()),
        // The specification has the mask first and the value second.
        Operator::ScmpCmpMaskedEq => (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two().unwrap_or(0)),
    };
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, operator, value).context("it makes no condition")
}

fn flags(profile: &LinuxSeccomp) -> libc::c_ulong {
    let flag = |flag: &Flag| match flag {
        Flag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
        Flag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        // For threads, of which there is one, and for notifications, which are refused.
        Flag::SeccompFilterFlagTsync | Flag::SeccompFilterFlagWaitKillableRecv => 0,
    };
    profile.flags().iter().flatten().map(flag).fold(0, |all, flag| all | flag)
}

impl Filters {
    /// Installs the filters for this process and all it will start. Needs `no_new_privs` or CAP_SYS_ADMIN.
    pub fn install(&self) -> nix::Result<()> {
        // The strictest verdict counts, so the order does not matter to what is filtered. The default's filter comes
        // last: it is the one that may forbid installing another.
        self.programs.iter().rev().try_for_each(|program| install_filter(program, self.flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn profile(value: Value) -> LinuxSeccomp {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_list_of_what_is_allowed_is_one_filter_and_other_actions_are_more() {
        let filters = compile(&profile(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [
                { "names": ["read", "write", "exit_group", "no_such_call"], "action": "SCMP_ACT_ALLOW" },
                { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
                { "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" },
                { "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
                    { "index": 0, "value": 8, "op": "SCMP_CMP_EQ" },
                    { "index": 0, "value": 0xffff_ffff_u32, "op": "SCMP_CMP_EQ" },
                ] },
            ],
        })))
        .unwrap();
        assert_eq!(filters.programs.len(), 2);
        assert_eq!(filters.unknown, ["no_such_call"]);
        assert_eq!(filters.flags, 0);
    }

    #[test]
    fn the_default_error_is_not_that_of_a_rule() {
        let of = |rule: Value| {
            let profile =
                profile(json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [rule] }));
            compile(&profile).unwrap()
        };
        let rule = json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" });
        let with = |errno: u32| {
            let mut rule = rule.clone();
            rule["errnoRet"] = errno.into();
            of(rule)
        };
        assert_eq!(of(rule.clone()), with(EPERM));
        assert_ne!(of(rule.clone()), with(38));
    }

    #[test]
    fn a_list_of_what_is_forbidden_needs_no_filter_for_its_default() {
        let filters = compile(&profile(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [{ "names": ["chmod", "fchmod"], "action": "SCMP_ACT_ERRNO" }],
        })))
        .unwrap();
        assert_eq!(filters.programs.len(), 1);
        assert_eq!(filters.flags, libc::SECCOMP_FILTER_FLAG_LOG);
        assert_eq!(compile(&profile(json!({ "defaultAction": "SCMP_ACT_ALLOW" }))).unwrap().programs.len(), 0);
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let notify = json!({ "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }] });
        assert!(compile(&profile(notify)).unwrap_err().to_string().contains("SCMP_ACT_NOTIFY"));
        let seventh = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir"],
            "action": "SCMP_ACT_KILL", "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] }] });
        assert_eq!(compile(&profile(seventh)).unwrap_err().to_string(), "the rule for mkdir");
    }

    #[test]
    fn a_rule_without_condition_wins_over_one_with() {
        let arg = json!([{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }]);
        let with = json!({ "names": ["mkdir"], "action": "SCMP_ACT_ALLOW", "args": arg });
        let without = json!({ "names": ["mkdir"], "action": "SCMP_ACT_ALLOW" });
        let both = |rules: Value| compile(&profile(json!({ "defaultAction": "SCMP_ACT_KILL", "syscalls": rules })));
        let alone = both(json!([without])).unwrap();
        assert_eq!(both(json!([with, without])).unwrap(), alone);
        assert_eq!(both(json!([without, with])).unwrap(), alone);
        assert_ne!(both(json!([with])).unwrap(), alone);
    }
}
