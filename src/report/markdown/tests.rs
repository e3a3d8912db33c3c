use super::words::{cell, code, fence, prose, table};

#[test]
fn cells_hold_what_would_end_them() {
    assert_eq!(cell("a|b\n<i>`*_[x]\\"), "a\\|b \\<i\\>\\`\\*\\_\\[x\\]\\\\");
    assert_eq!(cell("&lt; \u{202e}"), "&amp;lt; \\[U+202E\\]");
}

#[test]
fn code_has_more_marks_than_its_text() {
    assert_eq!(code("plain"), "`plain`");
    assert_eq!(code("a`b"), "``a`b``");
    assert_eq!(code("``x`"), "``` ``x` ```");
    assert_eq!(code("a|b\nc"), "`a\\|b c`");
    assert_eq!(code("a\\|b"), "a\\\\\\|b");
    assert_eq!(code(""), "");
}

#[test]
fn code_in_sentences_is_code() {
    assert_eq!(prose("`a_b` and c_d"), "`a_b` and c\\_d");
    assert_eq!(prose("one ` alone"), "one \\` alone");
    assert_eq!(prose("```"), "\\`\\`\\`");
}

#[test]
fn fences_are_longer_than_what_they_hold() {
    assert_eq!(fence("diff", "+a\n"), "```diff\n+a\n```\n");
    assert_eq!(fence("", "````"), "`````\n````\n`````\n");
    assert_eq!(fence("", "a\u{7}\tb\r\n"), "```\na[U+0007]\tb\u{240d}\n```\n");
}

#[test]
fn tables_have_a_rule_below_their_head() {
    assert_eq!(table(&["a", "b"], [vec!["1".into(), "2".into()]].into_iter()), "| a | b |\n| --- | --- |\n| 1 | 2 |\n");
}
