//! Completion scripts: what clap makes, with the ids of findings as values, and ids of runs looked up while somebody
//! types. clap's own dynamic completion is not stable yet, so that the look-up is a line of shell in the script.

use super::args::Cli;
use crate::checks;
use clap::{
    Command, CommandFactory as _,
    builder::{PossibleValue, PossibleValuesParser},
};
use clap_complete::Shell;

/// Stands in clap's script where ids of runs belong.
const MARK: &str = "CASTOFFS-RUNS";
/// Commands whose argument is a run.
const OF_RUNS: [&str; 4] = ["rollback", "resume", "commit", "show"];
/// Only root may read it; for everybody else there is nothing to complete.
const LIST: &str = "command ls -r /var/lib/castoff/runs 2>/dev/null";

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    let mut command = with_values(shown(&Cli::command()));
    let mut buffer = Vec::new();
    clap_complete::generate(shell, &mut command, "castoff", &mut buffer);
    let script = String::from_utf8_lossy(&buffer).into_owned();
    match shell {
        Shell::Bash => format!(
            "# ids of runs, newest first\n_castoff_runs() {{ {LIST}; }}\n\n{}",
            script.replace(MARK, "$(_castoff_runs)")
        ),
        Shell::Zsh => zsh(&script),
        Shell::Fish => fish(&script),
        _ => script.replace(MARK, ""),
    }
}

fn zsh(script: &str) -> String {
    let function = format!(
        "(( $+functions[_castoff_runs] )) ||\n_castoff_runs() {{\n    local -a runs\n    runs=(${{(f)\"$({LIST})\"}})\n    \
         compadd -V runs -a runs\n}}\n\n"
    );
    let script = script.replace(&format!("({MARK})"), "_castoff_runs");
    // Before the first command's function, behind the line `#compdef`.
    let at = script.find("(( $+functions[_castoff_commands] ))").unwrap_or(script.len());
    format!("{}{function}{}", &script[..at], &script[at..])
}

/// clap writes no arguments without an option for fish.
fn fish(script: &str) -> String {
    let mut script = format!("function __fish_castoff_runs\n    {LIST}\nend\n{script}");
    for command in OF_RUNS {
        script.push_str(&format!(
            "complete -c castoff -n \"__fish_castoff_using_subcommand {command}\" -f -k -a \"(__fish_castoff_runs)\"\n"
        ));
    }
    for check in checks::registry() {
        script.push_str(&format!(
            "complete -c castoff -n \"__fish_castoff_using_subcommand explain\" -f -a \"{}\" -d '{}'\n",
            check.id,
            check.summary.replace('\'', "\\'")
        ));
    }
    script
}

/// The command line without the commands that are for castoff's own units and for Ansible.
fn shown(command: &Command) -> Command {
    let commands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new("castoff")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(command.get_arguments().cloned())
        .subcommands(commands.cloned())
}

/// The command line with the values that an argument can have today. Only for scripts: what is typed is judged by the
/// commands themselves, which guess what was meant.
fn with_values(mut command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |sub| {
            let sub = with_values(sub);
            let has = |id: &str| sub.get_arguments().any(|arg| arg.get_id() == id);
            let (skips, runs) = (has("skip_check"), OF_RUNS.contains(&sub.get_name()) && has("run"));
            let sub = if skips { sub.mut_arg("skip_check", |arg| arg.value_parser(findings())) } else { sub };
            let sub = if name == "explain" { sub.mut_arg("id", |arg| arg.value_parser(findings())) } else { sub };
            if runs { sub.mut_arg("run", |arg| arg.value_parser([MARK])) } else { sub }
        });
    }
    command
}

fn findings() -> PossibleValuesParser {
    PossibleValuesParser::new(checks::registry().map(|check| PossibleValue::new(check.id).help(check.summary)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_shows_the_mark_and_each_knows_the_findings() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let script = script(shell);
            assert!(!script.contains(MARK), "{shell}");
            assert!(script.contains("no-cni") || shell == Shell::Elvish || shell == Shell::PowerShell, "{shell}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            assert!(script(shell).contains("/var/lib/castoff/runs"), "{shell}");
        }
    }
}
