//! A pod's network.

use super::{Bed, Seen, Unfit, bed::Ctr};
use crate::host::{ContainerSpec, PodSpec, Security, Share};
use anyhow::{Context as _, Result, bail, ensure};
use std::net::Ipv4Addr;

/// What the workload answers on its port.
const ANSWER: &str = "castoff\n";
const PORT: u16 = 8642;

/// The node's network when asked for.
pub(super) fn host(bed: &Bed<'_>) -> Result<String> {
    let node = bed.host.procs.namespace(bed.place.node_pid, "net");
    let node = node.ok_or_else(|| Unfit(format!("the network of process {} cannot be seen", bed.place.node_pid)))?;
    let container = bed.common()?.start(&bed.container("host-network"))?;
    let found = container.ask(&["link", "/proc/self/ns/net"])?;
    if found.trim() != node {
        return Err(Seen::new("a pod in the node's network is in another", "/proc/self/ns/net", found).into());
    }
    Ok("a pod is in the node's network when asked".to_owned())
}

/// `/etc/resolv.conf`.
pub(super) fn dns(bed: &Bed<'_>) -> Result<String> {
    let words = |all: &[&str]| all.iter().map(|word| (*word).to_owned()).collect();
    let spec =
        PodSpec { nameservers: words(&["192.0.2.53"]), searches: words(&["svc.castoff.invalid"]), ..bed.spec("dns") };
    let pod = bed.pod(spec)?;
    let text = pod.start(&bed.container("dns"))?.ask(&["cat", "/etc/resolv.conf"])?;
    for wanted in ["nameserver 192.0.2.53", "search svc.castoff.invalid"] {
        if !text.lines().any(|line| line.trim() == wanted) {
            return Err(Seen::new(format!("there is no `{wanted}`"), "/etc/resolv.conf", text).into());
        }
    }
    Ok("name servers and search domains are in resolv.conf".to_owned())
}

/// A pod with a network of its own needs a CNI configuration.
pub(super) fn needs_cni(bed: &Bed<'_>) -> Result<()> {
    let status = bed.cri.status(false)?;
    if status.network_ready {
        return Ok(());
    }
    let why = format!("no pod network is set up ({} {})", status.network_reason, status.network_message);
    Err(Unfit(why.trim_end().to_owned()).into())
}

/// A pod with a network of its own.
pub(super) fn own(bed: &Bed<'_>, what: &str) -> PodSpec {
    PodSpec { network: Share::Pod, hostname: "castoff-probe".to_owned(), ..bed.spec(what) }
}

/// A container in the node's network, in which loopback is switched on. In a network of castoff's own it is off at first.
pub(super) fn beside_loopback<'a>(bed: &Bed<'a>, name: &str) -> Result<Ctr<'a>> {
    let pod = bed.common()?;
    if !bed.place.private {
        return pod.start(&bed.container(name));
    }
    let security = Security { privileged: true, ..Security::default() };
    let container = pod.start(&ContainerSpec { security, ..bed.container(name) })?;
    container.ask(&["up", "lo"])?;
    Ok(container)
}

/// The address to be tried. The workload serves and dials on IPv4 (`probe/main.rs`).
fn ipv4(ips: Vec<String>) -> Result<String> {
    ensure!(!ips.is_empty(), "a pod has no address");
    let all = ips.join(", ");
    let ip = ips.into_iter().find(|ip| ip.parse::<Ipv4Addr>().is_ok());
    ip.ok_or_else(|| {
        Unfit(format!("pods have IPv6 addresses only here ({all}), which castoff's workload does not speak")).into()
    })
}

/// A pod has an address and a host name of its own, and answers on them.
pub(super) fn pod(bed: &Bed<'_>) -> Result<String> {
    needs_cni(bed)?;
    let pod = bed.pod(own(bed, "network")).context("no pod with a network of its own can be run")?;
    let ip = ipv4(bed.cri.sandbox_status_verbose(&pod.id)?.ips)?;
    let server = pod.start(&bed.running("serve", &["serve", &PORT.to_string()]))?;
    server.says("listening")?;
    ensure!(server.ask(&["uname"])? == "castoff-probe\n", "its host name is another");
    let node = bed.host.procs.namespace(bed.place.node_pid, "net");
    ensure!(node != Some(server.ask(&["link", "/proc/self/ns/net"])?.trim().to_owned()), "its network is the node's");
    let second = pod.start(&bed.container("second"))?;
    let port = PORT.to_string();
    ensure!(second.ask(&["dial", &ip, &port])? == ANSWER, "containers of a pod cannot reach each other");
    let client = bed.common()?.start(&bed.container("dial"))?;
    let heard = client.ask(&["dial", &ip, &port]).with_context(|| format!("{ip} cannot be reached from the node"))?;
    ensure!(heard == ANSWER, "{ip} answers `{}`", heard.trim());
    Ok(format!("{ip} is reached from the node and from its own pod"))
}

/// A port of the node that leads to a pod. Only tried where nobody else's port can be hit.
pub(super) fn port(bed: &Bed<'_>) -> Result<String> {
    if !bed.place.private {
        bail!(Unfit("no port of a running node is taken for a trial".to_owned()));
    }
    needs_cni(bed)?;
    let spec = PodSpec { ports: vec![(PORT, PORT + 1)], ..own(bed, "port") };
    let pod = bed.pod(spec)?;
    let server = pod.start(&bed.running("serve-port", &["serve", &PORT.to_string()]))?;
    server.says("listening")?;
    let client = beside_loopback(bed, "dial-port")?;
    let heard = client.exec(&["dial", "127.0.0.1", &(PORT + 1).to_string()])?;
    if heard.code == 0 && heard.stdout == ANSWER {
        return Ok("a port of the node leads to a pod".to_owned());
    }
    // Which plugins a network has is its owner's choice.
    bail!(Unfit(format!("the pod network maps no ports (exit code {})", heard.code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_without_ipv4_are_not_at_fault() {
        let of = |ips: &[&str]| ipv4(ips.iter().map(|ip| (*ip).to_owned()).collect());
        assert_eq!(of(&["fd00::a", "10.1.2.3"]).unwrap(), "10.1.2.3");
        assert!(of(&["fd00::a"]).unwrap_err().is::<Unfit>());
        assert!(of(&["::ffff:10.1.2.3"]).unwrap_err().is::<Unfit>());
        assert!(!of(&[]).unwrap_err().is::<Unfit>());
    }
}
