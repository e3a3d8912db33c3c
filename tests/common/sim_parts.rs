//! What a simulated node gives a process beside the library's own fakes.

use super::sim::{self, Sim};
use castoff::{
    host::{
        CgroupLine, Containerd, Cri, CriImage, Doors, FakeContainerd, FakeCri, FakeLayerStore, FakeProcs, LayerStore,
        Procs, Ran,
    },
    images::canonical,
};
use std::{io::Write, time::Duration};

#[derive(Debug)]
pub struct SimDoors {
    pub cri: FakeCri,
    pub containerd: FakeContainerd,
    pub layers: FakeLayerStore,
}

impl Doors for SimDoors {
    fn cri(&self, endpoint: &str) -> anyhow::Result<Box<dyn Cri>> {
        assert_eq!(endpoint, sim::SOCKET);
        let names: Vec<String> = self.layers.names()?.into_iter().map(|name| name.name).collect();
        if !names.is_empty() {
            self.cri.change(|runtime| runtime.images = names.iter().map(|name| image(name)).collect());
        }
        Ok(Box::new(self.cri.clone()))
    }

    fn containerd(&self, _: &str) -> anyhow::Result<Box<dyn Containerd>> {
        Ok(Box::new(self.containerd.clone()))
    }

    fn layers(&self, _: &str) -> anyhow::Result<Box<dyn LayerStore>> {
        Ok(Box::new(self.layers.clone()))
    }
}

fn image(name: &str) -> CriImage {
    CriImage { id: name.to_owned(), tags: vec![name.to_owned()], ..CriImage::default() }
}

/// The node's programs: `ctr` really takes images in.
#[derive(Debug)]
pub struct SimProcs {
    pub sim: Sim,
    pub inner: FakeProcs,
}

impl Procs for SimProcs {
    fn run(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran> {
        self.inner.run(program, args, timeout)
    }

    fn query(&self, program: &str, args: &[&str], timeout: Duration) -> anyhow::Result<Ran> {
        let mut ran = self.inner.query(program, args, timeout)?;
        if program == "ctr" && args.contains(&"list") {
            ran.stdout = self.sim.carried.borrow().join("\n").into_bytes();
        }
        Ok(ran)
    }

    fn pipe_into(
        &self,
        program: &str,
        args: &[&str],
        feed: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<u64>,
        timeout: Duration,
    ) -> anyhow::Result<Ran> {
        let ran = self.inner.pipe_into(program, args, feed, timeout);
        // The fake engine's archive is the names of its images, one a line.
        let names: Vec<String> = String::from_utf8_lossy(&self.inner.fed()).lines().map(canonical).collect();
        self.sim.cri.change(|runtime| {
            runtime.images = names.iter().map(|name| image(name)).collect();
        });
        *self.sim.carried.borrow_mut() = names;
        ran
    }

    fn talk(&self, program: &str, env: &[(&str, &str)], input: &[u8], timeout: Duration) -> anyhow::Result<Ran> {
        self.inner.talk(program, env, input, timeout)
    }

    fn find(&self, program: &str) -> Option<String> {
        self.inner.find(program)
    }

    fn cmdline(&self, pid: u32) -> Option<Vec<String>> {
        self.inner.cmdline(pid)
    }

    fn cgroup(&self, pid: u32) -> anyhow::Result<Vec<CgroupLine>> {
        self.inner.cgroup(pid)
    }

    fn exists(&self, pid: u32) -> bool {
        self.inner.exists(pid)
    }

    fn is_stopped(&self, pid: u32) -> bool {
        self.inner.is_stopped(pid)
    }

    fn wake(&self, pid: u32) -> anyhow::Result<()> {
        self.inner.wake(pid)
    }

    fn pids_of(&self, name: &str) -> Vec<u32> {
        self.inner.pids_of(name)
    }
}
