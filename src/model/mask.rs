//! Masking secrets in text that leaves the machine: diffs, findings, reports, facts, whole files.
//!
//! There is this one way, for everything: what castoff knows as a secret in one output it knows in all. It keeps quotes,
//! brackets and lines, so that a masked file is parsed and planned with as the real one is, and a diff of masked texts names
//! the lines of the real ones. A mask has a short digest, so that a reader sees whether two secrets are equal; masking
//! twice is masking once.

use super::Digest;

/// Keys whose value is a secret wherever they stand, in lower case.
const KEYS: &[&str] = &[
    "auth",
    "authorization",
    "client-certificate-data",
    "client-key-data",
    "cookie",
    "identity_token",
    "passphrase",
    "proxy-authorization",
    "pwd",
];
/// Ends of keys whose value is a secret: `https_proxy_password`, `splunk-token`, `X-Api-Key`.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "token",
    "secret",
    "-auth",
    "_auth",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "secret-key",
    "secret_key",
    "secretkey",
    "private_key",
    "private-key",
    "credential",
    "credentials",
];
/// How a certificate or key begins in base64.
const PEM_IN_BASE64: &str = "LS0tLS1CRUdJTi";

/// The text with its secrets masked: values of secret keys in JSON, TOML, YAML, unit and environment files, headers for
/// registries, user information in URLs, private keys, and what comes after `Bearer` and `Basic`. Equal secrets have equal
/// masks, as in everything that castoff prints.
pub fn mask_text(text: &str) -> String {
    mask_words(&mask_keys(&mask_headers(&mask_pem(text))))
}

/// The value of a key with its secret masked, which may be all of it.
pub fn mask_value(key: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else if is_secret_key(key) {
        mask(value)
    } else if is_proxy_key(key) {
        mask_text(&mask_proxy(value))
    } else {
        mask_text(value)
    }
}

/// Whether a key's value holds a secret, or the mask of one.
pub fn holds_secret(key: &str, value: &str) -> bool {
    value.contains(MASK) || mask_value(key, value) != value
}

const MASK: &str = "<redacted:";

fn mask(secret: &str) -> String {
    if is_mask(secret) { secret.to_owned() } else { format!("{MASK}{}>", Digest::of(secret.as_bytes()).short()) }
}

fn is_mask(text: &str) -> bool {
    text.strip_prefix(MASK).and_then(|rest| rest.strip_suffix('>')).is_some_and(|short| short.len() == 4)
}

/// The lines between `BEGIN … PRIVATE KEY` and its end; without one, to the end of the text.
fn mask_pem(text: &str) -> String {
    let (mut out, mut secret) = (String::with_capacity(text.len()), None::<&str>);
    let mut rest = text;
    while let Some(line) = rest.split_inclusive('\n').next() {
        let (at, after) = (rest, &rest[line.len()..]);
        rest = after;
        let marker = line.trim_start().starts_with("-----") && line.contains("PRIVATE KEY-----");
        match secret {
            None => {
                out.push_str(line);
                secret = (marker && line.contains("BEGIN")).then_some(after);
            }
            Some(from) if marker && line.contains("END") => {
                out.push_str(&mask_lines(&from[..from.len() - at.len()]));
                out.push_str(line);
                secret = None;
            }
            Some(_) => {}
        }
    }
    out + &secret.map(mask_lines).unwrap_or_default()
}

/// Lines that are one secret: the same mask on each, so that their number stays and none is told from another.
fn mask_lines(lines: &str) -> String {
    let secret: String = lines.lines().map(str::trim).collect();
    let mask = mask(&secret);
    let one = |line: &str| {
        let body = line.trim();
        if body.is_empty() || is_mask(body) { line.to_owned() } else { line.replacen(body, &mask, 1) }
    };
    lines.split_inclusive('\n').map(one).collect()
}

/// Values in tables of headers (`[host."https://r".header]` in `hosts.toml`, `registry.headers` in containerd's
/// configuration): any header may authorise.
fn mask_headers(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let heading = trimmed.trim_end_matches(|c: char| c != ']');
        if trimmed.starts_with('[') && !heading.is_empty() {
            inside = heading.ends_with("header]") || heading.ends_with("headers]");
            out.push_str(line);
            continue;
        }
        let inline = trimmed.starts_with("header") && trimmed.contains('{');
        let at = if inline { line.find('{') } else { line.find('=').filter(|_| inside) };
        // A list that goes on over several lines has no `=` on them.
        let at = at.or_else(|| (inside && trimmed.starts_with(['"', '\''])).then_some(0));
        match at.and_then(|at| line.split_at_checked(at)) {
            None => out.push_str(line),
            Some((head, tail)) => {
                out.push_str(head);
                out.push_str(&mask_strings(tail));
            }
        }
    }
    out
}

