//! Masking of secrets in text that leaves the machine: diffs, reports, facts.
//!
//! Masked values keep a short digest, so that a reader sees whether two of them are equal.

use super::Digest;
use std::fmt;

/// A value that may hold a credential: it never shows in `Debug` output and is never serialised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for whoever writes it where it belongs.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Keys whose value is a credential wherever they stand (containerd's registry auth, Docker's auths, proxies).
const SECRET_KEYS: &[&str] =
    &["password", "auth", "identitytoken", "registrytoken", "token", "secret", "client-key-data", "authorization"];

/// Masks what looks like a credential in `text`, line by line: values of secret keys, and user information in URLs.
pub fn redact_text(text: &str) -> String {
    text.split_inclusive('\n').map(|line| redact_userinfo(&redact_key(line))).collect()
}

fn mask(value: &str) -> String {
    format!("<redacted:{}>", Digest::of(value.as_bytes()).short())
}

/// Masks the value in `key = "value"`, `"key": "value"` and `key: value`.
fn redact_key(line: &str) -> String {
    let body = line.trim_start_matches(['+', '-', ' ', '\t', '#', '"', '\'', '{', ',']);
    let key: String = body.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    if !SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()) {
        return line.to_owned();
    }
    let start = line.len() - body.len() + key.len();
    let rest = &line[start..];
    let separator: usize = rest.chars().take_while(|c| matches!(c, '"' | '\'' | ' ' | '\t' | '=' | ':')).count();
    if !rest[..separator].contains(['=', ':']) {
        return line.to_owned();
    }
    let value = rest[separator..].trim_end_matches(['\n', '\r', ',', '}', ' ', '"', '\'']);
    // A table such as `auth = { … }` or `"auths": {` is a place, not a secret.
    if value.is_empty() || value.starts_with(['{', '[']) {
        return line.to_owned();
    }
    let tail = &rest[separator + value.len()..];
    format!("{}{}{}", &line[..start + separator], mask(value), tail)
}

/// Masks `user:password` in `scheme://user:password@host`.
fn redact_userinfo(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        out.push_str(head);
        let end = tail.find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | ',')).unwrap_or(tail.len());
        match tail[..end].rfind('@') {
            Some(sign) => {
                out.push_str(&mask(&tail[..sign]));
                rest = &tail[sign..];
            }
            None => rest = tail,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_credentials_and_nothing_else() {
        for secret in [
            "  password = \"hunter2\"\n",
            "+auth = \"dXNlcjpodW50ZXIy\"\n",
            "  \"auth\": \"dXNlcjpodW50ZXIy\",\n",
            "identitytoken: hunter2\n",
            "HTTP_PROXY=http://bob:hunter2@proxy:3128/\n",
            "Environment=\"HTTPS_PROXY=https://bob:hunter2@proxy\"",
        ] {
            let shown = redact_text(secret);
            assert!(shown.contains("<redacted:"), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("dXNlcjpodW50ZXIy"), "{shown}");
            assert_eq!(shown.ends_with('\n'), secret.ends_with('\n'));
        }
        for plain in [
            "authorization-plugins = []\n",
            "[plugins.cri.registry.auths]\n",
            "  \"auths\": {\n",
            "endpoint = [\"https://mirror.example/v2\"]\n",
            "unix:///run/containerd/containerd.sock",
            "auth = {\n",
            "authentication:\n",
        ] {
            assert_eq!(redact_text(plain), plain);
        }
    }

    #[test]
    fn equal_secrets_look_equal() {
        assert_eq!(redact_text("password = \"a\""), redact_text("password = \"a\""));
        assert_ne!(redact_text("password = \"a\""), redact_text("password = \"b\""));
    }
}
