//! What is run through runc and through castoff's runtime, with the same end and the same words.

use super::bundle::Bundle;
use serde_json::{Value, json};

/// One bundle, and which lines of its output are compared; no name: all.
pub struct Case {
    pub name: &'static str,
    pub bundle: Bundle,
    pub lines: &'static [&'static str],
    /// What both must give, so that both cannot be wrong together.
    pub code: i32,
}

const STATUS: &[&str] = &["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:"];

fn case(name: &'static str, code: i32, bundle: Bundle) -> Case {
    Case { name, bundle, lines: &[], code }
}

fn status(name: &'static str, bundle: Bundle) -> Case {
    Case { name, bundle, lines: STATUS, code: 0 }
}

fn probe(args: &[&str]) -> Bundle {
    Bundle::new(args)
}

fn show_status() -> Bundle {
    probe(&["cat", "/proc/self/status"])
}

#[allow(clippy::needless_pass_by_value, reason = "every caller makes it for this")]
fn seccomp(default: &str, rules: Value) -> Value {
    json!({ "defaultAction": default, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules })
}

/// What a static program needs to be started and to end, by runc and by us.
fn start_calls() -> Value {
    json!([
        "execve",
        "exit_group",
        "exit",
        "write",
        "read",
        "close",
        "openat",
        "readlinkat",
        "capset",
        "capget",
        "prctl",
        "rt_sigreturn",
        "rt_sigprocmask",
        "rt_sigaction",
        "futex",
        "epoll_pwait",
        "epoll_ctl",
        "nanosleep",
        "getpid",
        "gettid",
        "tgkill",
        "fcntl",
        "fstat",
        "newfstatat",
        "mmap",
        "munmap",
        "madvise",
        "brk",
        "sched_yield",
        "seccomp",
        "setuid",
        "setgid",
        "setgroups",
        "faccessat",
        "faccessat2",
        "access",
        "getppid",
        "kill",
        "lseek",
        "ioctl",
        "statfs",
        "fstatfs",
        "getdents64",
        "stat",
        "lstat",
        "chdir",
        "getcwd",
        "dup3",
        "sigaltstack",
        "sched_getaffinity",
    ])
}

fn mount(at: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({ "destination": at, "type": kind, "source": source, "options": options })
}

pub fn all() -> Vec<Case> {
    let mut cases = process();
    cases.extend(privileges());
    cases.extend(filters());
    cases.extend(files());
    cases.extend(limits());
    cases
}

fn process() -> Vec<Case> {
    vec![
        case("success", 0, probe(&["exit", "0"])),
        case("an exit code", 7, probe(&["exit", "7"])),
        case("the largest exit code", 255, probe(&["exit", "255"])),
        case("a host name", 0, probe(&["uname"])),
        case("an environment", 0, probe(&["env"])),
        case("a directory", 0, probe(&["cwd"]).with("/process/cwd", json!("/tmp"))),
        case("both outputs", 0, probe(&["echo", "out", "err"])),
        case("a program found in PATH", 0, probe(&["uname"]).with("/process/env", json!(["PATH=/nowhere:/"]))),
        case("a program by its path, without PATH", 0, probe(&[]).with("/process/args", json!(["/probe", "exit", "0"])).with("/process/env", json!(["A=b"]))),
        case("a program that is not there", 1, probe(&[]).with("/process/args", json!(["nothing"]))),
        case("a file that is no program", 1, probe(&[]).with("/process/args", json!(["/not-a-program"]))),
        case("a directory that is a program", 1, probe(&[]).with("/process/args", json!(["/tmp"]))),
        case("no kind of pid but its own", 0, probe(&["link", "/proc/self"])),
        Case { name: "limits of the process", lines: &["Max open files", "Max core"], code: 0,
            bundle: probe(&["cat", "/proc/self/limits"]).with("/process/rlimits", json!([
                { "type": "RLIMIT_NOFILE", "hard": 512, "soft": 256 }, { "type": "RLIMIT_CORE", "hard": 0, "soft": 0 },
            ])) },
        case("a score for the kernel's killer", 0, probe(&["cat", "/proc/self/oom_score_adj"]).with("/process/oomScoreAdj", json!(500))),
        case("a setting of the kernel", 0, probe(&["cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start", "/proc/sys/kernel/shmmni"])
            .with("/linux/sysctl", json!({ "net.ipv4.ip_unprivileged_port_start": "80", "kernel.shmmni": "123" }))),
    ]
}

