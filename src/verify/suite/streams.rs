//! Streams to containers and pods: what `kubectl exec`, `attach` and `port-forward` need.

use super::{
    Bed, Pod, Seen, Unfit,
    bed::{LIMIT, PROBE},
    network,
};
use crate::host::{Channels, ContainerSpec, Elsewhere, STATUS, STDERR, STDIN, STDOUT, exit_code};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeMap;

/// What is said, to come back.
const SAID: &str = "castoff says\n";
/// More than any check has to hear.
const HEARD_LIMIT: usize = 1 << 20;
/// What ends the input of a terminal: Ctrl-D.
const END_OF_INPUT: &[u8] = b"\x04";
/// Channels of a forwarded port. Each begins with the port's number.
const DATA: u8 = 0;
const ERRORS: u8 = 1;

/// Channels, and what was heard on each.
struct Talk {
    channels: Channels,
    heard: BTreeMap<u8, Vec<u8>>,
}

impl Talk {
    fn open(bed: &Bed<'_>, url: &str) -> Result<Self> {
        if url.starts_with("https:") {
            bail!(Unfit("this runtime encrypts its streams, which castoff's client does not".to_owned()));
        }
        let channels = Channels::open(url, bed.place.node_pid, LIMIT);
        match channels.as_ref().map_err(|error| error.downcast_ref()) {
            Err(Some(Elsewhere(ip))) if bed.place.private => {
                bail!(Unfit(format!("streams are served on {ip}, which a network apart from the node does not have")));
            }
            _ => Ok(Self { channels: channels?, heard: BTreeMap::new() }),
        }
    }

    /// Hears one piece; false at the end.
    fn listen(&mut self) -> Result<bool> {
        let Some((channel, bytes)) = self.channels.receive()? else { return Ok(false) };
        let heard = self.heard.entry(channel).or_default();
        heard.extend(bytes);
        ensure!(heard.len() < HEARD_LIMIT, "a stream has no end");
        Ok(true)
    }

    /// Hears until this was said, or everything was.
    fn hear(&mut self, channel: u8, wanted: &str) -> Result<()> {
        while !self.text(channel).contains(wanted) && self.listen()? {}
        Ok(())
    }

    /// Hears all there is.
    fn end(&mut self) -> Result<()> {
        while self.listen()? {}
        Ok(())
    }

    fn bytes(&self, channel: u8) -> &[u8] {
        self.heard.get(&channel).map(Vec::as_slice).unwrap_or_default()
    }

    /// What was heard. A terminal ends lines in its own way, and not every runtime's terminal does.
    fn text(&self, channel: u8) -> String {
        String::from_utf8_lossy(self.bytes(channel)).replace('\r', "")
    }

    /// Fails unless exactly this was heard.
    fn expect(&self, channel: u8, wanted: &str, why: &str) -> Result<()> {
        let found = self.text(channel);
        if found == wanted {
            return Ok(());
        }
        let why = format!("{why}: channel {channel} has {found:?}, not {wanted:?}");
        Err(Seen::new(why, &format!("channel {channel}"), found).into())
    }

    /// The exit code, at the end.
    fn code(&mut self) -> Result<i32> {
        self.end()?;
        exit_code(self.bytes(STATUS)).context("the end of a command is not told")
    }
}

