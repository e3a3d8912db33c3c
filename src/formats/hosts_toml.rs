//! containerd's `hosts.toml`: how one registry is reached. One file per registry, below the directory that
//! `registry.config_path` names.
//!
//! containerd tries the hosts in the order of their table headers and the server last. A file it cannot read is no
//! error to it: it logs a line and goes on as if there were none, so every fault it would stumble over is an error here.
//! A byte order mark is one for 2.x only, and is gone from whatever is written.

use super::containerd::{
    Literal,
    change::{Change, append_at_top, same},
};
use super::{At, FormatError, line_of, toml_document};
use toml_edit::{Item, TableLike, Value};

#[cfg(test)]
mod tests;

/// What a host may be asked for. `referrers` came with containerd 2.x; the others are as old as the file.
const CAPABILITIES: [&str; 4] = ["pull", "resolve", "push", "referrers"];

/// First line of a file that castoff makes.
const HEADER: &str = "# Written by castoff: how containerd reaches this registry.\n";

/// Settings of a host, or of the server when they stand at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostOptions {
    /// What the host is asked for; empty: everything.
    pub capabilities: Vec<String>,
    /// Certificate authorities besides the system's.
    pub ca: Vec<String>,
    /// Client certificates, each with its key unless one file holds both.
    pub client: Vec<(String, Option<String>)>,
    /// Whether any certificate of the host will do.
    pub skip_verify: Option<bool>,
    /// Names of additional request headers; their values may be secret.
    pub header: Vec<String>,
    /// The URL's path is the whole path: `/v2` is not appended.
    pub override_path: bool,
    /// How long a connection may take to be made, as Go writes durations.
    pub dial_timeout: Option<String>,
}

/// A host that is tried before the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Its URL as written.
    pub url: At<String>,
    /// Its settings.
    pub options: HostOptions,
}

/// What a file must say, whatever else it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostsTarget {
    /// The server, unless the file names one.
    pub server: Option<String>,
    /// Settings of the server, each unless the file has it.
    pub options: HostOptions,
    /// Hosts, tried in this order behind those that the file has; a host the file has is left as it is.
    pub hosts: Vec<(String, HostOptions)>,
}

/// A parsed `hosts.toml`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostsToml {
    bom: String,
    text: String,
    /// `server`: tried last; absent: the registry itself.
    pub server: Option<At<String>>,
    /// Settings of the server.
    pub options: HostOptions,
    /// The hosts, in the order in which they are tried.
    pub hosts: Vec<HostEntry>,
    /// Hosts written as dotted keys or inline tables: containerd 2.x passes them over.
    pub uncounted: Vec<At<String>>,
}

