use super::*;
use std::collections::BTreeMap;

const MAIN: &str = "/etc/containerd/config.toml";
const DROP_IN: &str = "/etc/containerd/conf.d/99-nvidia.toml";
const R1: &str = "plugins.\"io.containerd.grpc.v1.cri\"";
const RT: &str = "plugins.\"io.containerd.cri.v1.runtime\"";
const IMPORT: &str = "imports = [\"/etc/containerd/conf.d/*.toml\"]\n";

fn join(version: &str, files: &[(&str, &str)]) -> Effective {
    let texts: BTreeMap<String, String> =
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Effective::join(MAIN, Release::parse(version).unwrap(), &texts).unwrap()
}

fn at(of: Option<crate::model::Sourced<String>>) -> Option<(String, String)> {
    of.map(|sourced| (sourced.value, sourced.origin.to_string()))
}

fn known(value: &str, place: &str) -> (String, String) {
    (value.to_owned(), place.to_owned())
}

fn names(list: Vec<Ineffective>) -> Vec<(String, String)> {
    list.into_iter().map(|one| (one.name, one.origin.to_string())).collect()
}

#[test]
fn a_plugin_table_is_replaced_before_2_and_joined_since() {
    let main = format!(
        "version = 2\n{IMPORT}[{R1}]\nsandbox_image = \"p:1\"\n[{R1}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\n[{R1}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    let nvidia = format!(
        "version = 2\n[{R1}.containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n[{R1}.containerd.runtimes.nvidia.options]\nBinaryName = \"/usr/bin/nvidia-container-runtime\"\n"
    );
    let files = [(MAIN, main.as_str()), (DROP_IN, nvidia.as_str())];
    let old = join("1.7.24", &files);
    assert_eq!(old.sandbox_image(), None);
    assert_eq!(old.handlers().iter().map(|handler| handler.name.as_str()).collect::<Vec<_>>(), ["nvidia"]);
    assert_eq!(names(old.ineffective()), [("plugins.\"io.containerd.grpc.v1.cri\"".to_owned(), format!("{MAIN}:3"))]);
    assert_eq!(old.cri_winner(), Some(DROP_IN));
    let new = join("2.1.9", &files);
    assert_eq!(at(new.sandbox_image()), Some(known("p:1", &format!("{MAIN}:4"))));
    let [nvidia, runc] = &new.handlers()[..] else { panic!("{:?}", new.handlers()) };
    assert_eq!(nvidia.origin.to_string(), format!("{DROP_IN}:3"));
    assert_eq!(
        at(nvidia.binary_name.clone()),
        Some(known("/usr/bin/nvidia-container-runtime", &format!("{DROP_IN}:5")))
    );
    assert_eq!(runc.systemd_cgroup.as_ref().map(|on| (on.value, on.origin.line)), Some((true, Some(8))));
    assert_eq!(names(new.ineffective()), []);
}

#[test]
fn disabled_plugins_of_all_files_count() {
    let main = format!("version = 2\n{IMPORT}");
    for version in ["1.4.13", "1.7.24", "2.1.9", "2.3.4"] {
        let joined = join(version, &[(MAIN, &main), (DROP_IN, "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")]);
        let by: Vec<_> = joined.cri_disabled_by().into_iter().map(|entry| entry.origin.to_string()).collect();
        assert_eq!(by, [format!("{DROP_IN}:1")], "{version}");
    }
    // In schema 1 only the short name bites on 1.x; 2.x translates it.
    let short = [(MAIN, "disabled_plugins = [\"cri\"]\n")];
    let long = [(MAIN, "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n")];
    for (version, of_short, of_long) in [("1.6.20", 1, 0), ("2.1.9", 1, 1)] {
        assert_eq!(join(version, &short).cri_disabled_by().len(), of_short, "{version}");
        assert_eq!(join(version, &long).cri_disabled_by().len(), of_long, "{version}");
    }
}

#[test]
fn files_are_read_breadth_first_and_once() {
    let files = [
        (MAIN, "version = 2\nimports = [\"a.toml\", \"/etc/containerd/conf.d/*.toml\"]\nroot = \"/main\"\n"),
        ("/etc/containerd/a.toml", "imports = [\"b.toml\", \"config.toml\"]\nroot = \"/a\"\noom_score = 0\n"),
        ("/etc/containerd/b.toml", "root = \"/b\"\nstate = \"\"\n"),
        ("/etc/containerd/conf.d/2.toml", "root = \"\"\n"),
        ("/etc/containerd/conf.d/1.toml", "root = \"/one\"\n[debug]\nlevel = \"debug\"\n"),
        ("/etc/containerd/other.toml", "root = \"/other\"\n"),
    ];
    let joined = join("1.7.24", &files);
    let order: Vec<_> = joined.parts.iter().map(|part| part.path.as_str()).collect();
    assert_eq!(order, [MAIN, files[1].0, files[4].0, files[3].0, files[2].0]);
    // `b` is read last although `a` came before the others; an empty text cannot win.
    assert_eq!(at(joined.root()), Some(known("/b", "/etc/containerd/b.toml:1")));
    assert_eq!(joined.imports.len(), 4);
    assert_eq!(names(joined.faults()), []);
}