/// Masks what stands in quotes.
fn mask_strings(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['"', '\'']) {
        let quote = if rest[at..].starts_with('"') { '"' } else { '\'' };
        let (head, tail) = rest.split_at(at + 1);
        out.push_str(head);
        let end = end_of_string(tail, quote);
        if end > 0 {
            out.push_str(&mask(&tail[..end]));
        }
        let close = end + usize::from(end < tail.len());
        out.push_str(&tail[end..close]);
        rest = &tail[close..];
    }
    out + rest
}

/// Where a string ends that began before `text`: its closing quote, or the end of the line.
fn end_of_string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' => return at,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    text.len()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_secret_key(word: &str) -> bool {
    let key = word.trim_start_matches('-').to_ascii_lowercase();
    let last = key.rsplit('.').next().unwrap_or(&key);
    KEYS.contains(&last) || ENDINGS.iter().any(|end| last.ends_with(end))
}

fn is_proxy_key(word: &str) -> bool {
    let key = word.to_ascii_lowercase();
    key.ends_with("-proxy") || key.ends_with("_proxy")
}

/// `http://user:password@host`, whatever the password holds; a proxy may be given without `http://`.
fn mask_proxy(value: &str) -> String {
    let (scheme, rest) = value.split_at(value.find("://").map_or(0, |at| at + 3));
    match rest.rsplit_once('@') {
        Some((user, host)) if !user.is_empty() => format!("{scheme}{}@{host}", mask(user)),
        _ => value.to_owned(),
    }
}

/// Values of secret keys, and of proxies.
fn mask_keys(text: &str) -> String {
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(c) = text[at..].chars().next() {
        if !is_word(c) {
            out.push(c);
            at += c.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        out.push_str(word);
        let quote = text[..at].chars().next_back().filter(|c| matches!(c, '"' | '\''));
        // The end of a path, of a URL, of a pod's name with its namespace, of an image.
        let (before, named) = (&text[..at], text[..at].ends_with('/'));
        at += word.len();
        let (secret, proxy) = (is_secret_key(word) && !named, is_proxy_key(word));
        if (secret || proxy)
            && let Some((separator, length, whole)) = value_after(&text[at..], word, quote.filter(|_| !is_code(before)))
        {
            out.push_str(&text[at..at + separator]);
            at += separator;
            let value = &text[at..at + length];
            let many = !whole && value.starts_with(['[', '|', '>']);
            out.push_str(&match (secret, many) {
                (true, true) => mask_many(value),
                (true, false) => mask_one(value, mask),
                (false, true) => value.to_owned(),
                (false, false) => mask_one(value, mask_proxy),
            });
            at += length;
        }
    }
    out
}

/// A value with its quotes, if it has any.
fn mask_one(value: &str, mask: fn(&str) -> String) -> String {
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(inner) = value.strip_prefix(quote) {
            let (inner, tail) = inner.strip_suffix(quote).map_or((inner, ""), |inner| (inner, quote));
            let inner = match inner {
                "" => String::new(),
                inner if inner.contains('\n') => mask_lines(inner),
                inner => mask(inner),
            };
            return format!("{quote}{inner}{tail}");
        }
    }
    if matches!(value, "true" | "false" | "null" | "~" | "") { value.to_owned() } else { mask(value) }
}

/// A list, or a block of YAML.
fn mask_many(value: &str) -> String {
    if value.starts_with('[') {
        return mask_strings(value);
    }
    match value.split_once('\n') {
        Some((first, rest)) => format!("{first}\n{}", mask_lines(rest)),
        None if is_block_mark(value) => value.to_owned(),
        None => mask(value),
    }
}

/// True behind the quote of a command: `sh -c "…"`. A first assignment in it is not all that it holds.
fn is_code(before: &str) -> bool {
    let word = before.trim_end_matches(['"', '\'']).split_whitespace().next_back().unwrap_or_default();
    word.starts_with('-') && !word.starts_with("--") && word.ends_with('c')
}

