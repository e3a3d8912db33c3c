//! Where each setting lives, by version of the configuration schema.
//!
//! containerd 1.0-1.7 read schema 1 (no `version`, 0 or 1), 1.3 and later read 2, 2.0 and later read 3, 2.3 and later
//! read 4. In 1 and 2 the CRI plugin is one table; from 3 on it is split into images, runtime and the streaming server.

/// The newest schema known here (containerd 2.3).
pub(super) const NEWEST: u32 = 4;

/// The CRI plugin's name in schema 2; in schema 3 and 4 only its streaming server is left there.
pub(super) const CRI: &str = "io.containerd.grpc.v1.cri";
/// The image half of the CRI plugin since schema 3.
pub(super) const CRI_IMAGES: &str = "io.containerd.cri.v1.images";
/// The runtime half of the CRI plugin since schema 3.
pub(super) const CRI_RUNTIME: &str = "io.containerd.cri.v1.runtime";
/// The sandbox controller that the CRI plugin needs since containerd 2.0.
const CRI_SANDBOX: &str = "io.containerd.podsandbox.controller.v1.podsandbox";

/// Every name under which `disabled_plugins` can take the CRI plugin away, in some release and schema.
pub(super) const CRI_SPELLINGS: [&str; 5] = ["cri", CRI, CRI_IMAGES, CRI_RUNTIME, CRI_SANDBOX];

/// The only runc shim that exists in every containerd from 1.3 to 2.x.
pub(super) const RUNC_V2: &str = "io.containerd.runc.v2";
/// The shim of containerd 1.0-1.2, removed in 2.0.
pub(super) const LEGACY_LINUX: &str = "io.containerd.runtime.v1.linux";

/// Keys that stay in the old CRI table in schema 3 and 4 (the streaming server).
const SERVER_KEYS: [&str; 6] = [
    "disable_tcp_service",
    "stream_server_address",
    "stream_server_port",
    "stream_idle_timeout",
    "enable_tls_streaming",
    "x509_key_pair_streaming",
];

/// The places of the CRI settings in one schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    schema: u32,
}

impl Places {
    pub fn of(schema: u32) -> Self {
        Self { schema }
    }

    /// Sockets are plugins since schema 4.
    pub fn has_server_plugins(self) -> bool {
        self.schema >= 4
    }

    fn split(self) -> bool {
        self.schema >= 3
    }

    fn plugin(self, since_split: &'static str) -> &'static str {
        match self.schema {
            0 | 1 => "cri",
            2 => CRI,
            _ => since_split,
        }
    }

    /// The table that holds `containerd`, `cni` and the like.
    pub fn runtime(self, rest: &[&'static str]) -> Vec<&'static str> {
        [&["plugins", self.plugin(CRI_RUNTIME)], rest].concat()
    }

    /// The table of image settings.
    pub fn images(self, rest: &[&'static str]) -> Vec<&'static str> {
        [&["plugins", self.plugin(CRI_IMAGES)], rest].concat()
    }

    /// The map of runtime handlers.
    pub fn runtimes(self) -> Vec<&'static str> {
        self.runtime(&["containerd", "runtimes"])
    }

    /// The sandbox (pause) image.
    pub fn sandbox_image(self) -> Vec<&'static str> {
        if self.split() { self.images(&["pinned_images", "sandbox"]) } else { self.runtime(&["sandbox_image"]) }
    }

    /// The default snapshotter.
    pub fn snapshotter(self) -> Vec<&'static str> {
        self.of_unpacking("snapshotter")
    }

    /// Whether archives of layers are dropped once they are unpacked.
    pub fn discard_unpacked_layers(self) -> Vec<&'static str> {
        self.of_unpacking("discard_unpacked_layers")
    }

    fn of_unpacking(self, key: &'static str) -> Vec<&'static str> {
        if self.split() { self.images(&[key]) } else { self.runtime(&["containerd", key]) }
    }
}

/// Whether a key of the old CRI table still means something in schema 3 and 4.
pub(super) fn is_server_key(key: &str) -> bool {
    SERVER_KEYS.contains(&key)
}

/// The full name that containerd's own migration gives to a short plugin name of schema 1.
pub(super) fn full_name(short: &str) -> String {
    let prefix = match short {
        name if name.contains('.') => return name.to_owned(),
        "cgroups" => "io.containerd.monitor.v1",
        "linux" => "io.containerd.runtime.v1",
        "scheduler" => "io.containerd.gc.v1",
        "bolt" => "io.containerd.metadata.v1",
        "task" => "io.containerd.runtime.v2",
        "opt" | "restart" | "tracing" => "io.containerd.internal.v1",
        "otlp" => "io.containerd.tracing.processor.v1",
        "aufs" | "btrfs" | "devmapper" | "native" | "overlayfs" | "zfs" => "io.containerd.snapshotter.v1",
        name if name.ends_with("-service") => "io.containerd.service.v1",
        // What containerd guesses for the rest, `cri` among them.
        _ => "io.containerd.grpc.v1",
    };
    format!("{prefix}.{short}")
}

/// Whether a plugin name may stand in `plugins` of this schema without being ignored.
pub(super) fn plugin_fits(schema: u32, name: &str) -> bool {
    match schema {
        0 | 1 => !name.contains('.'),
        2 => name.contains('.') && name != CRI_IMAGES && name != CRI_RUNTIME,
        _ => name.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_become_the_names_containerd_gives_them() {
        for (short, full) in [
            ("cri", CRI),
            ("linux", LEGACY_LINUX),
            ("zfs", "io.containerd.snapshotter.v1.zfs"),
            ("diff-service", "io.containerd.service.v1.diff-service"),
            ("introspection", "io.containerd.grpc.v1.introspection"),
            ("io.containerd.gc.v1.scheduler", "io.containerd.gc.v1.scheduler"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }

    #[test]
    fn settings_move_with_the_schema() {
        let image = |schema| Places::of(schema).sandbox_image().join("/");
        assert_eq!(image(1), "plugins/cri/sandbox_image");
        assert_eq!(image(2), "plugins/io.containerd.grpc.v1.cri/sandbox_image");
        assert_eq!(image(3), "plugins/io.containerd.cri.v1.images/pinned_images/sandbox");
        assert_eq!(Places::of(2).snapshotter().join("/"), "plugins/io.containerd.grpc.v1.cri/containerd/snapshotter");
        assert_eq!(Places::of(4).snapshotter().join("/"), "plugins/io.containerd.cri.v1.images/snapshotter");
    }
}
