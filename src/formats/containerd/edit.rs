//! The edit that makes a `config.toml` fit Kubernetes.

use super::change::{Change, Literal, same};
use super::convert::moved_path;
use super::schema::{self, CRI_SPELLINGS, Places, RUNC_V2};
use super::{ContainerdConfig, is_runc_shim};
use crate::formats::FormatError;
use toml_edit::{Item, TableLike};

/// What must hold in the file after the edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriTarget<'a> {
    /// The schema the result must have: 2, 3 or 4. A file of schema 1 is converted; any other file must already have
    /// it, unless it holds no setting whose place differs.
    pub schema: u32,
    /// Whether runc shims use the systemd cgroup driver.
    pub systemd_cgroup: bool,
    /// The sandbox (pause) image; `None` leaves it.
    pub sandbox_image: Option<&'a str>,
    /// The directory of CNI plugins; `None` leaves it.
    pub cni_bin_dir: Option<&'a str>,
    /// The directory of CNI configurations; `None` leaves it.
    pub cni_conf_dir: Option<&'a str>,
    /// Whatever else must hold.
    pub settings: &'a [Setting],
}

/// One more setting the file must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Where it lives.
    pub place: Place,
    /// What it must say; `None`: it must not be there.
    pub value: Option<Literal>,
}

/// Where a setting lives, said without naming a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path from the top of the file that all schemas share, such as `root` or `debug.level`.
    Top(Vec<String>),
    /// A path below the runtime half of CRI; in schema 1 and 2 below the one CRI table.
    Runtime(Vec<String>),
    /// A path below the image half of CRI; in schema 1 and 2 below the one CRI table.
    Images(Vec<String>),
    /// The default snapshotter.
    Snapshotter,
    /// Whether archives of layers are dropped once they are unpacked (since 1.4).
    DiscardUnpackedLayers,
    /// A path inside the table of a runtime handler, which is made when it is missing.
    Handler(String, Vec<String>),
}

impl Place {
    pub(super) fn path(&self, places: Places) -> Vec<String> {
        let joined = |base: Vec<&'static str>, rest: &[String]| -> Vec<String> {
            base.into_iter().map(str::to_owned).chain(rest.iter().cloned()).collect()
        };
        match self {
            Self::Top(path) if places.has_server_plugins() => {
                moved_path(3, &path.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Self::Top(path) => path.clone(),
            Self::Runtime(rest) => joined(places.runtime(&[]), rest),
            Self::Images(rest) => joined(places.images(&[]), rest),
            Self::Snapshotter => joined(places.snapshotter(), &[]),
            Self::DiscardUnpackedLayers => joined(places.discard_unpacked_layers(), &[]),
            Self::Handler(name, rest) => {
                let mut path = joined(places.runtimes(), std::slice::from_ref(name));
                path.extend(rest.iter().cloned());
                path
            }
        }
    }
}

impl Place {
    /// The path in the form in which configurations are compared.
    pub(super) fn neutral(&self) -> Vec<String> {
        self.path(Places::of(schema::NEWEST))
    }
}

/// Keys of a handler that only the shim of containerd 1.0-1.2 accepts, and the runc option that took over.
const LEGACY_HANDLER_KEYS: [(&str, &str); 2] = [("runtime_engine", "BinaryName"), ("runtime_root", "Root")];

impl ContainerdConfig {
    /// The text in which CRI is on and set up as `target` says; the same text where that already holds.
    ///
    /// * Every spelling of the CRI plugin leaves `disabled_plugins`; other entries stay.
    /// * `runc` has a `runtime_type` *and* `SystemdCgroup`: on containerd 1.x a runtime table replaces the default, so
    ///   a table with the option alone has no shim.
    /// * Every handler with a runc shim gets the same `SystemdCgroup`, because each has options of its own; shims that
    ///   containerd 2.0 removed become runc v2.
    /// * A true `systemd_cgroup` of the CRI table goes: with runc v2 it keeps the CRI plugin from loading.
    ///
    /// # Errors
    /// An unknown schema version, a conversion that would lose settings, and values of the wrong type in the way, each
    /// with its line. `internal: …` if the edited text does not say what was meant.
    pub fn with_cri(&self, target: &CriTarget<'_>) -> Result<String, FormatError> {
        self.in_steps(target).map_err(|error| error.placed_in(&self.text))
    }

