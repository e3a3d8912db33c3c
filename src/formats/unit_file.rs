//! systemd unit files and drop-ins: reading them, their order, and the command lines in them.
//!
//! Nothing here edits; [`super::unit_edit`] does, and never in files of packages. The rules are
//! those of systemd.unit(5) and of systemd 257's parsers.

use super::specifiers::with_specifiers;
use super::words::{Escapes, split};
use super::{BOM, count};

/// One setting of a unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section without brackets; empty in front of the first one, where systemd ignores settings.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value without blanks around it; continued lines are joined by a blank.
    pub value: String,
    /// The line of the key, counted from 1.
    pub line: u32,
}

/// A parsed unit file or drop-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFile {
    entries: Vec<Entry>,
    unreadable: Vec<super::At<String>>,
}

/// Reads a unit file; any text is one, since systemd skips what it does not understand.
pub fn parse(text: &str) -> UnitFile {
    let mut file = UnitFile::default();
    let mut section = String::new();
    let mut pending: Option<(String, u32)> = None;
    for (index, line) in text.trim_start_matches(BOM).lines().enumerate() {
        let line = line.trim_start_matches(is_blank);
        // Comments may stand between continued lines.
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (mut joined, start) = pending.take().unwrap_or_else(|| (String::new(), count(index + 1)));
        joined.push_str(line);
        let backslashes = joined.len() - joined.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            joined.pop();
            joined.push(' ');
            pending = Some((joined, start));
        } else {
            file.add(&joined, start, &mut section);
        }
    }
    if let Some((joined, start)) = pending {
        file.add(&joined, start, &mut section);
    }
    file
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

impl UnitFile {
    /// Reads a unit file; any text is one, since systemd skips what it does not understand.
    pub fn parse(text: &str) -> Self {
        parse(text)
    }

    /// The settings in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Lines that systemd ignores although they are no comments.
    pub fn unreadable_lines(&self) -> &[super::At<String>] {
        &self.unreadable
    }

    fn add(&mut self, line: &str, start: u32, section: &mut String) {
        let line = line.trim_matches(is_blank);
        let name = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        if let Some(name) = name {
            name.clone_into(section);
        } else if let Some((key, value)) = line.split_once('=') {
            self.entries.push(Entry {
                section: section.clone(),
                key: key.trim_end_matches(is_blank).to_owned(),
                value: value.trim_start_matches(is_blank).to_owned(),
                line: start,
            });
        } else if !line.is_empty() {
            self.unreadable.push(super::At::new(line.to_owned(), start));
        }
    }
}

/// What a key of a unit amounts to, given its fragment and then its drop-ins in systemd's order, each with its path.
///
/// Lists accumulate and an empty assignment empties them; of a key that holds one value, the last entry counts. Each
/// value comes with the path and line it was read from.
pub fn effective<'a>(files: &[(&'a str, &UnitFile)], section: &str, key: &str) -> Vec<(String, &'a str, u32)> {
    let mut out = Vec::new();
    for (path, file) in files {
        for entry in file.entries.iter().filter(|entry| entry.section == section && entry.key == key) {
            if entry.value.is_empty() {
                out.clear();
            } else {
                out.push((entry.value.clone(), *path, entry.line));
            }
        }
    }
    out
}

/// A dependency on another unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// `Requires`, `BindsTo`, `After`, …
    pub key: String,
    /// The unit that is named.
    pub unit: String,
    /// The file that says so.
    pub path: String,
    /// The line of the setting.
    pub line: u32,
}

/// Settings that tie a unit to another one.
pub const NEEDS: [&str; 7] = ["Requires", "BindsTo", "Requisite", "PartOf", "Upholds", "Wants", "After"];

