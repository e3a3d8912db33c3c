use super::{Choice, Page, Segment, Table, Tone, bar, filter, histogram};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

#[test]
fn the_policy_lets_in_what_the_page_holds_and_nothing_else() {
    let mut page = Page::new("a", "b", Tone::Good, "");
    page.section("c", "D", Some(1), "<p>e</p>");
    let html = page.html();
    let policy = between(&html, "Content-Security-Policy\" content=\"", "\"");
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        let inside = between(&html, &format!("<{tag}>"), &format!("</{tag}>"));
        let digest = STANDARD.encode(Sha256::digest(inside.as_bytes()));
        assert!(policy.contains(&format!("{directive} 'sha256-{digest}';")), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none'; ") && policy.contains("form-action 'none'"), "{policy}");
}

#[test]
fn a_section_without_body_is_in_no_list() {
    let mut page = Page::new("a", "b", Tone::Good, "");
    page.section("empty", "Empty", None, "");
    page.section("full", "Full", Some(2), "<p>x</p>");
    let html = page.html();
    assert!(!html.contains("Empty") && html.contains("<a href=\"#full\">Full"));
}

#[test]
fn titles_are_text() {
    let html = Page::new("<i>", "</title><script>", Tone::Bad, &Page::state(Tone::Bad, "<b>")).html();
    assert!(html.contains("<title>&lt;/title&gt;&lt;script&gt;</title>") && html.contains("&lt;b&gt;"));
    assert!(!html.contains("<i>") && !html.contains("<b>"));
    assert_eq!(html.matches("<script>").count(), 1);
}

#[test]
fn tables_say_what_their_cells_are() {
    let mut table = Table::new("here", &[("A", ""), ("B", "number")]).id("t");
    assert_eq!(table.html(), "");
    table.group("<first>");
    table.row("", "k\"", &["a".to_owned(), "1".to_owned()]);
    table.group("second");
    table.row("x", "", &["b".to_owned(), "2".to_owned()]);
    let html = table.html();
    assert!(html.contains("<th role=\"columnheader\" scope=\"col\" class=\"number\">B</th>"), "{html}");
    assert!(
        html.contains("<tr role=\"row\" data-key=\"k&quot;\"><th role=\"rowheader\" scope=\"row\">a</th>"),
        "{html}"
    );
    assert!(html.contains("scope=\"rowgroup\" colspan=\"2\">&lt;first&gt;</th>"), "{html}");
    assert_eq!(html.matches("<tbody").count(), html.matches("</tbody>").count());
    assert!(html.contains("aria-labelledby=\"here\"") && html.contains("id=\"t\""));
}

#[test]
fn a_filter_is_named_and_tells_its_count() {
    let choices = [Choice { key: "k", word: "<w>".to_owned(), count: 3 }];
    let html = filter("t", "rows", "words", "Kinds", &choices);
    for part in [
        "hidden",
        "role=\"status\"",
        "aria-live",
        "<legend",
        "aria-label=\"Filter rows\"",
        "&lt;w&gt;",
        "data-for=\"t\"",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
}

#[test]
fn bars_stay_in_their_place() {
    let odd = Segment { tone: Tone::Bad, from: -3.0, to: 9.0, title: "<t>".to_owned() };
    let html = bar(&[odd, Segment { tone: Tone::Wait, from: 1.0, to: 1.0, title: String::new() }]);
    assert!(html.contains("x=\"0.00%\" width=\"100.00%\"") && html.contains("&lt;t&gt;"), "{html}");
    assert!(!html.contains("NaN") && !html.contains("inf"));
}

#[test]
fn a_histogram_counts_everything_once() {
    let times = [0.0, 1.0, 2.0, 160.0, 160.0];
    let html = histogram("<Pods>", &times, &[("median", 2.0), ("95 %", 160.0)], "five");
    assert_eq!(html.matches("<rect class=\"wait\"").count(), 2);
    assert!(html.contains("<li>0.0 s to 10.0 s: 3 nodes</li>"), "{html}");
    assert!(
        html.contains("2 nodes</li>") && html.contains("&lt;Pods&gt;") && html.contains("text-anchor=\"end\">95 %")
    );
    // Nothing but zeros is no reason to divide by one.
    assert!(!histogram("x", &[0.0, 0.0], &[], "").contains("NaN"));
}