/// Commands whose input and output are streams: each output on its own, exit codes, and a terminal that is typed into.
pub(super) fn exec(bed: &Bed<'_>) -> Result<String> {
    let container = network::beside_loopback(bed, "stream-exec")?;
    let run = |args: &[&str], terminal: bool| -> Result<Talk> {
        let command: Vec<&str> = [PROBE].iter().chain(args).copied().collect();
        Talk::open(bed, &bed.cri.exec_url(&container.id, &command, terminal, terminal)?)
    };
    let mut plain = run(&["echo", "out", "err"], false)?;
    let code = plain.code()?;
    ensure!(code == 0, "a command's exit code is told as {code}, not 0");
    plain.expect(STDOUT, "out\n", "a command's output does not come back")?;
    plain.expect(STDERR, "err\n", "a command's output does not come back")?;
    let code = run(&["exit", "7"], false)?.code()?;
    ensure!(code == 7, "a command's exit code is told as {code}, not 7");
    let mut terminal = run(&["cat"], true)?;
    terminal.channels.send(STDIN, SAID.as_bytes())?;
    // Once by the terminal, which shows what is typed, and once by the command.
    let twice = SAID.repeat(2);
    terminal.hear(STDOUT, &twice)?;
    terminal.expect(STDOUT, &twice, "what is typed into a terminal does not come back")?;
    terminal.channels.send(STDIN, END_OF_INPUT)?;
    let code = terminal.code().context("at the end of a terminal's input")?;
    ensure!(code == 0, "a command's exit code after the end of its input is told as {code}, not 0");
    Ok("output, exit codes, and what is typed into a terminal".to_owned())
}

/// The input and output of a container that runs; its input ends with the client that was there.
pub(super) fn attach(bed: &Bed<'_>) -> Result<String> {
    drop(network::beside_loopback(bed, "attach-loopback")?);
    let spec = ContainerSpec { stdin: true, stdin_once: true, ..bed.running("attach", &["cat"]) };
    let container = bed.common()?.start(&spec)?;
    let mut talk = Talk::open(bed, &bed.cri.attach_url(&container.id)?)?;
    talk.channels.send(STDIN, SAID.as_bytes())?;
    talk.hear(STDOUT, SAID)?;
    talk.expect(STDOUT, SAID, "what a container is told does not come back")?;
    drop(talk);
    let code = container.end().context("its input did not end with the client")?.exit_code;
    ensure!(code == 0, "a container whose input has ended has exit code {code}, not 0");
    container.says(SAID.trim_end()).context("what was also in the stream")?;
    Ok("input and output of a container that runs".to_owned())
}

/// Connections to a port of a pod: one in the node's network, and one in its own where there are such.
pub(super) fn port_forward(bed: &Bed<'_>) -> Result<String> {
    drop(network::beside_loopback(bed, "forward-loopback")?);
    forward(bed, &*bed.common()?).context("to a pod in the node's network")?;
    match network::needs_cni(bed) {
        Ok(()) => {
            let pod = bed.pod(network::own(bed, "forward"))?;
            forward(bed, &pod).context("to a pod in a network of its own")?;
            Ok("connections to pods in the node's network and in their own".to_owned())
        }
        Err(error) if error.is::<Unfit>() => Ok(format!("connections to pods in the node's network; {error}")),
        Err(error) => Err(error),
    }
}

fn forward(bed: &Bed<'_>, pod: &Pod<'_>) -> Result<()> {
    let server = pod.start(&bed.running("mirror", &["mirror"]))?;
    server.says("listening ")?;
    let words = server.output()?;
    let port: u16 = words.trim().rsplit(' ').next().unwrap_or_default().parse().context("the server has no port")?;
    let mut talk = Talk::open(bed, &bed.cri.port_forward_url(&pod.id, port)?)?;
    talk.channels.send(DATA, SAID.as_bytes())?;
    talk.hear(DATA, SAID)?;
    if let Some(said) = talk.bytes(DATA).strip_prefix(&port.to_le_bytes())
        && said == SAID.as_bytes()
    {
        return Ok(());
    }
    let why = String::from_utf8_lossy(talk.bytes(ERRORS).get(2..).unwrap_or_default()).trim().to_owned();
    if why.contains("socat") && (why.contains("failed to find") || why.contains("not found")) {
        bail!(Unfit("this runtime forwards ports with socat, which is not installed".to_owned()));
    }
    let why = if why.is_empty() { format!("it answers {:?}", talk.text(DATA)) } else { why };
    Err(Seen::new(format!("port {port} cannot be reached: {why}"), "PortForward", why).into())
}
