//! Tables that become lists on a phone, and their filters.

use crate::report::markup::escape;

/// A table while it is filled. Cells are HTML; the first of each row is its head.
#[derive(Debug)]
pub struct Table {
    labelled_by: String,
    id: Option<&'static str>,
    class: &'static str,
    head: Vec<(&'static str, &'static str)>,
    rows: String,
    open: bool,
}

impl Table {
    /// A table with these columns, each with its class, named by the heading with that id.
    pub fn new(labelled_by: &str, head: &[(&'static str, &'static str)]) -> Self {
        let (labelled_by, head) = (labelled_by.to_owned(), head.to_vec());
        Self { labelled_by, id: None, class: "stack", head, rows: String::new(), open: false }
    }

    /// With an id, for a filter.
    pub fn id(mut self, id: &'static str) -> Self {
        self.id = Some(id);
        self
    }

    /// With another class.
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Begins rows that belong together.
    pub fn group(&mut self, title: &str) {
        if self.open {
            self.rows.push_str("</tbody>\n");
        }
        self.open = true;
        self.rows.push_str(&format!(
            "<tbody role=\"rowgroup\"><tr role=\"row\" class=\"group\"><th role=\"rowheader\" scope=\"rowgroup\" colspan=\"{}\">{}</th></tr>\n",
            self.head.len(),
            escape(title)
        ));
    }

    /// Adds a row. `id` is where links lead, `key` what a filter asks for; both may be empty.
    pub fn row(&mut self, id: &str, key: &str, cells: &[String]) {
        if !self.open {
            self.open = true;
            self.rows.push_str("<tbody role=\"rowgroup\">\n");
        }
        let attribute = |name: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!(" {name}=\"{}\"", escape(value)) }
        };
        self.rows.push_str(&format!("<tr role=\"row\"{}{}>", attribute("id", id), attribute("data-key", key)));
        for (place, (cell, (name, class))) in cells.iter().zip(&self.head).enumerate() {
            let class = attribute("class", class);
            self.rows.push_str(&if place == 0 {
                format!("<th role=\"rowheader\" scope=\"row\"{class}>{cell}</th>")
            } else {
                format!("<td role=\"cell\"{}{class}>{cell}</td>", attribute("data-label", name))
            });
        }
        self.rows.push_str("</tr>\n");
    }

    /// The table; nothing when it has no rows.
    pub fn html(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let head = self.head.iter().fold(String::new(), |all, (name, class)| {
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            all + &format!("<th role=\"columnheader\" scope=\"col\"{class}>{name}</th>")
        });
        let id = self.id.map(|id| format!(" id=\"{id}\"")).unwrap_or_default();
        format!(
            "<table{id} class=\"{}\" role=\"table\" aria-labelledby=\"{}\"><thead role=\"rowgroup\"><tr role=\"row\">{head}</tr></thead>\n\
             {}</tbody></table>\n",
            self.class, self.labelled_by, self.rows
        )
    }
}

/// A box of a filter: the key of its rows, its word, and how many there are.
#[derive(Debug)]
pub struct Choice {
    /// As the rows have it.
    pub key: &'static str,
    /// For people.
    pub word: String,
    /// Rows.
    pub count: usize,
}

/// A filter for the table of that id. Hidden until the script is there to act on it.
pub fn filter(table: &str, what: &str, hint: &str, legend: &str, choices: &[Choice]) -> String {
    let boxes = choices.iter().fold(String::new(), |all, choice| {
        all + &format!(
            "<label><input type=\"checkbox\" value=\"{}\" checked>{} <span class=\"count\">{}</span></label>\n",
            choice.key,
            escape(&choice.word),
            choice.count
        )
    });
    format!(
        "<form class=\"filter\" data-for=\"{table}\" role=\"search\" aria-label=\"Filter {what}\" hidden>\n\
         <label class=\"words\"><span class=\"vh\">Search</span><input type=\"search\" placeholder=\"{hint}\"></label>\n\
         <fieldset><legend class=\"vh\">{legend}</legend>{boxes}</fieldset>\n\
         <span class=\"faint\" role=\"status\" aria-live=\"polite\"></span>\n</form>\n"
    )
}

/// A wish that is on or off.
pub const fn yes_no(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}