    fn in_steps(&self, target: &CriTarget<'_>) -> Result<String, FormatError> {
        // No release needs a byte order mark, and several refuse it.
        let mut config = Self { bom: String::new(), ..self.clone() };
        config = config.converted_to(target.schema.min(config.schema.max(2)))?;
        config = config.apply(&config.enabling())?;
        if config.schema < target.schema && config.item(&["plugins", schema::CRI]).is_some() {
            // What runc v2 reads elsewhere must be there before the old names have no place any more.
            let bare =
                CriTarget { sandbox_image: None, cni_bin_dir: None, cni_conf_dir: None, settings: &[], ..*target };
            config = config.apply(&config.cri_changes(&bare)?)?;
        }
        config = config.converted_to(target.schema)?;
        Ok(config.apply(&config.cri_changes(target)?)?.text())
    }

    /// The text with one more handler, for a program that takes runc's arguments.
    ///
    /// # Errors
    /// Values of the wrong type in the way.
    pub fn with_handler(&self, name: &str, program: &str, systemd_cgroup: bool) -> Result<String, FormatError> {
        let runtimes = Places::of(self.schema).runtimes();
        let mut plan = Plan { config: self, changes: Vec::new() };
        if self.runtimes().is_empty() {
            // Where a file has a handler, containerd 1.x forgets the one it would have had by itself.
            plan.set(&[&runtimes[..], &["runc", "runtime_type"]].concat(), Literal::Text(RUNC_V2.to_owned()))?;
        }
        let at = |rest: &[&'static str]| [&runtimes[..], &[name], rest].concat();
        plan.set(&at(&["runtime_type"]), Literal::Text(RUNC_V2.to_owned()))?;
        plan.set(&at(&["options", "BinaryName"]), Literal::Text(program.to_owned()))?;
        plan.set(&at(&["options", "SystemdCgroup"]), Literal::Bool(systemd_cgroup))?;
        let changes = plan.changes;
        Ok(self.apply(&changes)?.text())
    }

    /// Makes changes one after the other and checks the result against the same changes made to the parsed value.
    pub(super) fn apply(&self, changes: &[Change]) -> Result<Self, FormatError> {
        let read = |text: &str| {
            toml::from_str::<toml::Table>(text)
                .map_err(|error| FormatError::internal(format!("edited text: {}", error.message())))
        };
        let mut meant = toml::from_str::<toml::Table>(&self.text).map_err(|error| {
            FormatError::at_offset(&self.text, error.span().map_or(0, |span| span.start), error.message())
        })?;
        let mut text = self.text.clone();
        for change in changes {
            text = change.in_text(&text);
            change.in_value(&mut meant);
        }
        if !same(&read(&text)?, &meant) {
            return Err(FormatError::internal("the edited configuration differs from what was meant"));
        }
        Ok(Self::parse(&format!("{}{text}", self.bom))?.inheriting(self.schema))
    }

    /// Schema 1 names plugins by their short names.
    pub(super) fn long_names(&self) -> Result<Vec<Change>, FormatError> {
        let mut changes = Vec::new();
        if let Some(item) = self.item(&["plugins"])
            && item.as_table_like().is_none()
        {
            return Err(self.error_at(item, "plugins is not a table"));
        }
        let plugins = self.table(&["plugins"]).map(TableLike::iter).into_iter().flatten();
        for (short, item) in plugins.filter(|(name, _)| !name.contains('.')) {
            let full = schema::full_name(short);
            if self.item(&["plugins", &full]).is_some() {
                return Err(self.error_at(item, format!("both plugins.{short} and plugins.{full:?} are set")));
            }
            changes.push(Change::RenamePlugin(short.to_owned(), full));
        }
        for list in ["disabled_plugins", "required_plugins"] {
            let names = self.strings(&[list]).into_iter().map(|name| name.value);
            let short = names.filter(|name| !name.contains('.'));
            changes.extend(short.map(|name| {
                let full = schema::full_name(&name);
                Change::RenameItem(owned(&[list]), name, full)
            }));
        }
        Ok(changes)
    }

    pub(super) fn enabling(&self) -> Vec<Change> {
        if self.cri_disabled_by().is_empty() {
            return Vec::new();
        }
        let names = CRI_SPELLINGS.iter().map(|name| (*name).to_owned()).collect();
        vec![Change::RemoveItems(owned(&["disabled_plugins"]), names)]
    }

    fn cri_changes(&self, target: &CriTarget<'_>) -> Result<Vec<Change>, FormatError> {
        let places = self.places();
        let mut plan = Plan { config: self, changes: Vec::new() };
        plan.check_list("disabled_plugins")?;
        if self.legacy_systemd_cgroup().is_some() {
            plan.changes.push(Change::Remove(owned(&places.runtime(&["systemd_cgroup"]))));
        }
        if let Some(image) = target.sandbox_image {
            plan.set(&places.sandbox_image(), Literal::Text(image.to_owned()))?;
        }
        if let Some(dir) = target.cni_bin_dir {
            plan.cni_bin_dir(places, dir)?;
        }
        if let Some(dir) = target.cni_conf_dir {
            plan.set(&places.runtime(&["cni", "conf_dir"]), Literal::Text(dir.to_owned()))?;
        }
        let runtimes = places.runtimes();
        plan.check_table(&runtimes)?;
        let mut handlers: Vec<String> = self.runtimes().into_iter().map(|handler| handler.name).collect();
        let wanted = target.settings.iter().filter_map(|setting| match (&setting.place, &setting.value) {
            (Place::Handler(name, _), Some(_)) => Some(name.clone()),
            _ => None,
        });
        for name in std::iter::once("runc".to_owned()).chain(wanted) {
            if !handlers.contains(&name) {
                handlers.push(name);
            }
        }
        for name in &handlers {
            // A handler that is to get another shim has no cgroup driver of runc's.
            if !target.settings.iter().any(|setting| gives_another_shim(setting, name)) {
                plan.handler(&[&runtimes[..], &[name]].concat(), target.systemd_cgroup)?;
            }
        }
        // Deprecated since containerd 1.3, but where they name a shim they win over the map.
        for name in ["default_runtime", "untrusted_workload_runtime"] {
            let path = places.runtime(&["containerd", name]);
            let shim = self.string(&[&path[..], &["runtime_type"]].concat());
            if shim.is_some_and(|shim| !shim.value.is_empty()) {
                plan.handler(&path, target.systemd_cgroup)?;
            }
        }
        plan.legacy_no_pivot(places)?;
        for setting in target.settings {
            let path = setting.place.path(places);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match &setting.value {
                Some(literal) => plan.set(&path, literal.clone())?,
                None if self.item(&path).is_some() => plan.changes.push(Change::Remove(owned(&path))),
                None => {}
            }
        }
        Ok(plan.changes)
    }
}

fn gives_another_shim(setting: &Setting, handler: &str) -> bool {
    let Place::Handler(name, key) = &setting.place else { return false };
    let shim = match &setting.value {
        Some(Literal::Text(shim)) => shim.as_str(),
        _ => return false,
    };
    name == handler && *key == ["runtime_type"] && !is_runc_shim(shim)
}

pub(super) fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

/// Changes as they are found to be needed.
pub(super) struct Plan<'a> {
    pub config: &'a ContainerdConfig,
    pub changes: Vec<Change>,
}

impl Plan<'_> {
    /// Gives a key a value unless it has it.
    pub fn set(&mut self, path: &[&str], literal: Literal) -> Result<(), FormatError> {
        self.check_table(path.split_last().map_or(&[], |(_, parent)| parent))?;
        let item = self.config.item(path);
        let holds = item.is_some_and(|item| match &literal {
            Literal::Bool(value) => item.as_bool() == Some(*value),
            Literal::Integer(value) => item.as_integer() == Some(i64::from(*value)),
            Literal::Text(value) => item.as_str() == Some(value),
            Literal::List(wanted) => item.as_array().is_some_and(|array| {
                array.len() == wanted.len() && array.iter().zip(wanted).all(|(item, text)| item.as_str() == Some(text))
            }),
            Literal::Pairs(_) => false,
        });
        if let Some(item) = item
            && item.as_value().is_none_or(toml_edit::Value::is_inline_table)
        {
            return Err(self.config.error_at(item, format!("{} is a table", path.join("."))));
        }
        if !holds {
            self.changes.push(Change::Set(owned(path), literal));
        }
        Ok(())
    }

