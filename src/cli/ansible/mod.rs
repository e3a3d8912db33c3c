//! castoff as an Ansible module. Two doors lead here: a module in Python that runs `castoff ansible -`, and the binary
//! itself, which Ansible copies to nodes without Python and starts as `AnsiballZ_NAME FILE` (ansible-core,
//! `executor/module_common.py` and `plugins/action/__init__.py`).

mod answer;
mod options;
mod runtime;

use super::exit::{Exit, Usage};
use crate::{
    host::{env, user_files},
    ui::Printer,
};
use answer::Answer;
use anyhow::{Context as _, Result, anyhow};
use options::{Options, as_switch};
use runtime::Call;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The file with arguments, when this program was started by Ansible as a module.
pub fn called() -> Option<PathBuf> {
    let name = env::name()?;
    let name = Path::new(&name).file_name()?.to_str()?;
    let mut arguments = env::arguments();
    let first = arguments.next()?;
    (name.starts_with(env::ANSIBLE_MODULE) && arguments.next().is_none()).then(|| PathBuf::from(first))
}

/// Does what the arguments in a file (`-`: standard input) say. Whatever happens, standard output is one JSON object.
pub fn run(file: &Path, printer: Printer) -> Exit {
    let (text, exit) = match arguments(file) {
        Ok(arguments) => dispatch(arguments, printer),
        Err(error) => {
            let mut answer = Answer::new(false);
            answer.fail_with(&error);
            answer
        }
    }
    .end();
    printer.document(&text);
    exit
}

fn arguments(file: &Path) -> Result<Map<String, Value>> {
    let text = if file == Path::new("-") { user_files::standard_input()? } else { user_files::read(file)? };
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(anyhow!("the arguments are no JSON object")),
        // Its message may quote the text, and that may hold a secret.
        Err(error) => Err(anyhow!("the arguments are no JSON (line {}, column {})", error.line(), error.column())),
    }
    .context("castoff was called as an Ansible module")
}

fn dispatch(arguments: Map<String, Value>, printer: Printer) -> Answer {
    let (about, given): (Map<String, Value>, Map<String, Value>) =
        arguments.into_iter().partition(|(key, _)| key.starts_with("_ansible_"));
    let mut answer = Answer::new(about.get("_ansible_diff").and_then(as_switch).unwrap_or_default());
    let done = check_mode(&about).and_then(|check| {
        let call = Call { check, printer };
        let name = about.get("_ansible_module_name").and_then(Value::as_str).unwrap_or_default();
        match name.rsplit('.').next().unwrap_or_default() {
            "runtime" | "castoff" | "castoff_runtime" => runtime::runtime(Options::new(given), call, &mut answer),
            "runtime_info" | "castoff_info" => runtime::info(Options::new(given), call, &mut answer),
            _ => Err(Usage::error(
                format!("`{name}` is no module of castoff's"),
                "name the file `runtime` or `runtime_info`; by hand use the commands that `castoff --help` lists",
            )),
        }
    });
    if let Err(error) = done {
        answer.fail_with(&error);
    }
    answer
}

/// Ansible does not stop a binary in check mode, so not to know is not to change anything.
fn check_mode(about: &Map<String, Value>) -> Result<bool> {
    about.get("_ansible_check_mode").and_then(as_switch).ok_or_else(|| {
        Usage::error("it is not said whether this is check mode (`_ansible_check_mode`)", "let Ansible call castoff")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::ColourChoice;
    use serde_json::json;

    fn answered(arguments: Value) -> Value {
        let Value::Object(map) = arguments else { panic!("no arguments") };
        let (text, _) = dispatch(map, Printer::new(ColourChoice::Never, true, 0)).end();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn without_a_word_on_check_mode_nothing_is_done() {
        let value = answered(json!({ "_ansible_module_name": "castoff.node.runtime", "state": "migrated" }));
        assert_eq!((&value["failed"], &value["exit_code"]), (&json!(true), &json!(64)));
        assert!(value["msg"].as_str().unwrap().contains("check mode"));
    }

    #[test]
    fn wrong_options_are_refused() {
        for (option, words) in [
            (json!({ "stat": "planned" }), "did you mean `state`?"),
            (json!({ "state": "gone" }), "it is one of: planned"),
        ] {
            let mut arguments = json!({ "_ansible_module_name": "runtime", "_ansible_check_mode": true });
            arguments.as_object_mut().unwrap().extend(option.as_object().unwrap().clone());
            let value = answered(arguments);
            assert_eq!(value["failed"], true);
            assert!(value["msg"].as_str().unwrap().contains(words), "{value}");
        }
    }

    #[test]
    fn another_name_is_no_module() {
        let value = answered(json!({ "_ansible_module_name": "a.b.ping", "_ansible_check_mode": false }));
        assert!(value["msg"].as_str().unwrap().contains("`a.b.ping` is no module"));
    }
}
