//! What differs between the kinds of machines: how the kernel is called, and by which numbers.

#[cfg(target_arch = "x86_64")]
mod machine {
    use core::arch::{asm, global_asm};

    // The kernel starts a program with argc, argv and the environment on the stack.
    global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {start}", "ud2", start = sym crate::start);

    pub unsafe fn call(number: usize, a: [usize; 6]) -> isize {
        let result: isize;
        // SAFETY: the caller knows what the call does to memory; the kernel changes these registers only.
        unsafe {
            asm!("syscall", inlateout("rax") number => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
                in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        result
    }

    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const MMAP: usize = 9;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const NANOSLEEP: usize = 35;
    pub const SOCKET: usize = 41;
    pub const CONNECT: usize = 42;
    pub const SENDTO: usize = 44;
    pub const BIND: usize = 49;
    pub const LISTEN: usize = 50;
    pub const GETSOCKNAME: usize = 51;
    pub const SETSOCKOPT: usize = 54;
    pub const CLONE: usize = 56;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const UNAME: usize = 63;
    pub const GETCWD: usize = 79;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;
    pub const READLINKAT: usize = 267;
    pub const FCHMODAT: usize = 268;
    pub const ACCEPT4: usize = 288;
}

#[cfg(target_arch = "aarch64")]
mod machine {
    use core::arch::{asm, global_asm};

    global_asm!(".globl _start", "_start:", "mov x29, xzr", "mov x30, xzr", "mov x0, sp", "bl {start}", "brk #1", start = sym crate::start);

    pub unsafe fn call(number: usize, a: [usize; 6]) -> isize {
        let result: isize;
        // SAFETY: as on x86_64.
        unsafe {
            asm!("svc #0", in("x8") number, inlateout("x0") a[0] => result, in("x1") a[1], in("x2") a[2],
                in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
        }
        result
    }

    pub const GETCWD: usize = 17;
    pub const IOCTL: usize = 29;
    pub const MKDIRAT: usize = 34;
    pub const UMOUNT2: usize = 39;
    pub const MOUNT: usize = 40;
    pub const FCHMODAT: usize = 53;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const READLINKAT: usize = 78;
    pub const EXIT_GROUP: usize = 94;
    pub const NANOSLEEP: usize = 101;
    pub const KILL: usize = 129;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const UNAME: usize = 160;
    pub const SETHOSTNAME: usize = 161;
    pub const SOCKET: usize = 198;
    pub const BIND: usize = 200;
    pub const LISTEN: usize = 201;
    pub const CONNECT: usize = 203;
    pub const GETSOCKNAME: usize = 204;
    pub const SENDTO: usize = 206;
    pub const SETSOCKOPT: usize = 208;
    pub const CLONE: usize = 220;
    pub const MMAP: usize = 222;
    pub const ACCEPT4: usize = 242;
    pub const WAIT4: usize = 260;
}

pub use machine::*;


/// Calls the kernel; the error is its number.
pub fn call(number: usize, args: &[usize]) -> Result<usize, i32> {
    let mut all = [0; 6];
    for (slot, arg) in all.iter_mut().zip(args) {
        *slot = *arg;
    }
    // SAFETY: every caller passes pointers to memory that lives and is its own for the time of the call.
    let result = unsafe { machine::call(number, all) };
    // The kernel's errors are -1 to -4095.
    if result < 0 && result >= -4095 { Err(-result as i32) } else { Ok(result as usize) }
}
