//! A service as its files make it: the command line with the place of every word, and the variables it is made of.
//!
//! Reading follows systemd.service(5) and systemd.exec(5): the last `ExecStart=` that is not taken back counts,
//! `Environment=` comes first, `EnvironmentFile=` over it, later files over earlier ones. Where files come from is the
//! caller's: a node being looked at, or the texts a plan has made so far.

use super::{
    env_file::EnvFile,
    specifiers::{of_unit, with_specifiers},
    unit_edit::raw_words,
    unit_file::{self, Expand, UnitFile},
};
use crate::model::{Origin, OriginKind};
use std::collections::BTreeMap;

/// Where the texts of environment files come from.
pub trait Reader {
    /// The text of a file; `None` when it is not there.
    fn text(&mut self, path: &str) -> Option<String>;
    /// The files that a shell pattern names, sorted.
    fn glob(&mut self, pattern: &str) -> Vec<String>;
}

/// A variable and where its value was given last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its value, quotes and escapes resolved.
    pub value: String,
    /// The line of a unit or environment file.
    pub origin: Origin,
}

/// One word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, variables expanded.
    pub text: String,
    /// The unit file or environment file.
    pub origin: Origin,
    /// The variable it came out of.
    pub variable: Option<String>,
    /// Which word of `ExecStart=` it stands in.
    pub at: usize,
    /// Which word of the variable's value it is; 0 for a word that stands in `ExecStart=` itself.
    pub inner: usize,
}

/// The `ExecStart=` that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The unit file or drop-in.
    pub path: String,
    /// Its line there.
    pub line: u32,
    /// The value, continued lines joined.
    pub value: String,
    /// For each word a variable whose value replaces it as a whole, `$VAR`.
    pub variables: Vec<Option<String>>,
}

/// A file named by `EnvironmentFile=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The path; patterns are expanded.
    pub path: String,
    /// The service starts without it.
    pub optional: bool,
    /// It is there.
    pub there: bool,
}

/// A service as its files make it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The `ExecStart=` that counts.
    pub exec: Option<Exec>,
    /// Its command line.
    pub words: Vec<Word>,
    /// The variables the files set.
    pub environment: BTreeMap<String, Variable>,
    /// Files of variables, in their order.
    pub env_files: Vec<Named>,
    /// `WorkingDirectory=`, where it is a path.
    pub directory: Option<String>,
}

/// Reads a service out of its unit file and drop-ins, in systemd's order.
pub fn read(files: &[(String, UnitFile)], reader: &mut dyn Reader) -> Service {
    let units: Vec<(&str, &UnitFile)> = files.iter().map(|(path, unit)| (path.as_str(), unit)).collect();
    let name = name(files);
    let mut service = Service::default();
    environment(&units, name, reader, &mut service);
    let directory = unit_file::effective(&units, "Service", "WorkingDirectory").pop();
    service.directory = directory.map(|(value, ..)| with_specifiers(&of_unit(value.trim_start_matches('-'), name)));
    service.directory = service.directory.filter(|path| path.starts_with('/'));
    if let Some((value, path, line)) = unit_file::effective(&units, "Service", "ExecStart").pop() {
        command(&value, name, (path, line), &mut service);
    }
    service
}

/// The unit's name: the name of its file, or that of a drop-in's directory.
fn name(files: &[(String, UnitFile)]) -> &str {
    let Some((path, _)) = files.first() else { return "" };
    let mut parts = path.rsplit('/');
    let (file, dir) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if file.ends_with(".conf") { dir.trim_end_matches(".d") } else { file }
}

fn command(value: &str, unit: &str, (path, line): (&str, u32), service: &mut Service) {
    let here = Origin::unit(path, Some(line));
    let parsed = unit_file::split_exec(&of_unit(value, unit));
    let fixed = parsed.prefixes.contains(':');
    let mut variables = Vec::new();
    for (at, word) in parsed.words.iter().enumerate() {
        let whole = match &word.expand {
            Expand::Words(name) if !fixed => Some(name.clone()),
            _ => None,
        };
        let lookup = |name: &str| service.environment.get(name).map(|found| found.value.clone());
        let texts =
            if fixed { vec![word.text.clone()] } else { unit_file::expand(std::slice::from_ref(word), &lookup) };
        let known = whole.as_ref().and_then(|name| service.environment.get(name));
        let origin = known.map_or_else(|| here.clone(), |found| found.origin.clone());
        let words = texts.into_iter().enumerate().map(|(inner, text)| Word {
            text,
            origin: origin.clone(),
            variable: whole.clone(),
            at,
            inner,
        });
        service.words.extend(words);
        variables.push(whole);
    }
    service.exec = Some(Exec { path: path.to_owned(), line, value: value.to_owned(), variables });
}

fn environment(units: &[(&str, &UnitFile)], unit: &str, reader: &mut dyn Reader, service: &mut Service) {
    for (value, path, line) in unit_file::effective(units, "Service", "Environment") {
        for (name, value) in unit_file::environment_assignments(&of_unit(&value, unit)) {
            service.environment.insert(name, Variable { value, origin: Origin::unit(path, Some(line)) });
        }
    }
    for (value, ..) in unit_file::effective(units, "Service", "EnvironmentFile") {
        let optional = value.starts_with('-');
        let pattern = value.strip_prefix('-').unwrap_or(&value).to_owned();
        // The path may stand in quotes.
        let pattern =
            if pattern.starts_with(['"', '\'']) { pattern.trim_matches(['"', '\'']).to_owned() } else { pattern };
        let pattern = with_specifiers(&of_unit(&pattern, unit));
        let paths = if pattern.contains(['*', '?', '[']) { reader.glob(&pattern) } else { vec![pattern] };
        for path in paths {
            let text = reader.text(&path);
            service.env_files.push(Named { path: path.clone(), optional, there: text.is_some() });
            for (name, at) in EnvFile::parse(&text.unwrap_or_default()).vars() {
                let origin = Origin::env_file(&path, at.line);
                service.environment.insert(name, Variable { value: at.value, origin });
            }
        }
    }
}

