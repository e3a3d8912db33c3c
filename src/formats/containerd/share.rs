//! Files that containerd joins: the part that one of them has in the result.

use super::change::{Change, Literal};
use super::edit::{CriTarget, Plan, Setting, owned};
use super::{ContainerdConfig, Release, is_runc_shim};
use crate::formats::FormatError;

impl ContainerdConfig {
    /// A file of which nothing is known but its schema, to be filled in.
    pub fn template(schema: u32) -> &'static str {
        match schema {
            0..=2 => include_str!("../../../templates/containerd/config-v2.toml"),
            3 => include_str!("../../../templates/containerd/config-v3.toml"),
            _ => include_str!("../../../templates/containerd/config-v4.toml"),
        }
    }

    /// Whether a text began as one of these templates.
    pub fn is_from_template(text: &str) -> bool {
        Self::template(2).lines().next().is_some_and(|mark| text.lines().any(|line| line == mark))
    }

    /// The file as containerd reads it beside others: without a version of its own it has theirs.
    #[must_use]
    pub fn inheriting(mut self, schema: u32) -> Self {
        if self.written_version() == 0 {
            self.schema = schema.max(1);
        }
        self
    }

    /// The file as this release reads it beside others. 2.x gives the short names of plugins in a file without a
    /// version their full ones, whatever version the others have (`v1Migrate`): it is one of version 1.
    #[must_use]
    pub fn beside(self, schema: u32, release: Release) -> Self {
        let is_first = release.merges_plugins() && !self.long_names().is_ok_and(|changes| changes.is_empty());
        if is_first { self } else { self.inheriting(schema) }
    }

    /// The text of a file that is joined with others: what it says itself fits the target, and nothing is added. Every
    /// handler it names gets the cgroup driver, because from containerd 2.0 on such a table is joined with others.
    ///
    /// `shim` tells the shim of a handler whose `runtime_type` stands in another file.
    ///
    /// # Errors
    /// As [`ContainerdConfig::with_cri`].
    pub fn with_share(
        &self,
        target: &CriTarget<'_>,
        shim: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, FormatError> {
        self.share_in_steps(target, shim).map_err(|error| error.placed_in(&self.text))
    }

    fn share_in_steps(
        &self,
        target: &CriTarget<'_>,
        shim: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, FormatError> {
        let mut config = Self { bom: String::new(), ..self.clone() };
        let needs = config.schema < target.schema && !config.text.trim().is_empty();
        if needs {
            config = config.converted_to(target.schema)?;
        }
        config = config.apply(&config.enabling())?;
        Ok(config.apply(&config.share(target, shim)?)?.text())
    }

    fn share(&self, target: &CriTarget<'_>, shim: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Change>, FormatError> {
        let places = self.places();
        let mut plan = Plan { config: self, changes: Vec::new() };
        plan.check_list("disabled_plugins")?;
        if self.legacy_systemd_cgroup().is_some() {
            plan.changes.push(Change::Remove(owned(&places.runtime(&["systemd_cgroup"]))));
        }
        let image = target.sandbox_image.filter(|_| self.sandbox_image().is_some());
        if let Some(image) = image {
            plan.set(&places.sandbox_image(), Literal::Text(image.to_owned()))?;
        }
        if let Some(dir) = target.cni_bin_dir.filter(|_| !self.cni_bin_dir().is_empty()) {
            plan.cni_bin_dir(places, dir)?;
        }
        if let Some(dir) = target.cni_conf_dir.filter(|_| self.cni_conf_dir().is_some()) {
            plan.set(&places.runtime(&["cni", "conf_dir"]), Literal::Text(dir.to_owned()))?;
        }
        let runtimes = places.runtimes();
        for handler in self.runtimes() {
            let path = [&runtimes[..], &[handler.name.as_str()]].concat();
            if handler.runtime_type.is_some() {
                plan.handler(&path, target.systemd_cgroup)?;
            } else if shim(&handler.name).is_none_or(|shim| is_runc_shim(&shim)) {
                plan.set(&[&path[..], &["options", "SystemdCgroup"]].concat(), Literal::Bool(target.systemd_cgroup))?;
            }
        }
        for Setting { place, value } in target.settings {
            let path = place.path(places);
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let there = self.item(&path).is_some();
            match value {
                Some(literal) if there => plan.set(&path, literal.clone())?,
                None if there => plan.changes.push(Change::Remove(owned(&path))),
                _ => {}
            }
        }
        Ok(plan.changes)
    }
}