/// The dependencies on some units that a unit's files declare. An empty assignment takes none of them back.
pub fn needs(files: &[(String, UnitFile)], units: &[&str]) -> Vec<Need> {
    let mut found = Vec::new();
    for (path, file) in files {
        for entry in file.entries.iter().filter(|entry| entry.section == "Unit" && NEEDS.contains(&entry.key.as_str()))
        {
            let named = entry.value.split_whitespace().filter(|unit| units.contains(unit));
            found.extend(named.map(|unit| Need {
                key: entry.key.clone(),
                unit: unit.to_owned(),
                path: path.clone(),
                line: entry.line,
            }));
        }
    }
    found
}

/// Directories of units from the strongest to the weakest.
const UNIT_DIRS: [&str; 11] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Puts the drop-ins of one unit into the order in which systemd reads them, the last winning.
///
/// Each candidate is a path `DIR/UNIT.d/NAME.conf` and whether it is a mask: a link to `/dev/null` or an empty file.
/// The order is that of the file names, whatever their directory. Of several files with one name the one in the
/// strongest directory counts (`/etc`, `/run`, `/usr/local/lib`, `/usr/lib`; in one directory `kubelet.service.d`
/// before `service.d`), and if that is a mask, none does. Files that do not end in `.conf` are not drop-ins.
pub fn order_drop_ins<'a>(candidates: &[(&'a str, bool)]) -> Vec<&'a str> {
    let mut found: Vec<Candidate<'a>> = candidates
        .iter()
        .filter_map(|(path, mask)| {
            let (dir, name) = path.rsplit_once('/')?;
            name.strip_suffix(".conf")?;
            Some(Candidate { name, rank: rank(dir), path, mask: *mask })
        })
        .collect();
    found.sort_by_key(|candidate| (candidate.name, candidate.rank));
    found.dedup_by_key(|candidate| candidate.name);
    found.into_iter().filter(|candidate| !candidate.mask).map(|candidate| candidate.path).collect()
}

/// Smaller is stronger.
type Rank = (bool, usize, usize);

struct Candidate<'a> {
    name: &'a str,
    rank: Rank,
    path: &'a str,
    mask: bool,
}

/// Sorts stronger places first: a directory for all units of a type is the weakest, and a longer name is closer.
fn rank(dir: &str) -> Rank {
    let (base, owner) = dir.rsplit_once('/').unwrap_or(("", dir));
    let all_of_type = !owner.trim_end_matches(".d").contains('.');
    let place = UNIT_DIRS.iter().position(|known| *known == base).unwrap_or(UNIT_DIRS.len());
    (all_of_type, place, usize::MAX - owner.len())
}

/// How systemd replaces variables in one word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expand {
    /// Nothing to replace.
    Fixed,
    /// The word is `$VAR`: its value is cut into words, none if it is unset or empty.
    Words(String),
    /// The word has `${VAR}` or `$$` in it and stays one word.
    Inside,
}

/// One word of a command line, without quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, variables unexpanded.
    pub text: String,
    /// What is to be expanded in it.
    pub expand: Expand,
}

/// A command line of `ExecStart=` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecLine {
    /// The special characters in front: `@ - : + ! |`.
    pub prefixes: String,
    /// Program and arguments.
    pub words: Vec<Word>,
}

/// Takes a command line apart: quotes, C escapes and specifiers ([`with_specifiers`]) are resolved. Only the first of
/// several commands (separated by a lone `;`) is read.
pub fn split_exec(value: &str) -> ExecLine {
    let mut words = Vec::new();
    for word in split(value, Escapes::C) {
        if value.get(word.range) == Some(";") {
            break;
        }
        let text = if word.text == "\\;" { ";".to_owned() } else { with_specifiers(&word.text) };
        words.push(text);
    }
    let mut prefixes = String::new();
    if let Some(first) = words.first_mut() {
        let program = first.trim_start_matches(['@', '-', ':', '+', '!', '|']).len();
        prefixes = first.drain(..first.len() - program).collect();
    }
    let words = words.into_iter().map(|text| Word { expand: expansion(&text), text });
    ExecLine { prefixes, words: words.collect() }
}

