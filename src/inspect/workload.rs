//! The pods that run here, whatever runs them.

use crate::{
    host::{ContainerState, Host},
    model::{Facts, PodFacts},
};
use std::collections::BTreeMap;

/// Looks at running pods on Docker and on containerd.
pub fn probe(host: &Host, endpoint: &str, facts: &mut Facts) {
    let mut pods: BTreeMap<(String, String, String), Vec<String>> = BTreeMap::new();
    for container in &facts.docker.containers {
        let (Some(namespace), Some(pod)) = (&container.namespace, &container.pod) else { continue };
        if container.state == "running" && container.kubernetes && !container.sandbox {
            let name = container.container.clone().unwrap_or_default();
            pods.entry(("docker".into(), namespace.clone(), pod.clone())).or_default().push(name);
        }
    }
    if facts.containerd.cri_answers.as_ref().is_some_and(|answers| answers.value) {
        let asked = host.cri(endpoint).and_then(|cri| Ok((cri.sandboxes()?, cri.containers()?)));
        match asked {
            Ok((sandboxes, containers)) => {
                for container in containers.iter().filter(|c| c.state == ContainerState::Running) {
                    let Some(sandbox) = sandboxes.iter().find(|s| s.id == container.sandbox_id && s.ready) else {
                        continue;
                    };
                    let key = ("containerd".to_owned(), sandbox.namespace.clone(), sandbox.name.clone());
                    pods.entry(key).or_default().push(container.name.clone());
                }
            }
            Err(error) => {
                let why = format!("{error:#}");
                facts.unseen.push(crate::model::Unseen { what: "pods on containerd".to_owned(), why });
            }
        }
    }
    facts.pods = pods
        .into_iter()
        .map(|((runtime, namespace, name), mut containers)| {
            containers.sort();
            PodFacts { namespace, name, runtime, containers }
        })
        .collect();
}