impl HostsToml {
    /// Reads a file; the empty text is one.
    ///
    /// # Errors
    /// What makes containerd ignore the file: text that is not TOML, a value of a wrong type, an unknown capability.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let (bom, text, doc) = toml_document(text)?;
        let reader = Reader { text };
        let root = doc.as_table();
        let mut file = Self {
            bom: bom.to_owned(),
            text: text.to_owned(),
            server: reader.text(root, "server")?,
            options: reader.options(root)?,
            hosts: Vec::new(),
            uncounted: Vec::new(),
        };
        let Some(hosts) = root.get("host") else { return Ok(file) };
        let Some(table) = hosts.as_table_like() else { return Err(reader.wrong(hosts, "host is not a table")) };
        for (url, item) in table.iter() {
            let Some(host) = item.as_table_like() else {
                return Err(reader.wrong(item, format!("host {url:?} is not a table")));
            };
            let at = At::new(url.to_owned(), line_of(text, offset(item)));
            let options = reader.options(host)?;
            if item.as_table().is_none_or(toml_edit::Table::is_dotted) {
                file.uncounted.push(at.clone());
            }
            file.hosts.push(HostEntry { url: at, options });
        }
        Ok(file)
    }

    /// The text, as it was given.
    pub fn text(&self) -> String {
        format!("{}{}", self.bom, self.text)
    }

    /// Whether it begins with a byte order mark, which 2.x takes for text (go-toml 2).
    pub fn has_byte_order_mark(&self) -> bool {
        !self.bom.is_empty()
    }

    /// The text in which `target` holds, without a byte order mark; the same text where it already does.
    ///
    /// # Errors
    /// Hosts in a notation that cannot be ordered, and `internal: …` if the edited text does not say what was meant.
    pub fn with(&self, target: &HostsTarget) -> Result<String, FormatError> {
        let known = |url: &str| self.hosts.iter().any(|host| plain(&host.url.value) == plain(url));
        let missing: Vec<_> = target.hosts.iter().filter(|(url, _)| !known(url)).collect();
        if let Some(first) = self.uncounted.first().filter(|_| !missing.is_empty()) {
            let message = "hosts without a table header of their own have no order";
            return Err(FormatError::at_line(&self.text, first.line, message));
        }
        let mut changes = Vec::new();
        if let Some(server) = target.server.as_ref().filter(|_| self.server.is_none()) {
            changes.push(Change::Set(vec!["server".to_owned()], Literal::Text(server.clone())));
        }
        changes.extend(settings(&[], &without(&target.options, &self.options)));
        for (url, options) in missing {
            let path = ["host".to_owned(), url.clone()];
            let own = settings(&path, options);
            if own.is_empty() {
                return Err(FormatError::internal(format!("host {url} has no setting")));
            }
            changes.extend(own);
        }
        self.apply(&changes)
    }

    /// The text with certificates named by absolute paths, for a copy in another directory.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn moved_from(&self, dir: &str) -> Result<String, FormatError> {
        let mut changes = Vec::new();
        let hosts = self.hosts.iter().map(|host| (vec!["host".to_owned(), host.url.value.clone()], &host.options));
        for (path, options) in std::iter::once((Vec::new(), &self.options)).chain(hosts) {
            let (old, new) = (certificates(options), certificates(&options.absolute(dir)));
            if old != new {
                changes.extend(settings(&path, &new));
            }
        }
        self.apply(&changes)
    }

    fn apply(&self, changes: &[Change]) -> Result<String, FormatError> {
        let read = |text: &str| {
            toml::from_str::<toml::Table>(text)
                .map_err(|error| FormatError::internal(format!("edited text: {}", error.message())))
        };
        let (mut text, mut meant) = (self.text.clone(), read(&self.text)?);
        for change in changes {
            // Settings of the server stay together, below a comment that is about the file.
            let behind = match change {
                Change::Set(path, value) => match path.as_slice() {
                    [key] if !meant.contains_key(key) => append_at_top(&text, key, &value.render()),
                    _ => None,
                },
                _ => None,
            };
            text = behind.unwrap_or_else(|| change.in_text(&text));
            change.in_value(&mut meant);
        }
        if !same(&read(&text)?, &meant) {
            return Err(FormatError::internal("the edited file differs from what was meant"));
        }
        Ok(text)
    }
}

impl HostOptions {
    /// The same with relative file names made absolute, as containerd does it.
    #[must_use]
    pub fn absolute(&self, dir: &str) -> Self {
        let path = |name: &String| if name.starts_with('/') { name.clone() } else { format!("{dir}/{name}") };
        let mut options = self.clone();
        options.ca = self.ca.iter().map(path).collect();
        options.client = self.client.iter().map(|(cert, key)| (path(cert), key.as_ref().map(path))).collect();
        options
    }
}

/// A whole new file.
///
/// # Errors
/// `internal: …` if the text does not say what was meant.
pub fn new_file(target: &HostsTarget) -> Result<String, FormatError> {
    HostsToml::parse(HEADER)?.with(target)
}

/// A URL as containerd reads it, without what makes no difference: the last slash, and a `/v2` that it appends itself.
pub fn plain(url: &str) -> String {
    let url = if url.starts_with("http") { url.to_owned() } else { format!("https://{url}") };
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v2").unwrap_or(url).to_owned()
}

fn certificates(options: &HostOptions) -> HostOptions {
    HostOptions { ca: options.ca.clone(), client: options.client.clone(), ..HostOptions::default() }
}

/// What is wanted and not there.
fn without(wanted: &HostOptions, there: &HostOptions) -> HostOptions {
    let mut rest = wanted.clone();
    if !there.ca.is_empty() {
        rest.ca.clear();
    }
    if !there.client.is_empty() {
        rest.client.clear();
    }
    if there.skip_verify.is_some() {
        rest.skip_verify = None;
    }
    rest.capabilities.clear();
    rest.override_path &= !there.override_path;
    rest
}