    /// Whatever stands on the way to a setting must be a table.
    fn check_table(&self, path: &[&str]) -> Result<(), FormatError> {
        let blocked = (1..=path.len()).filter_map(|depth| path.get(..depth)).find_map(|part| {
            let item = self.config.item(part)?;
            item.as_table_like().is_none().then_some((part, item))
        });
        match blocked {
            Some((part, item)) => Err(self.config.error_at(item, format!("{} is not a table", part.join(".")))),
            None => Ok(()),
        }
    }

    pub fn check_list(&self, key: &str) -> Result<(), FormatError> {
        match self.config.item(&[key]) {
            Some(item) if item.as_array().is_none() => Err(self.config.error_at(item, format!("{key} is not a list"))),
            _ => Ok(()),
        }
    }

    /// Handlers of other shims (kata, runsc) are none of our business.
    pub fn handler(&mut self, path: &[&str], systemd_cgroup: bool) -> Result<(), FormatError> {
        let at = |rest: &[&'static str]| -> Vec<&str> { path.iter().copied().chain(rest.iter().copied()).collect() };
        self.check_table(&at(&["options"]))?;
        let type_path = at(&["runtime_type"]);
        let shim = match self.config.item(&type_path) {
            None => String::new(),
            Some(item) => match item.as_str() {
                Some(shim) => shim.to_owned(),
                None => return Err(self.config.error_at(item, "runtime_type is not a text")),
            },
        };
        if !is_runc_shim(&shim) {
            return Ok(());
        }
        self.set(&type_path, Literal::Text(RUNC_V2.to_owned()))?;
        for (key, option) in LEGACY_HANDLER_KEYS {
            let old = self.config.string(&at(&[key])).filter(|old| !old.value.is_empty());
            let Some(old) = old else { continue };
            self.changes.push(Change::Remove(owned(&at(&[key]))));
            let new = at(&["options", option]);
            if self.config.string(&new).is_none_or(|new| new.value.is_empty()) {
                self.set(&new, Literal::Text(old.value))?;
            }
        }
        self.set(&at(&["options", "SystemdCgroup"]), Literal::Bool(systemd_cgroup))
    }

    /// `no_pivot` belongs to the old shim too; for runc v2 it is an option of each handler.
    fn legacy_no_pivot(&mut self, places: Places) -> Result<(), FormatError> {
        let path = places.runtime(&["containerd", "no_pivot"]);
        if self.config.item(&path).and_then(Item::as_bool) != Some(true) {
            return Ok(());
        }
        self.changes.push(Change::Remove(owned(&path)));
        let runc = [&places.runtimes()[..], &["runc", "options", "NoPivotRoot"]].concat();
        self.set(&runc, Literal::Bool(true))
    }

    /// From containerd 2.1 on there is a list, and setting both keys is an error; 2.0 knows the single key alone.
    pub fn cni_bin_dir(&mut self, places: Places, dir: &str) -> Result<(), FormatError> {
        let (single, list) = (places.runtime(&["cni", "bin_dir"]), places.runtime(&["cni", "bin_dirs"]));
        let dirs: Vec<String> = self.config.strings(&list).into_iter().map(|dir| dir.value).collect();
        if dirs.is_empty() {
            return self.set(&single, Literal::Text(dir.to_owned()));
        }
        if self.config.string(&single).is_some_and(|single| !single.value.is_empty()) {
            self.changes.push(Change::Remove(owned(&single)));
        }
        if dirs.iter().any(|known| known == dir) {
            return Ok(());
        }
        let all = std::iter::once(dir.to_owned()).chain(dirs).collect();
        self.set(&list, Literal::List(all))
    }
}
