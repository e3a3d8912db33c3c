//! Specifiers of systemd's unit files: `%` and a letter (systemd.unit(5), "Specifiers").

/// Fills in what depends on the unit's name, and leaves everything else as it is, `%%` among it. `%i` and `%I` are left in
/// a unit that is no instance.
pub fn of_unit(text: &str, unit: &str) -> String {
    let name = unit.rsplit_once('.').map_or(unit, |(name, _)| name);
    let (prefix, instance) = name.split_once('@').map_or((name, None), |(prefix, instance)| (prefix, Some(instance)));
    let last = prefix.rsplit('-').next().unwrap_or(prefix);
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' || unit.is_empty() {
            out.push(c);
            continue;
        }
        match (chars.next(), instance) {
            (Some('n'), _) => out.push_str(unit),
            (Some('N'), _) => out.push_str(name),
            (Some('p'), _) => out.push_str(prefix),
            (Some('P'), _) => out.push_str(&unescaped(prefix)),
            (Some('j'), _) => out.push_str(last),
            (Some('J'), _) => out.push_str(&unescaped(last)),
            (Some('i'), Some(instance)) => out.push_str(instance),
            (Some('I'), Some(instance)) => out.push_str(&unescaped(instance)),
            (other, _) => {
                out.push('%');
                out.extend(other);
            }
        }
    }
    out
}

/// The name that was escaped to be part of a unit's: `-` is a slash, `\xNN` a character.
fn unescaped(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let code = rest.strip_prefix("\\x").and_then(|rest| rest.get(..2));
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii) {
            out.push(char::from(byte));
            rest = rest.get(4..).unwrap_or_default();
        } else {
            out.push(if c == '-' { '/' } else { c });
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// True where a specifier is left that neither [`of_unit`] nor [`with_specifiers`] knows.
pub fn has_unknown(text: &str) -> bool {
    text.split('%').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Fills in the specifiers that mean the same in every unit of the system manager (systemd.unit(5), "Specifiers"), and
/// `%%`. What depends on the unit ([`of_unit`]) or the host, such as `%H`, stays as it is written.
pub fn with_specifiers(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('t') => out.push_str("/run"),
            Some('E') => out.push_str("/etc"),
            Some('S') => out.push_str("/var/lib"),
            Some('C') => out.push_str("/var/cache"),
            Some('L') => out.push_str("/var/log"),
            Some('T') => out.push_str("/tmp"),
            Some('V') => out.push_str("/var/tmp"),
            Some('h') => out.push_str("/root"),
            Some('u') => out.push_str("root"),
            Some('U') => out.push('0'),
            other => {
                out.push('%');
                out.extend(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_filled_in() {
        for (unit, text, filled) in [
            ("kubelet.service", "/etc/default/%p", "/etc/default/kubelet"),
            ("kubelet.service", "%n %N %j %J %P", "kubelet.service kubelet kubelet kubelet kubelet"),
            ("kubelet.service", "%%p %i %I %H %", "%%p %i %I %H %"),
            ("a-b@c-d\\x2de.service", "%p %i %j %P %I", "a-b c-d\\x2de b a/b c/d-e"),
            ("", "%n", "%n"),
        ] {
            assert_eq!(of_unit(text, unit), filled, "{unit}");
        }
        assert!(has_unknown("/etc/%H.env") && !has_unknown("/etc/100%.env"));
    }
}
