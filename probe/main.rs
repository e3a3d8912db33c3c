//! The workload of castoff's own containers: a program of a few kilobytes that needs nothing but a kernel. It is built
//! by `build.rs`, carried in castoff, and put into its images (`pause` and `probe`) and test bundles.
//!
//! `probe VERB ARGUMENT…` does one thing and exits with 0, or with the number of the error the kernel gave.
#![no_std]
#![no_main]

mod arch;

use arch::call;
use core::{ffi::CStr, panic::PanicInfo};

const AT_FDCWD: usize = -100_isize as usize;
const STDOUT: usize = 1;
const STDERR: usize = 2;
const EINVAL: i32 = 22;
const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const SIGINT: usize = 2;
const SIGKILL: usize = 9;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;

type Done = Result<(), i32>;

/// What the kernel put on the stack.
struct Words {
    first: *const *const u8,
    count: usize,
}

impl Words {
    /// The argument of that number, with its closing zero.
    fn get(&self, index: usize) -> Result<&'static CStr, i32> {
        if index >= self.count {
            return Err(EINVAL);
        }
        // SAFETY: the kernel lays out `count` pointers to texts that end with a zero and live as long as the process.
        Ok(unsafe { CStr::from_ptr((*self.first.add(index)).cast()) })
    }

    fn bytes(&self, index: usize) -> Result<&'static [u8], i32> {
        self.get(index).map(CStr::to_bytes)
    }

    fn number(&self, index: usize) -> Result<usize, i32> {
        number(self.bytes(index)?, 10)
    }
}

fn number(text: &[u8], base: usize) -> Result<usize, i32> {
    let mut value: usize = 0;
    for byte in text {
        let digit = usize::from(byte.wrapping_sub(b'0'));
        if digit >= base {
            return Err(EINVAL);
        }
        value = value.wrapping_mul(base).wrapping_add(digit);
    }
    if text.is_empty() { Err(EINVAL) } else { Ok(value) }
}

/// The first thing that runs; `stack` is as the kernel left it.
pub extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the number of arguments and pointers to them are there by the kernel's convention.
    let words = unsafe { Words { first: stack.add(1).cast(), count: *stack } };
    let code = match run(&words) {
        Ok(()) => 0,
        Err(errno) => {
            complain(words.bytes(1).unwrap_or(b"nothing"), errno);
            errno
        }
    };
    exit(code as usize)
}

fn exit(code: usize) -> ! {
    loop {
        let _ = call(arch::EXIT_GROUP, &[code]);
    }
}

fn run(words: &Words) -> Done {
    match words.bytes(1)? {
        b"pause" => pause(0, words.number(2).ok()),
        b"stubborn" => stubborn(),
        b"exit" => exit(words.number(2)?),
        b"sleep" => sleep(words.number(2)?, 0),
        b"echo" => echo(words),
        b"tick" => tick(),
        b"cat" => cat(words),
        b"write" => write_file(words),
        b"mkdir" => path_call(arch::MKDIRAT, words, 0o755),
        b"chmod" => path_call(arch::FCHMODAT, words, number(words.bytes(3)?, 8)?),
        b"link" => link(words),
        b"env" => env(words),
        b"cwd" => cwd(),
        b"uname" => uname(),
        b"hostname" => {
            let name = words.bytes(2)?;
            call(arch::SETHOSTNAME, &[name.as_ptr() as usize, name.len()]).map(drop)
        }
        b"tmpfs" => mount(words),
        b"umount" => call(arch::UMOUNT2, &[at(words.get(2)?), 0]).map(drop),
        b"alloc" => alloc(words),
        b"forks" => forks(words.number(2)?),
        b"tty" => tty(),
        b"serve" => serve([0; 4], words.number(2)?, greet),
        b"mirror" => serve([127, 0, 0, 1], 0, mirror),
        b"dial" => dial(words),
        b"up" => up(words.bytes(2)?),
        _ => Err(EINVAL),
    }
}

fn at(text: &CStr) -> usize {
    text.as_ptr() as usize
}

