use super::*;

fn procs() -> RealProcs {
    RealProcs::new(Faults::none())
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn runs_with_a_clean_environment_and_without_a_shell() {
    let ran = procs().run("env", &[], LONG).unwrap();
    let mut lines: Vec<_> = ran.text().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["LANG=C".to_owned(), format!("PATH={PATH}")]);
    assert_eq!(procs().run("echo", &["$HOME; `id`"], LONG).unwrap().text(), "$HOME; `id`\n");
}

#[test]
fn status_and_last_words_are_kept() {
    let ran = procs().query("ls", &["/does/not/exist"], LONG).unwrap();
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("/does/not/exist"), "{}", ran.stderr);
    let ran = procs().run("sh", &["-c", "kill -TERM $$"], LONG).unwrap();
    assert_eq!(ran.status, 128 + 15);
    let ran = procs().run("sh", &["-c", "yes x | head -c 100000 >&2; echo end >&2"], LONG).unwrap();
    assert_eq!(ran.stderr.len(), STDERR_KEPT);
    assert!(ran.stderr.ends_with("end\n"));
}

#[test]
fn a_missing_program_is_named() {
    let error = procs().run("no-such-program", &[], LONG).unwrap_err().to_string();
    assert!(error.starts_with("no-such-program is not installed"), "{error}");
    assert!(procs().find("bin/sh").is_none() && procs().find("").is_none());
    assert!(procs().find("/etc/passwd").is_none(), "not executable");
    assert!(procs().find("sh").unwrap().ends_with("/sh"));
}

#[test]
fn a_slow_program_is_killed_with_its_children() {
    let began = Instant::now();
    let limit = Duration::from_millis(200);
    let error = procs().run("sh", &["-c", "echo trouble >&2; sleep 4321.5 & wait"], limit).unwrap_err().to_string();
    assert!(error.contains("did not end within 0.2 s") && error.contains("trouble"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(4));
    thread::sleep(Duration::from_millis(50));
    let procs = procs();
    let left: Vec<_> = procs.pids_of("sleep").into_iter().filter_map(|pid| procs.cmdline(pid)).collect();
    assert!(!left.iter().any(|args| args.get(1).is_some_and(|arg| arg == "4321.5")), "{left:?}");
}

#[test]
fn a_grandchild_that_holds_the_pipes_does_not_hang_us() {
    let began = Instant::now();
    let ran = procs().run("sh", &["-c", "sleep 6 & echo $!"], LONG).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(ran.status, 0);
    let pid: u32 = ran.text().trim().parse().unwrap();
    procs().run("kill", &[&pid.to_string()], LONG).unwrap();
}

#[test]
fn fed_input_may_be_larger_than_all_pipes_together() {
    let block = vec![7_u8; 1 << 20];
    let ran = procs().pipe_into(
        "cat",
        &[],
        &mut |sink| {
            (0..8).try_for_each(|_| sink.write_all(&block))?;
            Ok(8 << 20)
        },
        LONG,
    );
    assert_eq!(ran.unwrap().stdout.len(), 8 << 20);
}

#[test]
fn a_program_that_gives_up_is_the_cause() {
    let block = vec![0_u8; 1 << 20];
    let mut endless = |sink: &mut dyn Write| -> anyhow::Result<u64> {
        loop {
            sink.write_all(&block)?;
        }
    };
    let error = procs().pipe_into("sh", &["-c", "echo no space left >&2; exit 1"], &mut endless, LONG).unwrap_err();
    assert_eq!(error.to_string(), "sh stopped reading its input: no space left");
    let error = procs().pipe_into("sleep", &["60"], &mut endless, Duration::from_millis(200)).unwrap_err().to_string();
    assert!(error.contains("did not end within 0.2 s"), "{error}");
}

#[test]
fn half_an_input_never_looks_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("took-it");
    let script = format!("cat >/dev/null && touch {}", mark.display());
    let mut broken = |sink: &mut dyn Write| -> anyhow::Result<u64> {
        sink.write_all(b"half")?;
        anyhow::bail!("the stream from /run/docker.sock broke off")
    };
    let error = procs().pipe_into("sh", &["-c", &script], &mut broken, LONG).unwrap_err();
    assert!(format!("{error:#}").contains("failed to feed sh: the stream"), "{error:#}");
    thread::sleep(Duration::from_millis(100));
    assert!(!mark.exists());
}

#[test]
fn output_without_end_is_stopped() {
    let error = procs().run("cat", &["/dev/zero"], LONG).unwrap_err().to_string();
    assert!(error.contains("more than 64 MiB"), "{error}");
}

#[test]
fn faults_stop_the_program_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("mark");
    let procs = RealProcs::new(Faults::nth(1));
    assert!(procs.run("touch", &[&mark.display().to_string()], LONG).is_err());
    assert!(!mark.exists());
    procs.run("touch", &[&mark.display().to_string()], LONG).unwrap();
    assert!(mark.exists());
}

#[test]
fn own_process_is_found() {
    let (procs, me) = (procs(), std::process::id());
    let args = procs.cmdline(me).unwrap();
    let name = Path::new(&args[0]).file_name().unwrap().to_string_lossy().into_owned();
    assert!(procs.pids_of(&name).contains(&me));
    assert!(procs.exists(me) && !procs.cgroup(me).unwrap().is_empty());
    assert!(!procs.exists(4_000_000) && procs.cmdline(4_000_000).is_none() && procs.cgroup(4_000_000).is_err());
}

#[test]
fn a_process_that_was_stopped_goes_on() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let (procs, pid) = (procs(), child.id());
    let becomes = |stopped: bool| {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            procs.is_stopped(pid) == stopped
        })
    };
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGSTOP).unwrap();
    assert!(becomes(true));
    procs.wake(pid).unwrap();
    assert!(becomes(false) && procs.exists(pid));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(procs.wake(4_000_000).is_err());
}

#[test]
fn proc_is_read_defensively() {
    let dir = tempfile::tempdir().unwrap();
    let put = |pid: u32, name: &str, text: &str| {
        let file = dir.path().join(pid.to_string()).join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    put(10, "stat", "10 (a) b) Z 1 2");
    put(11, "stat", "11 (x) S 1 2");
    put(12, "stat", "");
    put(15, "stat", "15 (x) T 1 2");
    put(13, "cmdline", "/usr/bin/containerd-shim-runc-v2\0-namespace\0\0");
    put(13, "comm", "containerd-shim\n");
    put(14, "comm", "containerd-shim\n");
    std::os::unix::fs::symlink("/usr/bin/dockerd (deleted)", dir.path().join("11/exe")).unwrap();
    let procs = procs().with_roots(dir.path(), PATH);
    assert_eq!((procs.exists(10), procs.exists(11), procs.exists(12)), (false, true, false));
    assert!(procs.is_stopped(15) && !procs.is_stopped(11) && !procs.is_stopped(12));
    assert_eq!(procs.pids_of("dockerd"), [11]);
    assert_eq!(procs.pids_of("containerd-shim-runc-v2"), [13], "the zombie has no command line");
    assert_eq!(procs.cmdline(13).unwrap(), ["/usr/bin/containerd-shim-runc-v2", "-namespace", ""]);
}

#[test]
fn a_cgroup_is_ended_with_those_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("container");
    std::fs::create_dir(&below).unwrap();
    std::fs::write(dir.path().join("cgroup.procs"), "").unwrap();
    let mut child = Command::new("sleep").arg("20").spawn().unwrap();
    std::fs::write(below.join("cgroup.procs"), format!("{}\n", child.id())).unwrap();
    procs().end_cgroup(&dir.path().display().to_string());
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}