impl Service {
    /// The command line.
    pub fn argv(&self) -> Vec<String> {
        self.words.iter().map(|word| word.text.clone()).collect()
    }

    /// The words of `ExecStart=` as they are written.
    pub fn raw(&self) -> Vec<String> {
        self.exec.as_ref().map(|exec| raw_words(&exec.value)).unwrap_or_default()
    }

    /// A file that sets a variable, where one does.
    pub fn env_file_of(&self, variable: &str) -> Option<&str> {
        let found = self.environment.get(variable)?;
        (found.origin.kind == OriginKind::EnvFile).then_some(found.origin.path.as_deref())?
    }
}

/// Whether a name fits a shell pattern of one path component: `*`, `?` and `[…]`.
pub fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // A dot at the start must be named.
    if name.first() == Some(&'.') && pattern.first() != Some(&'.') {
        return false;
    }
    fits_from(&pattern, &name)
}

fn fits_from(pattern: &[char], name: &[char]) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return name.is_empty() };
    match first {
        '*' => (0..=name.len()).any(|skip| fits_from(rest, name.get(skip..).unwrap_or_default())),
        '?' => name.split_first().is_some_and(|(_, after)| fits_from(rest, after)),
        '[' => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return name.split_first().is_some_and(|(c, after)| c == first && fits_from(rest, after));
            };
            let set = rest.get(..end).unwrap_or_default();
            let after_set = rest.get(end + 1..).unwrap_or_default();
            name.split_first().is_some_and(|(c, after)| in_set(set, *c) && fits_from(after_set, after))
        }
        literal => name.split_first().is_some_and(|(c, after)| c == literal && fits_from(rest, after)),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (not, set) = match set.split_first() {
        Some(('!' | '^', rest)) => (true, rest),
        _ => (false, set),
    };
    let range = set.windows(3).any(|w| matches!(w, [from, '-', to] if *from <= c && c <= *to));
    (range || set.contains(&c)) != not
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Texts(&'static [(&'static str, &'static str)]);

    impl Reader for Texts {
        fn text(&mut self, path: &str) -> Option<String> {
            self.0.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned())
        }

        fn glob(&mut self, pattern: &str) -> Vec<String> {
            self.0.iter().map(|(path, _)| (*path).to_owned()).filter(|path| fits(pattern, path)).collect()
        }
    }

    #[test]
    fn words_know_their_place() {
        let unit = unit_file::parse(
            "[Service]\nWorkingDirectory=-%S/kubelet\nEnvironment=\"A=--x=1 --y\"\nEnvironmentFile=-/e/*.env\nEnvironmentFile=/missing\nExecStart=/k $A --z ${B} $C $GONE\n",
        );
        let files = [("/u".to_owned(), unit)];
        let mut texts = Texts(&[("/e/1.env", "B=b c\nC=1\n"), ("/e/2.env", "# c\nC='--c d'\n"), ("/e/x", "C=no")]);
        let service = read(&files, &mut texts);
        let seen: Vec<_> =
            service.words.iter().map(|w| (w.text.as_str(), w.origin.to_string(), w.at, w.inner)).collect();
        assert_eq!(
            seen,
            [
                ("/k", "/u:6".to_owned(), 0, 0),
                ("--x=1", "/u:3".to_owned(), 1, 0),
                ("--y", "/u:3".to_owned(), 1, 1),
                ("--z", "/u:6".to_owned(), 2, 0),
                ("b c", "/u:6".to_owned(), 3, 0),
                ("--c", "/e/2.env:2".to_owned(), 4, 0),
                ("d", "/e/2.env:2".to_owned(), 4, 1),
            ]
        );
        assert_eq!(service.directory.as_deref(), Some("/var/lib/kubelet"));
        let exec = service.exec.as_ref().unwrap();
        assert_eq!(exec.variables.iter().flatten().collect::<Vec<_>>(), ["A", "C", "GONE"]);
        assert_eq!(service.env_files.len(), 3);
        assert_eq!(service.env_file_of("C"), Some("/e/2.env"));
        assert_eq!(service.env_file_of("A"), None);
    }

    #[test]
    fn the_units_name_is_filled_in() {
        let unit = "[Service]\nEnvironment=A=--n=%N\nEnvironmentFile=-/e/%p\nExecStart=/usr/bin/%p $A $B %%n\n";
        let mut texts = Texts(&[("/e/kubelet", "B=--b")]);
        for path in ["/etc/systemd/system/kubelet.service", "/run/systemd/system/kubelet.service.d/1.conf"] {
            let files = [(path.to_owned(), unit_file::parse(unit))];
            assert_eq!(read(&files, &mut texts).argv(), ["/usr/bin/kubelet", "--n=kubelet", "--b", "%n"], "{path}");
        }
    }

    #[test]
    fn a_colon_switches_variables_off() {
        let files = [("/u".to_owned(), unit_file::parse("[Service]\nEnvironment=A=1\nExecStart=:/k $A\n"))];
        assert_eq!(read(&files, &mut Texts(&[])).argv(), ["/k", "$A"]);
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.env", "a.env", true),
            ("*.env", ".env", false),
            ("kube?et", "kubelet", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "[", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
