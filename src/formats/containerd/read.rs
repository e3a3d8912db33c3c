//! Reading single settings by the place a plan would write them to.

use super::{ContainerdConfig, Literal, Place, schema::Places};
use crate::formats::At;
use toml_edit::{Item, TableLike};

impl ContainerdConfig {
    /// What stands at a place; `None` where nothing does, or a table or a mixed list.
    pub fn literal(&self, place: &Place) -> Option<At<Literal>> {
        let path = place.path(self.places());
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let item = self.item(&path)?;
        Some(At::new(literal(item)?, self.line(item)))
    }

    /// The options of a runtime handler, in the file's order.
    pub fn handler_options(&self, name: &str) -> Vec<(String, Literal)> {
        let runtimes = Places::of(self.schema).runtimes();
        let path: Vec<&str> = runtimes.iter().copied().chain([name, "options"]).collect();
        let options = self.table(&path).map(TableLike::iter).into_iter().flatten();
        options.filter_map(|(key, item)| Some((key.to_owned(), literal(item)?))).collect()
    }
}

fn literal(item: &Item) -> Option<Literal> {
    if let Some(array) = item.as_array() {
        let texts: Option<Vec<String>> = array.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        return texts.map(Literal::List);
    }
    let integer = || item.as_integer().and_then(|value| u32::try_from(value).ok()).map(Literal::Integer);
    item.as_bool().map(Literal::Bool).or_else(|| item.as_str().map(Literal::from)).or_else(integer)
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_where_its_schema_keeps_it() {
        let place = Place::Images(vec!["max_concurrent_downloads".to_owned()]);
        for text in [
            "[plugins.cri]\nmax_concurrent_downloads = 6\n",
            "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  max_concurrent_downloads = 6\n",
            "version = 3\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 6\n",
        ] {
            let config = ContainerdConfig::parse(text).unwrap();
            assert_eq!(config.literal(&place).unwrap().value, Literal::Integer(6), "{text}");
        }
        let config = ContainerdConfig::parse("root = 1.5\nstate = [1]\n[debug]\nlevel = \"warn\"\n").unwrap();
        let top = |path: &[&str]| Place::Top(path.iter().map(|part| (*part).to_owned()).collect());
        assert_eq!(config.literal(&top(&["debug", "level"])), Some(At::new(Literal::from("warn"), 4)));
        assert_eq!(config.literal(&top(&["root"])), None);
        assert_eq!(config.literal(&top(&["state"])), None);
        assert_eq!(config.literal(&top(&["debug"])), None);
    }

    #[test]
    fn a_handlers_options() {
        let text = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\nNoPivotRoot = true\nIoUid = 5\nSystemdCgroup = false\n";
        let options = ContainerdConfig::parse(text).unwrap().handler_options("runc");
        assert_eq!(options.len(), 3);
        assert_eq!(options[1], ("IoUid".to_owned(), Literal::Integer(5)));
    }
}