#[test]
fn old_releases_look_for_relative_patterns_elsewhere() {
    let files =
        [(MAIN, "version = 2\nimports = [\"conf.d/*.toml\"]\n"), (DROP_IN, "version = 2\nroot = \"/elsewhere\"\n")];
    assert_eq!(join("1.6.20", &files).root(), None);
    assert_eq!(join("1.6.29", &files).root().unwrap().value, "/elsewhere");
    assert_eq!(join("1.7.15", &files).parts.len(), 1);
    assert_eq!(join("2.1.9", &files).parts.len(), 2);
}

#[test]
fn lists_in_plugin_tables_are_replaced_and_false_wins_there() {
    let main = format!(
        "version = 3\n{IMPORT}[{RT}.cni]\nbin_dirs = [\"/a\", \"/b\"]\n[{RT}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n"
    );
    let over = format!(
        "version = 3\n[{RT}]\ncni.bin_dirs = [\"/c\"]\ncontainerd.runtimes.runc.options.SystemdCgroup = false\n"
    );
    let joined = join("2.1.9", &[(MAIN, &main), (DROP_IN, &over)]);
    assert_eq!(joined.cni_bin_dirs().into_iter().map(|dir| dir.value).collect::<Vec<_>>(), ["/c"]);
    assert_eq!(joined.handlers()[0].systemd_cgroup.as_ref().map(|on| on.value), Some(false));
}

#[test]
fn what_a_release_does_not_read_is_named() {
    let v1 = "[plugins.cri]\nsandbox_image = \"p\"\n";
    assert_eq!(join("1.7.24", &[(MAIN, v1)]).sandbox_image().unwrap().value, "p");
    let lost = join("2.1.9", &[(MAIN, v1)]);
    assert_eq!(
        (lost.sandbox_image(), names(lost.ineffective())),
        (None, vec![("plugins.cri".into(), format!("{MAIN}:1"))])
    );
    assert_eq!(join("2.3.4", &[(MAIN, v1)]).sandbox_image().unwrap().value, "p");

    let own = format!("version = 2\n[{R1}.containerd.runtimes.kata]\nsnapshotter = \"devmapper\"\n");
    for release in ["1.7.24", "2.1.9", "2.3.4"] {
        let kata = join(release, &[(MAIN, &own)]).handlers().remove(0);
        assert_eq!(kata.snapshotter.unwrap().value, "devmapper", "{release}");
        for plugin in ["'io.containerd.snapshotter.v1.overlayfs'", "overlayfs"] {
            let version = if plugin == "overlayfs" { 1 } else { 2 };
            let moved = format!("version = {version}\n[plugins.{plugin}]\nroot_path = '/data/layers'\n");
            let read = join(release, &[(MAIN, &moved)]).overlayfs_root();
            assert_eq!(read.map(|root| root.value).as_deref(), Some("/data/layers"), "{release} {plugin}");
        }
    }

    let no_runtimes = format!("version = 2\n[{R1}.containerd]\nsnapshotter = \"zfs\"\n");
    assert_eq!(join("1.7.24", &[(MAIN, &no_runtimes)]).snapshotter().unwrap().value, "zfs");
    let lost = join("2.1.9", &[(MAIN, &no_runtimes)]);
    assert_eq!(lost.snapshotter(), None);
    assert_eq!(lost.ineffective().len(), 1);
    // Runtimes in the file, or another schema, wake it.
    let of_v1 = join("2.1.9", &[(MAIN, "[plugins.cri.containerd]\nsnapshotter = 'native'\n")]);
    for (lost, name) in [(&lost, "zfs"), (&of_v1, "native")] {
        assert_eq!((lost.snapshotter(), lost.unread_snapshotter().unwrap().value.as_str()), (None, name));
    }
    let of_kata = "[plugins.cri.containerd.runtimes.kata]\nsnapshotter = 'devmapper'\n";
    assert_eq!(join("2.1.9", &[(MAIN, of_kata)]).unread_snapshotter(), None);
    assert_eq!(join("1.7.24", &[(MAIN, &no_runtimes)]).unread_snapshotter(), None);

    // A newer schema than the binary knows, accepted without a word.
    let v3 = format!("version = 3\n[{RT}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n");
    let silent = join("1.6.20", &[(MAIN, &v3)]);
    assert_eq!((silent.handlers().len(), names(silent.faults()).len(), silent.ineffective().len()), (0, 0, 1));
    assert_eq!(names(join("1.7.24", &[(MAIN, &v3)]).faults()), [("version = 3".into(), format!("{MAIN}:1"))]);
    // Tables of schema 1 and 2 in the wrong file.
    let mixed = format!("version = 3\n[{R1}]\nsandbox_image = \"p\"\nstream_server_port = \"1\"\n");
    let joined = join("2.1.9", &[(MAIN, &mixed)]);
    assert_eq!(
        names(joined.ineffective()),
        [("plugins.\"io.containerd.grpc.v1.cri\".sandbox_image".into(), format!("{MAIN}:3"))]
    );
    assert_eq!(join("1.7.24", &[(MAIN, &format!("[{R1}]\nsandbox_image = \"p\"\n"))]).sandbox_image(), None);
}

