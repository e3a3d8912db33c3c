//! Whether a joined configuration is what it should be: the check that every plan of a configuration must pass.

use super::{Effective, Ineffective, Node, dotted};
use crate::formats::containerd::schema::Places;
use crate::formats::containerd::{CriTarget, Literal, Setting};
use crate::model::Origin;

impl Effective {
    /// What keeps the joined configuration from being what `target` says: what it is instead, and where.
    pub fn misses(&self, target: &CriTarget<'_>) -> Vec<Ineffective> {
        let mut out = self.faults();
        for (path, error) in &self.broken {
            let origin = error.line.map_or_else(|| Origin::path(path), |line| Origin::file(path, line));
            out.push(Ineffective { name: path.clone(), origin, why: error.message.clone() });
        }
        for entry in self.cri_disabled_by() {
            let why = format!("disabled_plugins still holds {:?}", entry.value);
            out.push(Ineffective { name: "CRI is off".to_owned(), origin: entry.origin, why });
        }
        self.missed_handlers(target, &mut out);
        let texts = [
            ("the sandbox image", target.sandbox_image, self.sandbox_image()),
            ("the directory of CNI configurations", target.cni_conf_dir, self.cni_conf_dir()),
        ];
        for (what, wanted, is) in texts {
            let Some(wanted) = wanted.filter(|wanted| is.as_ref().is_none_or(|is| is.value != **wanted)) else {
                continue;
            };
            let origin = is.as_ref().map_or_else(|| self.main(), |is| is.origin.clone());
            let why =
                format!("it should be {wanted}, and is {}", is.map_or_else(|| "not set".to_owned(), |is| is.value));
            out.push(Ineffective { name: what.to_owned(), origin, why });
        }
        if let Some(dir) = target.cni_bin_dir
            && !self.cni_bin_dirs().iter().any(|known| known.value == dir)
        {
            let origin = self.cni_bin_dirs().into_iter().next().map_or_else(|| self.main(), |dir| dir.origin);
            let why = format!("{dir} is not among them");
            out.push(Ineffective { name: "the directories of CNI plugins".to_owned(), origin, why });
        }
        out.extend(target.settings.iter().filter_map(|setting| self.missed(setting)));
        out.extend(self.registry_conflict());
        out
    }

    /// Old registry tables beside `config_path`, with which the CRI plugin does not load: `mirrors` in every release that
    /// knows both, TLS settings up to 1.7.
    fn registry_conflict(&self) -> Option<Ineffective> {
        let path = self.registry_config_path().filter(|_| self.release.pair() >= (1, 5))?;
        let mirrors = self.neutral.get(&Self::places().images(&["registry", "mirrors"]));
        let mirrors = mirrors.filter(|node| node.table().is_some_and(|table| !table.is_empty()));
        let tls = self.gone.iter().filter(|_| !self.release.merges_plugins()).find(|gone| {
            matches!(&gone.path[..], [_, _, registry, configs, _, tls, ..]
                if registry == "registry" && configs == "configs" && tls == "tls")
        });
        let (name, node) =
            mirrors.map(|node| ("registry.mirrors", node)).or(tls.map(|gone| ("registry.configs", &gone.node)))?;
        let why = format!("it cannot stand beside config_path, which is {:?} ({})", path.value, path.origin);
        Some(Ineffective { name: name.to_owned(), origin: self.origin(node), why })
    }

    fn main(&self) -> Origin {
        Origin::path(self.path(0))
    }

    fn missed_handlers(&self, target: &CriTarget<'_>, out: &mut Vec<Ineffective>) {
        let handlers = self.handlers();
        if !handlers.iter().any(|handler| handler.name == "runc") {
            let why = "runtimes has no such entry".to_owned();
            out.push(Ineffective { name: "the handler runc".to_owned(), origin: self.main(), why });
        }
        for handler in handlers.iter().filter(|handler| handler.is_runc()) {
            let name = format!("the handler {}", handler.name);
            if handler.runtime_type.is_none() {
                let why = "it names no runtime_type".to_owned();
                out.push(Ineffective { name: name.clone(), origin: handler.origin.clone(), why });
            }
            if handler.systemd_cgroup.as_ref().is_none_or(|on| on.value != target.systemd_cgroup) {
                let origin = handler.systemd_cgroup.as_ref().map_or(&handler.origin, |on| &on.origin);
                let why = format!("SystemdCgroup is not {}", target.systemd_cgroup);
                out.push(Ineffective { name, origin: origin.clone(), why });
            }
        }
    }

    fn missed(&self, setting: &Setting) -> Option<Ineffective> {
        let path = setting.place.neutral();
        let says_something = |node: &&Node| node.leaves().iter().any(|(_, leaf)| leaf.table().is_none());
        let is_there = self.neutral.get(&path).filter(says_something);
        // What 1.x reads and the neutral form has no place for.
        let old = setting.place.path(Places::of(2));
        let left = self.gone.iter().find(|gone| gone.path.starts_with(&old) && !self.release.merges_plugins());
        if let (Some(literal), None, Some(left)) = (&setting.value, is_there, left)
            && left.path == old
            && says(&left.node, literal)
        {
            return None;
        }
        if let (None, None, Some(left)) = (&setting.value, is_there, left) {
            let why = "it should not be there".to_owned();
            return Some(Ineffective { name: dotted(&left.path), origin: self.origin(&left.node), why });
        }
        let why = match (&setting.value, is_there) {
            (Some(literal), Some(node)) if says(node, literal) => return None,
            (None, None) => return None,
            (Some(literal), _) => format!("it should be {}", literal.render()),
            (None, Some(_)) => "it should not be there".to_owned(),
        };
        let origin = is_there.map_or_else(|| self.main(), |node| self.origin(node));
        Some(Ineffective { name: dotted(&path), origin, why })
    }
}

fn says(node: &Node, literal: &Literal) -> bool {
    let texts = |node: &Node, wanted: &[&str]| {
        node.list().is_some_and(|items| {
            items.len() == wanted.len() && items.iter().zip(wanted).all(|(item, text)| item.text() == Some(text))
        })
    };
    match literal {
        Literal::Bool(value) => node.bool() == Some(*value),
        Literal::Integer(value) => node.integer() == Some(i64::from(*value)),
        Literal::Text(value) => node.text() == Some(value),
        Literal::List(items) => texts(node, &items.iter().map(String::as_str).collect::<Vec<_>>()),
        Literal::Pairs(pairs) => node.list().is_some_and(|items| {
            items.len() == pairs.len()
                && items.iter().zip(pairs).all(|(item, (left, right))| texts(item, &[left.as_str(), right.as_str()]))
        }),
    }
}