fn privileges() -> Vec<Case> {
    let none = json!({ "bounding": [], "effective": [], "permitted": [], "inheritable": [], "ambient": [] });
    let ambient = json!(["CAP_NET_BIND_SERVICE"]);
    let all = json!({ "bounding": ambient, "effective": ambient, "permitted": ambient, "inheritable": ambient, "ambient": ambient });
    vec![
        status("root with few capabilities", show_status()),
        status("no capability", show_status().with("/process/capabilities", none)),
        status(
            "a user with an ambient capability",
            show_status().with("/process/capabilities", all).with("/process/user", json!({ "uid": 1000, "gid": 1000 })),
        ),
        status(
            "a user and groups",
            show_status().with("/process/user", json!({ "uid": 1000, "gid": 2000, "additionalGids": [3000, 4000] })),
        ),
        status("no new privileges", show_status().with("/process/noNewPrivileges", json!(true))),
        status("no new privileges, said to be off", show_status().with("/process/noNewPrivileges", json!(false))),
        case("a capability that is not there", 1, probe(&["hostname", "other"])),
        case(
            "a capability that is there",
            0,
            probe(&["hostname", "other"]).with(
                "/process/capabilities",
                json!({
            "bounding": ["CAP_SYS_ADMIN"], "effective": ["CAP_SYS_ADMIN"], "permitted": ["CAP_SYS_ADMIN"] }),
            ),
        ),
    ]
}