fn put(fd: usize, mut bytes: &[u8]) -> Done {
    while !bytes.is_empty() {
        match call(arch::WRITE, &[fd, bytes.as_ptr() as usize, bytes.len()]) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// A number as text.
fn decimal(number: usize, digits: &mut [u8; 12]) -> &[u8] {
    let mut from = digits.len();
    let mut rest = number;
    while from > 0 {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits.get(from..).unwrap_or_default()
}

fn complain(verb: &[u8], errno: i32) {
    let mut digits = [0; 12];
    let number = decimal(errno as usize, &mut digits);
    let _ = put(STDERR, b"probe ")
        .and_then(|()| put(STDERR, verb))
        .and_then(|()| put(STDERR, b": errno "))
        .and_then(|()| put(STDERR, number))
        .and_then(|()| put(STDERR, b"\n"));
}

/// Signals, as a set of the kernel's.
fn block(signals: &[usize]) -> Result<u64, i32> {
    let set: u64 = signals.iter().fold(0, |set, signal| set | 1 << (signal - 1));
    call(arch::RT_SIGPROCMASK, &[0, &raw const set as usize, 0, 8])?;
    Ok(set)
}

/// Waits for one of the blocked signals, so long at most; which one, or none. The first process of a container gets no
/// signal that it does not wait for.
fn next_signal(set: u64, seconds: Option<usize>, nanoseconds: usize) -> Result<Option<usize>, i32> {
    let time = [seconds.unwrap_or(0), nanoseconds];
    let limit = if seconds.is_some() { time.as_ptr() as usize } else { 0 };
    loop {
        match call(arch::RT_SIGTIMEDWAIT, &[&raw const set as usize, 0, limit, 8]) {
            Ok(signal) => return Ok(Some(signal)),
            Err(EAGAIN) => return Ok(None),
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn reap() {
    const WNOHANG: usize = 1;
    while call(arch::WAIT4, &[usize::MAX, 0, WNOHANG, 0]).is_ok_and(|pid| pid > 0) {}
}

/// `pause [SECONDS]`: until SIGTERM or SIGINT, or until it has been quiet for so long; children that end are buried. Then
/// ends `child`, if there is one.
fn pause(child: usize, limit: Option<usize>) -> Done {
    let set = block(&[SIGTERM, SIGINT, SIGCHLD])?;
    while next_signal(set, limit, 0)? == Some(SIGCHLD) {
        reap();
    }
    if child != 0 {
        call(arch::KILL, &[child, SIGKILL])?;
    }
    Ok(())
}

/// Heeds nothing but SIGKILL.
fn stubborn() -> Done {
    let set = block(&[SIGTERM, SIGINT])?;
    put(STDOUT, b"stubborn\n")?;
    loop {
        next_signal(set, None, 0)?;
    }
}

fn sleep(seconds: usize, nanoseconds: usize) -> Done {
    let time = [seconds, nanoseconds];
    call(arch::NANOSLEEP, &[time.as_ptr() as usize, 0]).map(drop)
}

/// `echo OUT [ERR]`: a line to standard output, one to standard error.
fn echo(words: &Words) -> Done {
    put(STDOUT, words.bytes(2)?)?;
    put(STDOUT, b"\n")?;
    if let Ok(text) = words.bytes(3) {
        put(STDERR, text)?;
        put(STDERR, b"\n")?;
    }
    Ok(())
}

/// A line fifty times a second, until SIGTERM.
fn tick() -> Done {
    let set = block(&[SIGTERM, SIGINT])?;
    while next_signal(set, Some(0), 20_000_000)?.is_none() {
        put(STDOUT, b"tick\n")?;
    }
    Ok(())
}

fn copy_out(fd: usize) -> Done {
    let mut buffer = [0_u8; 4096];
    loop {
        match call(arch::READ, &[fd, buffer.as_mut_ptr() as usize, buffer.len()]) {
            Ok(0) => return Ok(()),
            Ok(read) => put(STDOUT, buffer.get(..read).unwrap_or_default())?,
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// `cat [FILE…]`
fn cat(words: &Words) -> Done {
    if words.count == 2 {
        return copy_out(0);
    }
    for index in 2..words.count {
        let fd = call(arch::OPENAT, &[AT_FDCWD, at(words.get(index)?), 0, 0])?;
        let copied = copy_out(fd);
        call(arch::CLOSE, &[fd])?;
        copied?;
    }
    Ok(())
}

/// `write FILE TEXT`
fn write_file(words: &Words) -> Done {
    const WRONLY_CREAT_TRUNC: usize = 0o1 | 0o100 | 0o1000;
    let fd = call(arch::OPENAT, &[AT_FDCWD, at(words.get(2)?), WRONLY_CREAT_TRUNC, 0o644])?;
    put(fd, words.bytes(3)?)?;
    call(arch::CLOSE, &[fd]).map(drop)
}

/// `mkdir PATH`, `chmod PATH MODE`
fn path_call(number: usize, words: &Words, mode: usize) -> Done {
    call(number, &[AT_FDCWD, at(words.get(2)?), mode, 0]).map(drop)
}

/// `link PATH…`: where they point.
fn link(words: &Words) -> Done {
    let mut buffer = [0_u8; 1024];
    for index in 2..words.count {
        let args = [AT_FDCWD, at(words.get(index)?), buffer.as_mut_ptr() as usize, buffer.len()];
        let len = call(arch::READLINKAT, &args)?;
        put(STDOUT, buffer.get(..len).unwrap_or_default())?;
        put(STDOUT, b"\n")?;
    }
    Ok(())
}

/// The environment, which follows the arguments and a zero.
fn env(words: &Words) -> Done {
    let mut index = words.count + 1;
    loop {
        // SAFETY: the list ends with a null pointer, by the kernel's convention.
        let entry = unsafe { *words.first.add(index) };
        if entry.is_null() {
            return Ok(());
        }
        // SAFETY: as for arguments.
        put(STDOUT, unsafe { CStr::from_ptr(entry.cast()) }.to_bytes())?;
        put(STDOUT, b"\n")?;
        index += 1;
    }
}

fn cwd() -> Done {
    let mut buffer = [0_u8; 1024];
    let len = call(arch::GETCWD, &[buffer.as_mut_ptr() as usize, buffer.len()])?;
    put(STDOUT, buffer.get(..len.saturating_sub(1)).unwrap_or_default())?;
    put(STDOUT, b"\n")
}

/// The host name.
fn uname() -> Done {
    const FIELD: usize = 65;
    let mut names = [0_u8; FIELD * 6];
    call(arch::UNAME, &[names.as_mut_ptr() as usize])?;
    let name = names.get(FIELD..FIELD * 2).unwrap_or_default();
    let len = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    put(STDOUT, name.get(..len).unwrap_or_default())?;
    put(STDOUT, b"\n")
}

/// `tmpfs DIR`
fn mount(words: &Words) -> Done {
    let kind = c"tmpfs";
    call(arch::MOUNT, &[at(kind), at(words.get(2)?), at(kind), 0, 0]).map(drop)
}

/// `alloc MEGABYTES [MILLISECONDS]`: takes memory and uses it. With a time, after so long and in a child, and ends as that one
/// so long after it: who watches the cgroup has time to begin, and to hear of the child's end while the cgroup is still there.
fn alloc(words: &Words) -> Done {
    let megabytes = words.number(2)?;
    let Ok(wait) = words.number(3) else { return take(megabytes) };
    let rest = || sleep(wait / 1000, wait % 1000 * 1_000_000);
    rest()?;
    let child = fork()?;
    if child == 0 {
        return take(megabytes);
    }
    let mut status = 0_i32;
    call(arch::WAIT4, &[child, &raw mut status as usize, 0, 0])?;
    rest()?;
    // As a shell tells it (wait(2): the signal is in the low seven bits, a code in the byte above them).
    let signal = (status & 0x7f) as usize;
    exit(if signal == 0 { (status >> 8 & 0xff) as usize } else { 128 + signal })
}

fn take(megabytes: usize) -> Done {
    const READ_WRITE: usize = 3;
    const PRIVATE_ANONYMOUS: usize = 0x22;
    let len = megabytes << 20;
    let from = call(arch::MMAP, &[0, len, READ_WRITE, PRIVATE_ANONYMOUS, usize::MAX, 0])?;
    for page in (0..len).step_by(4096) {
        // SAFETY: it is inside the mapping just made.
        unsafe { ((from + page) as *mut u8).write_volatile(1) };
    }
    put(STDOUT, b"allocated\n")
}

fn fork() -> Result<usize, i32> {
    call(arch::CLONE, &[SIGCHLD, 0, 0, 0, 0])
}

/// `forks N`: so many more processes, all of which end with this one when it is the first of its container.
fn forks(count: usize) -> Done {
    for _ in 0..count {
        if fork()? == 0 {
            return pause(0, None);
        }
    }
    put(STDOUT, b"forked\n")
}

/// Whether standard output is a terminal.
fn tty() -> Done {
    const TCGETS: usize = 0x5401;
    let mut settings = [0_u8; 64];
    call(arch::IOCTL, &[STDOUT, TCGETS, settings.as_mut_ptr() as usize])?;
    put(STDOUT, b"terminal\n")
}

const INET_STREAM: [usize; 3] = [2, 1, 0];

/// An IPv4 address for the kernel: family, port and address, both in network order.
fn address(ip: [u8; 4], port: usize) -> [u8; 16] {
    let mut address = [0; 16];
    address[0] = 2;
    address[2] = (port >> 8) as u8;
    address[3] = port as u8;
    address[4..8].copy_from_slice(&ip);
    address
}

/// Says on which port a socket is.
fn tell_port(socket: usize) -> Done {
    let mut address = [0_u8; 16];
    let mut len: u32 = 16;
    call(arch::GETSOCKNAME, &[socket, address.as_mut_ptr() as usize, &raw mut len as usize])?;
    put(STDOUT, b"listening ")?;
    let mut digits = [0; 12];
    put(STDOUT, decimal(usize::from(address[2]) << 8 | usize::from(address[3]), &mut digits))?;
    put(STDOUT, b"\n")
}

fn say(peer: usize, bytes: &[u8]) {
    const NOSIGNAL: usize = 0x4000;
    let _ = call(arch::SENDTO, &[peer, bytes.as_ptr() as usize, bytes.len(), NOSIGNAL, 0, 0]);
}

fn greet(peer: usize) {
    say(peer, b"castoff\n");
}

/// Gives back what comes first.
fn mirror(peer: usize) {
    let mut buffer = [0_u8; 512];
    if let Ok(read) = call(arch::READ, &[peer, buffer.as_mut_ptr() as usize, buffer.len()]) {
        say(peer, buffer.get(..read).unwrap_or_default());
    }
}

/// `serve PORT`: answers every connection with one line, until SIGTERM. `mirror`: on a port of loopback that the kernel
/// chooses, gives back what is said.
fn serve(ip: [u8; 4], port: usize, answer: fn(usize)) -> Done {
    let on: u32 = 1;
    let socket = call(arch::SOCKET, &INET_STREAM)?;
    call(arch::SETSOCKOPT, &[socket, 1, 2, &raw const on as usize, 4])?;
    let address = address(ip, port);
    call(arch::BIND, &[socket, address.as_ptr() as usize, address.len()])?;
    call(arch::LISTEN, &[socket, 16])?;
    tell_port(socket)?;
    // A child answers; the first process of the container waits for signals.
    let child = fork()?;
    if child != 0 {
        return pause(child, None);
    }
    loop {
        let Ok(peer) = call(arch::ACCEPT4, &[socket, 0, 0, 0]) else { continue };
        answer(peer);
        let _ = call(arch::CLOSE, &[peer]);
    }
}

/// `dial A.B.C.D PORT`: what is answered there.
fn dial(words: &Words) -> Done {
    let mut ip = [0; 4];
    let mut parts = words.bytes(2)?.split(|byte| *byte == b'.');
    for byte in &mut ip {
        *byte = u8::try_from(number(parts.next().ok_or(EINVAL)?, 10)?).map_err(|_| EINVAL)?;
    }
    let socket = call(arch::SOCKET, &INET_STREAM)?;
    let address = address(ip, words.number(3)?);
    call(arch::CONNECT, &[socket, address.as_ptr() as usize, address.len()])?;
    copy_out(socket)
}

/// `up NAME`: switches a network interface on.
fn up(name: &[u8]) -> Done {
    const GET_FLAGS: usize = 0x8913;
    const SET_FLAGS: usize = 0x8914;
    const NAME: usize = 16;
    let mut request = [0_u8; 40];
    request.get_mut(..name.len()).filter(|_| name.len() < NAME).ok_or(EINVAL)?.copy_from_slice(name);
    let socket = call(arch::SOCKET, &[2, 2, 0])?;
    call(arch::IOCTL, &[socket, GET_FLAGS, request.as_mut_ptr() as usize])?;
    request[NAME] |= 1;
    call(arch::IOCTL, &[socket, SET_FLAGS, request.as_mut_ptr() as usize]).map(drop)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    exit(255)
}

/// Named by the core library, which is built to unwind; this program ends instead.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// What the compiler calls for copies and fills; there is no C library.
mod memory {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        let mut index = 0;
        while index < len {
            // SAFETY: the compiler passes memory of that length. Volatile: else this loop would become a call of itself.
            unsafe { to.add(index).write_volatile(*from.add(index)) };
            index += 1;
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
        let mut index = 0;
        while index < len {
            // SAFETY: as above.
            unsafe { to.add(index).write_volatile(value as u8) };
            index += 1;
        }
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
        let mut index = 0;
        while index < len {
            // SAFETY: as above.
            let (a, b) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
            index += 1;
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
        // SAFETY: as above.
        unsafe { memcmp(left, right, len) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut len = 0;
        // SAFETY: the text ends with a zero.
        while unsafe { text.add(len).read_volatile() } != 0 {
            len += 1;
        }
        len
    }
}