fn expansion(text: &str) -> Expand {
    match text.strip_prefix('$') {
        Some(name) if !name.is_empty() && !name.starts_with(['{', '$']) => Expand::Words(name.to_owned()),
        _ if text.contains("${") || text.contains("$$") => Expand::Inside,
        _ => Expand::Fixed,
    }
}

impl ExecLine {
    /// Program and arguments as the service sees them; the prefix `:` switches variables off.
    pub fn argv(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        if self.prefixes.contains(':') {
            return self.words.iter().map(|word| word.text.clone()).collect();
        }
        expand(&self.words, env)
    }
}

/// Replaces variables as systemd does: a word `$VAR` becomes the words of its value, `${VAR}` stays within its word,
/// `$$` is a dollar sign, and what is unset is empty. `$VAR` inside a word is no variable.
pub fn expand(words: &[Word], env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::new();
    for word in words {
        match &word.expand {
            Expand::Fixed => out.push(word.text.clone()),
            Expand::Words(name) => {
                let value = env(name).unwrap_or_default();
                out.extend(split(&value, Escapes::Plain).into_iter().map(|word| word.text));
            }
            Expand::Inside => out.push(expand_inside(&word.text, env)),
        }
    }
    out
}

fn expand_inside(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            out.push_str(&env(name).unwrap_or_default());
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The assignments of one `Environment=` value. Quotes surround the whole assignment, `$` means nothing,
/// specifiers do; words that assign nothing are ignored as systemd ignores them.
pub fn environment_assignments(value: &str) -> Vec<(String, String)> {
    let words = split(value, Escapes::C).into_iter().map(|word| with_specifiers(&word.text));
    let pairs = words.filter_map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    pairs.filter(|(name, _)| is_variable(name)).collect()
}

/// One assignment for `Environment=`, written so that systemd reads exactly this value back.
pub fn quoted_assignment(name: &str, value: &str) -> String {
    let mut out = format!("\"{name}=");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' => out.push_str("%%"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_are_read_with_section_and_line() {
        let file = parse(
            "# c\n[Unit]\r\nAfter = a.service \\\r\n ; between\r\n  b.service\r\n\r\n[Service]\nExecStart=/bin/x \\\\\nnonsense\nA=b=c\nLast=x \\",
        );
        let seen: Vec<_> =
            file.entries().iter().map(|e| (e.section.as_str(), e.key.as_str(), e.value.as_str(), e.line)).collect();
        assert_eq!(
            seen,
            [
                ("Unit", "After", "a.service  b.service", 3),
                ("Service", "ExecStart", "/bin/x \\\\", 8),
                ("Service", "A", "b=c", 10),
                ("Service", "Last", "x", 11),
            ]
        );
        assert_eq!(file.unreadable_lines(), [super::super::At::new("nonsense".to_owned(), 9)]);
    }

    #[test]
    fn empty_assignments_reset_lists() {
        let unit = parse("[Service]\nExecStart=/a\nEnvironment=A=1\n");
        let drop_in = parse("[Service]\nExecStart=\nExecStart=/b\nEnvironment=B=2\n[Unit]\nExecStart=/no\n");
        let files = [("/lib/x.service", &unit), ("/etc/x.service.d/1.conf", &drop_in)];
        assert_eq!(effective(&files, "Service", "ExecStart"), [("/b".to_owned(), "/etc/x.service.d/1.conf", 3)]);
        let values: Vec<_> = effective(&files, "Service", "Environment").into_iter().map(|v| v.0).collect();
        assert_eq!(values, ["A=1", "B=2"]);
        assert!(effective(&files, "Install", "Alias").is_empty());
    }

    #[test]
    fn drop_ins_are_ordered_by_name_and_masked() {
        let order = order_drop_ins(&[
            ("/etc/systemd/system/kubelet.service.d/20-x.conf", false),
            ("/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", false),
            ("/usr/lib/systemd/system/kubelet.service.d/20-x.conf", false),
            ("/run/systemd/system/kubelet.service.d/30-y.conf", true),
            ("/lib/systemd/system/kubelet.service.d/30-y.conf", false),
            ("/usr/lib/systemd/system/service.d/05-all.conf", false),
            ("/etc/systemd/system/service.d/10-kubeadm.conf", false),
            ("/usr/lib/systemd/system/kubelet.service.d/README", false),
            ("/etc/systemd/system/a-.service.d/40.conf", false),
            ("/etc/systemd/system/a-b.service.d/40.conf", false),
        ]);
        assert_eq!(
            order,
            [
                "/usr/lib/systemd/system/service.d/05-all.conf",
                "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
                "/etc/systemd/system/kubelet.service.d/20-x.conf",
                "/etc/systemd/system/a-b.service.d/40.conf",
            ]
        );
    }

    #[test]
    fn command_lines_expand_as_systemd_expands_them() {
        let env = |name: &str| match name {
            "ARGS" => Some("--a='b c'  --d".to_owned()),
            "EMPTY" => Some(String::new()),
            "ONE" => Some("x y".to_owned()),
            _ => None,
        };
        for (line, prefixes, argv) in [
            ("/usr/bin/kubelet $ARGS $UNSET $EMPTY --z", "", &["/usr/bin/kubelet", "--a=b c", "--d", "--z"][..]),
            ("-@/bin/x ${ONE} ${UNSET} a$ONE a${ONE}", "-@", &["/bin/x", "x y", "", "a$ONE", "ax y"]),
            ("/bin/x \"$ARGS\" '${ONE}' $$HOME %%h %i", "", &["/bin/x", "--a=b c", "--d", "x y", "$HOME", "%h", "%i"]),
            ("/bin/x --a=%E/b -c%t %S%%h %", "", &["/bin/x", "--a=/etc/b", "-c/run", "/var/lib%h", "%"]),
            (":/bin/x $ARGS $$", ":", &["/bin/x", "$ARGS", "$$"]),
            ("/bin/x a\\x20b \\; c ; /bin/y", "", &["/bin/x", "a b", ";", "c"]),
            ("/bin/x $ ${open", "", &["/bin/x", "$", "${open"]),
            ("", "", &[]),
        ] {
            let exec = split_exec(line);
            assert_eq!(exec.prefixes, prefixes, "{line}");
            assert_eq!(exec.argv(&env), argv, "{line}");
        }
        assert_eq!(
            split_exec("/x $A ${A} a").words.iter().map(|w| w.expand.clone()).collect::<Vec<_>>(),
            [Expand::Fixed, Expand::Words("A".into()), Expand::Inside, Expand::Fixed,]
        );
    }

    #[test]
    fn environment_quotes_whole_assignments() {
        let pairs = environment_assignments(r#""HTTP_PROXY=http://a b" 'NO=%%' C=$D "E"=f junk 1A=x"#);
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("HTTP_PROXY", "http://a b"), ("NO", "%"), ("C", "$D"), ("E", "f")]);
    }

    proptest! {
        #[test]
        fn assignments_are_read_back(value in "[a-z0-9:/@%$\"'\\\\ ,.#;\n\r\t-]{0,40}") {
            let text = format!("[Service]\nEnvironment={}\n", quoted_assignment("HTTP_PROXY", &value));
            let unit = parse(&text);
            let read = effective(&[("/x", &unit)], "Service", "Environment");
            let pairs = environment_assignments(&read[0].0);
            prop_assert_eq!(pairs, [("HTTP_PROXY".to_owned(), value)]);
        }

        #[test]
        fn any_text_is_survived(text in ".{0,60}", names in "[$a{} \\\\\"']{0,30}") {
            parse(&text);
            split_exec(&text).argv(&|_| Some(names.clone()));
            split_exec(&names).argv(&|_| None);
            environment_assignments(&text);
            order_drop_ins(&[(&text, false), (&names, true)]);
        }
    }
}