fn filters() -> Vec<Case> {
    let deny = |action: &str, errno: Value| {
        let mut rule = json!({ "names": ["mkdirat", "mkdir"], "action": action });
        if !errno.is_null() {
            rule["errnoRet"] = errno;
        }
        seccomp("SCMP_ACT_ALLOW", json!([rule]))
    };
    let mkdir = || probe(&["mkdir", "/tmp/x"]);
    let with = |bundle: Bundle, profile: Value| bundle.with("/linux/seccomp", profile);
    let mode = |op: &str, value: u64, two: u64| {
        seccomp(
            "SCMP_ACT_ALLOW",
            json!([
        { "names": ["fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": [{ "index": 2, "value": value, "valueTwo": two, "op": op }] }]),
        )
    };
    let chmod = |mode: &str| probe(&["chmod", "/tmp", mode]);
    let mut cases = vec![
        case("a call without filter", 0, mkdir()),
        case("a forbidden call", 1, with(mkdir(), deny("SCMP_ACT_ERRNO", Value::Null))),
        case("a forbidden call with its own error", 77, with(mkdir(), deny("SCMP_ACT_ERRNO", json!(77)))),
        case("a call that kills", 159, with(mkdir(), deny("SCMP_ACT_KILL_PROCESS", Value::Null))),
        case("a call that traps", 159, with(mkdir(), deny("SCMP_ACT_TRAP", Value::Null))),
        case("a call that is logged", 0, with(mkdir(), deny("SCMP_ACT_LOG", Value::Null))),
        case(
            "only what is allowed, and this is not",
            1,
            with(mkdir(), seccomp("SCMP_ACT_ERRNO", json!([{ "names": start_calls(), "action": "SCMP_ACT_ALLOW" }]))),
        ),
        case(
            "only what is allowed, and this is",
            0,
            with(
                probe(&["echo", "x"]),
                seccomp(
                    "SCMP_ACT_ERRNO",
                    json!([{ "names": start_calls(), "action": "SCMP_ACT_ALLOW" }, { "names": ["no_such_call"], "action": "SCMP_ACT_ALLOW" }]),
                ),
            ),
        ),
        case(
            "an error of its own besides what is allowed",
            38,
            with(
                mkdir(),
                seccomp(
                    "SCMP_ACT_ERRNO",
                    json!([
            { "names": start_calls(), "action": "SCMP_ACT_ALLOW" }, { "names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }]),
                ),
            ),
        ),
        status("a filter as seen by the kernel", with(show_status(), deny("SCMP_ACT_ERRNO", Value::Null))),
        status(
            "a filter under no new privileges",
            with(show_status().with("/process/noNewPrivileges", json!(true)), deny("SCMP_ACT_ERRNO", Value::Null)),
        ),
        status(
            "a filter for a user",
            with(
                show_status().with("/process/user", json!({ "uid": 1000, "gid": 1000 })),
                deny("SCMP_ACT_ERRNO", Value::Null),
            ),
        ),
    ];
    for (name, op, value, two, given, code) in [
        ("an argument that is equal", "SCMP_CMP_EQ", 0o700, 0, "700", 99),
        ("an argument that is not equal", "SCMP_CMP_EQ", 0o700, 0, "755", 0),
        ("an argument other than", "SCMP_CMP_NE", 0o700, 0, "755", 99),
        ("an argument less than", "SCMP_CMP_LT", 0o700, 0, "600", 99),
        ("an argument not less than", "SCMP_CMP_LT", 0o700, 0, "700", 0),
        ("an argument less or equal", "SCMP_CMP_LE", 0o700, 0, "700", 99),
        ("an argument greater than", "SCMP_CMP_GT", 0o700, 0, "755", 99),
        ("an argument greater or equal", "SCMP_CMP_GE", 0o700, 0, "700", 99),
        ("an argument with bits", "SCMP_CMP_MASKED_EQ", 0o4000, 0o4000, "4755", 99),
        ("an argument without bits", "SCMP_CMP_MASKED_EQ", 0o4000, 0o4000, "755", 0),
    ] {
        cases.push(case(name, code, with(chmod(given), mode(op, value, two))));
    }
    cases
}

fn files() -> Vec<Case> {
    vec![
        case("a root that is read-only", 30, probe(&["write", "/x", "text"])),
        case("a root that is not", 0, probe(&["write", "/x", "text"]).with("/root/readonly", json!(false))),
        case("a file system in memory", 0, probe(&["write", "/tmp/x", "text"])),
        case("a masked file", 0, probe(&["cat", "/proc/keys"])),
        case("a read-only path", 30, probe(&["write", "/proc/sys/kernel/shmmni", "1"])),
        case("a device", 0, probe(&["write", "/dev/null", "text"])),
        case("the links of /dev", 0, probe(&["link", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"])),
        case(
            "a bind mount",
            0,
            probe(&["cat", "/data/version"])
                .with("/mounts/-", mount("/data/version", "bind", "/proc/version", &["bind", "ro"])),
        ),
        case(
            "a bind mount that is read-only",
            30,
            probe(&["mkdir", "/data/x"]).with("/mounts/-", mount("/data", "bind", "/tmp", &["rbind", "ro"])),
        ),
        case(
            "a mount that is not there",
            1,
            probe(&["exit", "0"]).with("/mounts/-", mount("/data", "bind", "/no/such/file", &["rbind"])),
        ),
        case(
            "a mount point that is made",
            0,
            probe(&["write", "/deep/er/x", "text"])
                .with("/root/readonly", json!(false))
                .with("/mounts/-", mount("/deep/er", "tmpfs", "tmpfs", &["nosuid", "size=64k"])),
        ),
        case("a mount inside without the capability", 1, probe(&["tmpfs", "/tmp"])),
        case("a cgroup that is read-only", 30, probe(&["mkdir", "/sys/fs/cgroup/memory/x"])),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        case("memory within the limit", 0, probe(&["alloc", "8"])),
        case("memory over the limit", 137, probe(&["alloc", "64"])),
        case("processes within the limit", 0, probe(&["forks", "8"])),
        case("processes over the limit", 11, probe(&["forks", "20"])),
        case(
            "a hook that succeeds",
            0,
            probe(&["exit", "0"]).with("/hooks", json!({ "createRuntime": [{ "path": "/bin/true" }] })),
        ),
        case(
            "a hook that fails",
            1,
            probe(&["exit", "0"]).with("/hooks", json!({ "createRuntime": [{ "path": "/bin/false" }] })),
        ),
    ]
}