#[test]
fn versions_of_main_file_and_drop_in_are_weighed_as_the_release_does() {
    let v2 = format!("version = 2\n{IMPORT}[{R1}]\nsandbox_image = \"p\"\n");
    let v3 = format!("version = 3\n[{RT}]\nenable_selinux = true\n");
    let joined = join("2.1.9", &[(MAIN, &v2), (DROP_IN, &v3)]);
    assert_eq!((joined.schema, joined.sandbox_image()), (3, None), "all root CRI settings are dropped");
    let newer = join("2.3.4", &[(MAIN, &v2), (DROP_IN, &v3)]);
    assert_eq!(names(newer.faults()), [("version = 3".into(), format!("{DROP_IN}:1"))]);
    // Without a version the names decide.
    let plain = format!("[{RT}.containerd.runtimes.runc.options]\nSystemdCgroup = true\n");
    let main = format!("version = 3\n{IMPORT}");
    for version in ["2.1.9", "2.3.4"] {
        let joined = join(version, &[(MAIN, &main), (DROP_IN, &plain)]);
        assert_eq!(joined.handlers()[0].systemd_cgroup.as_ref().map(|on| on.value), Some(true), "{version}");
    }
}

#[test]
fn reasons_not_to_start_are_found() {
    let found = |version: &str, text: &str| names(join(version, &[(MAIN, text)]).faults());
    let one = |name: &str, line: u32| vec![(name.to_owned(), format!("{MAIN}:{line}"))];
    assert_eq!(found("1.7.24", "version = 2\nimports = [\"/x.toml\"]\n"), one("imports: /x.toml", 2));
    assert_eq!(found("1.4.13", "version = 2\nimports = [\"/x.toml\"]\n"), []);
    assert_eq!(found("2.1.9", "\u{feff}version = 3\n"), one("byte order mark", 1));
    assert_eq!(found("1.7.24", "\u{feff}version = 2\n"), []);
    assert_eq!(found("1.7.24", "version = 2\ndisabled_plugins = [\"cri\"]\n"), one("disabled_plugins: cri", 2));
    assert_eq!(found("1.7.24", "disabled_plugins = [\"cri\"]\n"), []);
    assert_eq!(found("2.2.7", "version = 4\n"), one("version = 4", 1));
    assert_eq!(found("2.3.4", "version = 4\n"), []);
}

#[test]
fn a_damaged_import_is_named_and_the_rest_still_read() {
    let joined =
        join("1.7.24", &[(MAIN, "version = 2\nimports = [\"/b.toml\"]\nroot = \"/r\"\n"), ("/b.toml", "x = \n")]);
    assert_eq!(joined.root().unwrap().value, "/r");
    assert_eq!(joined.broken.len(), 1);
    assert_eq!(joined.broken[0].1.line, Some(1));
}

#[test]
fn config_path_beside_old_registry_tables_is_no_goal() {
    let target = CriTarget {
        schema: 2,
        systemd_cgroup: true,
        sandbox_image: None,
        cni_bin_dir: None,
        cni_conf_dir: None,
        settings: &[],
    };
    let missed = |version: &str, drop_in: &str| {
        let main = format!(
            "version = 2\n{IMPORT}[{R1}.registry]\nconfig_path = \"/c\"\n[{R1}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\"\noptions.SystemdCgroup = true\n"
        );
        let main = if version < "2" { format!("{main}{drop_in}") } else { main };
        let import = if version < "2" { String::new() } else { format!("version = 2\n{drop_in}") };
        names(join(version, &[(MAIN, &main), (DROP_IN, &import)]).misses(&target))
    };
    let mirrors = format!("[{R1}.registry.mirrors.\"docker.io\"]\nendpoint = [\"https://m\"]\n");
    let tls = format!("[{R1}.registry.configs.\"r:5000\".tls]\ninsecure_skip_verify = true\n");
    for (version, drop_in, found) in [
        ("1.7.24", &mirrors, Some(("registry.mirrors", format!("{MAIN}:9")))),
        ("1.7.24", &tls, Some(("registry.configs", format!("{MAIN}:9")))),
        ("2.1.9", &mirrors, Some(("registry.mirrors", format!("{DROP_IN}:3")))),
        ("2.1.9", &tls, None),
        ("1.4.13", &mirrors, None),
    ] {
        let found: Vec<_> = found.into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
        assert_eq!(missed(version, drop_in), found, "{version} {drop_in}");
    }
}