/// Lengths of what lies between a key and its value, and of the value, and whether the value is all that a quote before the
/// key holds; `None` where there is no value of text.
fn value_after(text: &str, key: &str, quote: Option<char>) -> Option<(usize, usize, bool)> {
    if is_port(text) {
        return None;
    }
    let closed = quote.and_then(|quote| text.strip_prefix(quote));
    let after = closed.unwrap_or(text);
    let bare = after.trim_start_matches([' ', '\t']);
    let spaced = bare.len() < after.len();
    let (value, shell) = match bare.strip_prefix(['=', ':']) {
        Some(value) => {
            let trimmed = value.trim_start_matches([' ', '\t']);
            let colon = bare.starts_with(':');
            (trimmed, !colon && !spaced && trimmed.len() == value.len())
        }
        // `--token VALUE`
        None if key.starts_with("--") && spaced && !bare.starts_with("--") && !bare.starts_with('\\') => (bare, true),
        None => return None,
    };
    // `"KEY=VALUE"`, as in units. Flags have company (`"--token=VALUE --v=2"`), and a dot follows another name (`"r".auth = "x"`).
    let around = quote.filter(|_| closed.is_none() && !key.starts_with(['-', '.']));
    let length = match around {
        Some(quote) => end_of_string(value, quote),
        None => value_length(value, closed.is_some(), shell),
    };
    // A table is a place: its keys are looked at by themselves.
    let is_value = length > 0 && (around.is_some() || !value.starts_with('{'));
    is_value.then_some((text.len() - value.len(), length, around.is_some()))
}

/// `:5000`, behind the name of a host.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return false };
    let digits = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
    (1..=5).contains(&digits) && !port[digits..].starts_with(is_word)
}

fn value_length(value: &str, json: bool, shell: bool) -> usize {
    for quote in ["\"\"\"", "'''"] {
        if let Some(inner) = value.strip_prefix(quote) {
            return inner.find(quote).map_or(value.len(), |end| end + 6);
        }
    }
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            let end = end_of_string(inner, quote);
            return 1 + end + usize::from(inner[end..].starts_with(quote));
        }
    }
    if value.starts_with('[') {
        return value.find(']').map_or(value.len(), |end| end + 1);
    }
    let line = value.find('\n').unwrap_or(value.len());
    if is_block_mark(&value[..line]) {
        return line + block(&value[line..]);
    }
    let shell = shell && !value.starts_with("Bearer ") && !value.starts_with("Basic ");
    let stops = |c: char| match c {
        '\n' | '\r' | '"' | '\'' => true,
        ' ' | '\t' => shell,
        ',' | '}' | ']' => json,
        _ => false,
    };
    value[..line].find(stops).map_or(value[..line].trim_end().len(), |end| value[..end].trim_end().len())
}

/// `|`, `>-`: the lines that follow are the value, in YAML.
fn is_block_mark(line: &str) -> bool {
    line.strip_prefix(['|', '>'])
        .is_some_and(|rest| rest.trim_end().chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+')))
}

/// Length of the indented lines that follow, from the line's end on.
fn block(text: &str) -> usize {
    let mut length = 1.min(text.len());
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let first = text[length..].lines().next().map_or(0, indent);
    for line in text[length..].split_inclusive('\n') {
        if first == 0 || (indent(line) < first && !line.trim().is_empty()) {
            break;
        }
        length += line.len();
    }
    length
}

/// User information in URLs, what comes after `Bearer` and `Basic`, web tokens, and certificates in base64.
fn mask_words(text: &str) -> String {
    let masked = mask_userinfo(text);
    let (mut out, mut rest, mut scheme) = (String::with_capacity(masked.len()), masked.as_str(), false);
    let in_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_' | '.' | '~');
    while !rest.is_empty() {
        let length = rest.find(|c| !in_token(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length);
        let web_token = word.starts_with("eyJ") && word.matches('.').count() == 2;
        let mixed = word.chars().any(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if (scheme && mixed && word.len() >= 6) || web_token || word.contains(PEM_IN_BASE64) {
            out.push_str(&mask(word));
        } else {
            out.push_str(word);
        }
        scheme = matches!(word, "Bearer" | "Basic") && tail.starts_with(' ');
        let between = tail.find(in_token).unwrap_or(tail.len());
        scheme &= between == 1;
        out.push_str(&tail[..between]);
        rest = &tail[between..];
    }
    out
}

/// `user:password` in `scheme://user:password@host`.
fn mask_userinfo(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'')).unwrap_or(tail.len());
        rest = match tail[..end].rfind('@') {
            Some(sign) => {
                out.push_str(&mask(&tail[..sign]));
                &tail[sign..]
            }
            None => tail,
        };
    }
    out + rest
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
