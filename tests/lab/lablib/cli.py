"""The command line of the lab."""
import os
import signal
import sys

from . import config, control_plane, images, kubelet, node, scenario, shapes
from .config import CannotRun, LabError, say

USAGE = """usage: lab COMMAND

building (all cached in $CASTOFF_LAB_CACHE)
  deps                       install the Debian packages the lab uses
  kubelet [COMMAND...]       build kubelet (or another command of that tree) from Debian's source
  image SUITE [--rebuild]    build a suite's node image (bullseye bookworm trixie forky)
  shape-save SHAPE [--rebuild]
                             bring a shape up once and save the running machine as its base
  status                     what is built, with sizes

nodes (in $CASTOFF_LAB_RUN)
  shapes                     the shapes there are
  up SHAPE [--name NAME] [--cold]
                             a node in that shape; --cold boots it instead of loading its saved state
  ssh NAME [CMD...]          one word is a shell command line, several are an argument list
  put NAME SRC DST           a file, or a folder's contents
  get NAME SRC DST
  cut NAME                   power cut (machines)
  boot NAME                  boot again from the same disk
  save NAME TAG / load NAME TAG
  forward NAME PORT          in the node, 127.0.0.1:PORT leads to the same port of this machine (machines)
  reach NAME PORT            prints a port of this machine that leads to the node's 127.0.0.1:PORT (machines)
  console NAME               the serial log
  ready NAME                 wait until the node is in its shape (again)
  down NAME | --all          throw away
  list

a cluster's API server, on this machine's loopback
  control-plane COMMAND      see `lab control-plane` and control-plane.md

tests
  run SCENARIO... | --smoke | --full
"""


def main(argv):
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if argv else 2
    # Ended from outside: run the clean-up that `finally` blocks hold.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        return dispatch(argv[0], argv[1:])
    except CannotRun as e:
        say("CANNOT RUN HERE: %s" % e)
        return 3
    except LabError as e:
        say("ERROR: %s" % e)
        return 1
    except KeyboardInterrupt:
        return 130


def take(args, flag, value=False):
    """Removes an option from the arguments and returns it."""
    if flag not in args:
        return None
    i = args.index(flag)
    args.pop(i)
    if not value:
        return True
    if i >= len(args):
        raise LabError("%s needs a value" % flag)
    return args.pop(i)


def dispatch(command, args):
    def want(least, most=None):
        if len(args) < least or (most is not None and len(args) > most):
            raise LabError("wrong number of arguments for %r\n\n%s" % (command, USAGE))

    if command == "ssh":  # before anything looks for options: the command may have some
        want(1)
        n = node.find(args[0])
        if len(args) == 1:
            shell = n.argv(["bash", "-l"])
            os.execvp(shell[0], shell)
        return n.exec(args[1:], check=False, stdin=None)
    if command == "control-plane":
        return control_plane.main(args)
    if command == "deps":
        config.need_root()
        config.deps()
    elif command == "kubelet":
        kubelet.build(args or kubelet.DEFAULT)
        for c in args or kubelet.DEFAULT:
            print(kubelet.binary(c))
    elif command == "image":
        rebuild = take(args, "--rebuild")
        want(1, 1)
        print(images.image(args[0], rebuild=bool(rebuild)))
        for package, version in images.versions(args[0]).items():
            say("%s %s" % (package, version))
    elif command == "shape-save":
        rebuild = take(args, "--rebuild")
        want(1, 1)
        print(shapes.base(args[0], rebuild=bool(rebuild)))
    elif command == "shapes":
        for name in shapes.names():
            s = shapes.Shape(name)
            print("%-22s %-9s %-9s %s" % (name, s.suite, s.kind, s.description))
    elif command == "status":
        status()
    elif command == "up":
        name, cold = take(args, "--name", value=True), take(args, "--cold")
        want(1, 1)
        config.need_root()
        config.deps()
        print(shapes.up(args[0], name, cold=bool(cold)).name)
    elif command == "put":
        want(3, 3)
        node.find(args[0]).put(args[1], args[2])
    elif command == "get":
        want(3, 3)
        node.find(args[0]).get(args[1], args[2])
    elif command in ("cut", "boot"):
        want(1, 1)
        getattr(node.find(args[0]), command)()
    elif command in ("save", "load"):
        want(2, 2)
        getattr(node.find(args[0]), command)(args[1])
    elif command in ("forward", "reach"):
        want(2, 2)
        if not args[1].isdigit():
            raise LabError("not a port: %r" % args[1])
        port = getattr(node.find(args[0]), command)(int(args[1]))
        if port is not None:
            print(port)
    elif command == "ready":
        want(1, 1)
        n = node.find(args[0])
        shapes.wait_ready(shapes.Shape(n.state["shape"]), n)
    elif command == "console":
        want(1, 1)
        n = node.find(args[0])
        log = n.dir / ("console.log" if n.state["kind"] == "machine" else "process.log")
        sys.stdout.write(log.read_text(errors="replace") if log.exists() else "")
    elif command == "down":
        everything = take(args, "--all")
        for n in node.every() if everything else [node.find(a) for a in args]:
            n.down()
    elif command == "list":
        for n in node.every():
            print("%-20s %-22s %-9s %s" % (n.name, n.state["shape"], n.state["kind"],
                                           "runs" if n.running() else "off"))
    elif command == "run":
        return scenario.main(args)
    else:
        raise LabError("no command %r\n\n%s" % (command, USAGE))
    return 0


def status():
    def size(path):
        return config.output(["du", "-sh", path], check=False).split("\t")[0] if path.exists() else "-"
    for c in kubelet.COMMANDS:
        path = kubelet.path(c)
        print("kube   %-24s %s" % (c, size(path) if path.exists() else "not built"))
    path = control_plane.folder()
    print("kube   %-24s %s" % ("control plane", size(path) if (path / "done").exists() else "not built"))
    for s in config.SUITES:
        path = images.folder(s)
        print("image  %-24s %s" % (s, size(path) if (path / "done").exists() else "not built"))
    for name in shapes.names():
        path = shapes.Shape(name).folder()
        print("shape  %-24s %s" % (name, size(path) if (path / "done").exists() else "not built"))
