#!/bin/bash
# The two images of the lab, made without any registry: a pause image from a small static program and
# a web image around Debian's static busybox (taken in the node). Leaves tar files for `docker import`.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/pause.c" <<'C'
/* Holds a pod's namespaces: sleeps, reaps orphans, ends on the usual signals. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void quit(int sig) { (void)sig; _exit(0); }
static void reap(int sig) { (void)sig; while (waitpid(-1, 0, WNOHANG) > 0) {} }

int main(void) {
    struct sigaction a = { .sa_handler = quit }, c = { .sa_handler = reap, .sa_flags = SA_NOCLDSTOP };
    sigaction(SIGINT, &a, 0);
    sigaction(SIGTERM, &a, 0);
    sigaction(SIGCHLD, &c, 0);
    for (;;) pause();
}
C
mkdir "$dir/root"
gcc -O2 -static -o "$dir/root/pause" "$dir/pause.c"
strip "$dir/root/pause"
mkdir -p "$OUT/var/lib/lab"
# Same bytes every time: the image ids stay the same from base to base.
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$OUT/var/lib/lab/pause.tar" -C "$dir/root" pause
