//! The little of roff that man pages need.

/// Words as roff prints them, `code` in bold. A line never begins with what roff takes for a request.
pub fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (index, part) in text.split('`').enumerate() {
        let escaped = escape(part);
        // The pieces between backticks are code.
        if index % 2 == 1 { out.push_str(&format!("\\fB{escaped}\\fR")) } else { out.push_str(&escaped) }
    }
    guarded(&out)
}

/// Characters that mean something to roff, made plain.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('…', "...")
}

fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

/// `.SH NAME`.
pub fn section(name: &str) -> String {
    format!(".SH {}\n", escape(name))
}

/// A paragraph.
pub fn paragraph(text: &str) -> String {
    format!(".PP\n{}\n", inline(text))
}

/// A term and, indented below it, what it means.
pub fn term(term: &str, meaning: &str) -> String {
    format!(".TP\n{}\n{}\n", guarded(&format!("\\fB{}\\fR", escape(term))), inline(meaning))
}

/// Lines as they are.
pub fn verbatim(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(|line| guarded(&escape(line))).collect();
    format!(".PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_roff_would_take_for_its_own_is_made_plain() {
        assert_eq!(inline("see `--yes`"), "see \\fB\\-\\-yes\\fR");
        assert_eq!(inline(".toml files"), "\\&.toml files");
        assert_eq!(verbatim("a\\b\n'c'\n"), ".PP\n.RS 4\n.nf\na\\eb\n\\(aqc\\(aq\n.fi\n.RE\n");
    }
}