/// The changes that write settings; a list of one certificate is written as containerd's own examples do.
fn settings(path: &[String], options: &HostOptions) -> Vec<Change> {
    let mut out = Vec::new();
    let mut set = |key: &str, value: Literal| {
        out.push(Change::Set(path.iter().cloned().chain([key.to_owned()]).collect(), value));
    };
    if !options.capabilities.is_empty() {
        set("capabilities", Literal::List(options.capabilities.clone()));
    }
    match options.ca.as_slice() {
        [] => {}
        [one] => set("ca", Literal::Text(one.clone())),
        many => set("ca", Literal::List(many.to_vec())),
    }
    if !options.client.is_empty() {
        let pairs: Option<Vec<_>> =
            options.client.iter().map(|(cert, key)| Some((cert.clone(), key.clone()?))).collect();
        // A file that holds both is named twice where others come in pairs.
        let both = |(cert, key): &(String, Option<String>)| (cert.clone(), key.clone().unwrap_or_else(|| cert.clone()));
        let single = options.client.iter().all(|(_, key)| key.is_none());
        set(
            "client",
            match pairs {
                Some(pairs) => Literal::Pairs(pairs),
                None if single => Literal::List(options.client.iter().map(|(cert, _)| cert.clone()).collect()),
                None => Literal::Pairs(options.client.iter().map(both).collect()),
            },
        );
    }
    if let Some(skip) = options.skip_verify {
        set("skip_verify", Literal::Bool(skip));
    }
    if options.override_path {
        set("override_path", Literal::Bool(true));
    }
    out
}

/// The offset of an item; a table that only its children name starts where the first of them does.
fn offset(item: &Item) -> usize {
    if let Some(span) = item.span() {
        return span.start;
    }
    let children = item.as_table_like().map(TableLike::iter).into_iter().flatten();
    children.map(|(_, child)| offset(child)).min().unwrap_or(0)
}

/// Reads values and says where they are wrong.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, item: &Item, message: impl AsRef<str>) -> FormatError {
        FormatError::at_offset(self.text, offset(item), message)
    }

    fn options(&self, table: &dyn TableLike) -> Result<HostOptions, FormatError> {
        let capabilities = self.list(table, "capabilities", false)?;
        if let Some(word) = capabilities.iter().find(|word| !CAPABILITIES.contains(&word.to_lowercase().as_str()))
            && let Some(item) = table.get("capabilities")
        {
            return Err(self.wrong(item, format!("unknown capability {word:?}")));
        }
        Ok(HostOptions {
            capabilities,
            ca: self.list(table, "ca", true)?,
            client: self.client(table)?,
            skip_verify: self.boolean(table, "skip_verify")?,
            header: self.header(table)?,
            override_path: self.boolean(table, "override_path")?.unwrap_or(false),
            dial_timeout: self.text(table, "dial_timeout")?.map(|at| at.value).filter(|text| !text.is_empty()),
        })
    }

    fn text(&self, table: &dyn TableLike, key: &str) -> Result<Option<At<String>>, FormatError> {
        let Some(item) = table.get(key) else { return Ok(None) };
        match item.as_str() {
            Some(text) => Ok(Some(At::new(text.to_owned(), line_of(self.text, offset(item))))),
            None => Err(self.wrong(item, format!("{key} is not a text"))),
        }
    }

    fn boolean(&self, table: &dyn TableLike, key: &str) -> Result<Option<bool>, FormatError> {
        let Some(item) = table.get(key) else { return Ok(None) };
        item.as_bool().map(Some).ok_or_else(|| self.wrong(item, format!("{key} is neither true nor false")))
    }

    fn list(&self, table: &dyn TableLike, key: &str, or_text: bool) -> Result<Vec<String>, FormatError> {
        let Some(item) = table.get(key) else { return Ok(Vec::new()) };
        if let Some(text) = item.as_str().filter(|_| or_text) {
            return Ok(vec![text.to_owned()]);
        }
        let texts = item.as_array().and_then(|array| array.iter().map(text_of).collect::<Option<Vec<_>>>());
        texts.ok_or_else(|| self.wrong(item, format!("{key} is not a list of texts")))
    }

    fn client(&self, table: &dyn TableLike) -> Result<Vec<(String, Option<String>)>, FormatError> {
        let Some(item) = table.get("client") else { return Ok(Vec::new()) };
        if let Some(text) = item.as_str() {
            return Ok(vec![(text.to_owned(), None)]);
        }
        let one = |value: &Value| match value {
            Value::String(text) => Some((text.value().clone(), None)),
            Value::Array(pair) if pair.len() == 2 => Some((text_of(pair.get(0)?)?, Some(text_of(pair.get(1)?)?))),
            _ => None,
        };
        let pairs = item.as_array().and_then(|array| array.iter().map(one).collect::<Option<Vec<_>>>());
        pairs.ok_or_else(|| self.wrong(item, "client is neither a file, nor files, nor pairs of files"))
    }

    fn header(&self, table: &dyn TableLike) -> Result<Vec<String>, FormatError> {
        let Some(item) = table.get("header") else { return Ok(Vec::new()) };
        let Some(header) = item.as_table_like() else { return Err(self.wrong(item, "header is not a table")) };
        for (name, _) in header.iter() {
            self.list(header, name, true)?;
        }
        Ok(header.iter().map(|(name, _)| name.to_owned()).collect())
    }
}

fn text_of(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
