"""Starts one container, or one more process in a running one: what a container runtime does, in one short-lived process.

usage: launch.py REPORT_FD [STDIN_FD] < spec.json

Makes namespaces and mounts, forks the container's first process into them, writes "pid N\n" to REPORT_FD and ends, so that the
first process becomes its subreaper's child. That process then writes "error ...\n" if it cannot become the container's program;
the report's end without it says that the program runs. Nothing but the standard library's smallest parts: it starts in a few
milliseconds.

The specification: root {lower, upper, work, merged} | join (pid of the container to join), netns, mounts [{source, target,
kind: dir|file, readonly}], readonly, privileged, hostname, uid, gid, groups, capabilities [names], no_new_privileges, argv, env,
cwd, pidns (false: the node's processes are seen, hostPID).
"""

import ctypes
import json
import os
import sys

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH, PIVOT_ROOT = 2, {"x86_64": 155}.get(os.uname().machine, 41)
CAPBSET_READ, CAPBSET_DROP, NO_NEW_PRIVS, AMBIENT, AMBIENT_CLEAR = 23, 24, 38, 47, 4

CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST "
    "NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
    "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM "
    "BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE").split()

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    done = getattr(libc, name)(*args)
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return done


def text(value):
    return None if value is None else value.encode()


def mount(source, target, kind=None, flags=0, data=None):
    try:
        call("mount", text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data))
    except OSError as error:
        raise OSError(error.errno, f"mount {source} at {target}: {error.strerror}") from error


def enter(path, kind):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    call("setns", descriptor, kind)
    os.close(descriptor)


def place(root, target, kind):
    """The mount point below the root, made when it is not there; a link in the image does not lead out of it."""
    path = root
    parts = [part for part in target.split("/") if part]
    for part in parts[:-1]:
        path = os.path.join(path, part)
        if os.path.islink(path):
            real = os.path.realpath(path)
            path = real if real.startswith(root + "/") else root + real
        os.makedirs(path, mode=0o755, exist_ok=True)
    path = os.path.join(path, parts[-1])
    if os.path.islink(path):
        os.unlink(path)
    if kind == "dir":
        os.makedirs(path, mode=0o755, exist_ok=True)
    elif not os.path.exists(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    return path


def furnish(spec):
    """Runs as the container's first process: its root, mounts and /proc."""
    root = spec["root"]
    merged = root["merged"]
    mount(None, "/", None, REC | PRIVATE)
    mount("overlay", merged, "overlay", 0, f"lowerdir={root['lower']},upperdir={root['upper']},workdir={root['work']}")
    for path in ("/proc", "/sys", "/dev", "/tmp"):
        place(merged, path, "dir")
    mount("proc", merged + "/proc", "proc", NOSUID | NODEV | NOEXEC)
    mount("sysfs", merged + "/sys", "sysfs", RDONLY | NOSUID | NODEV | NOEXEC)
    mount("/dev", merged + "/dev", None, BIND | REC)
    if not spec.get("privileged"):
        mount(merged + "/proc/sys", merged + "/proc/sys", None, BIND)
        mount(None, merged + "/proc/sys", None, BIND | REMOUNT | RDONLY | NOSUID | NODEV | NOEXEC)
    for one in spec["mounts"]:
        target = place(merged, one["target"], one["kind"])
        mount(one["source"], target, None, BIND | REC)
        if one.get("readonly"):
            mount(None, target, None, BIND | REMOUNT | RDONLY)
    if spec.get("readonly"):
        mount(None, merged, None, REMOUNT | BIND | RDONLY)
    os.chdir(merged)
    call("syscall", PIVOT_ROOT, b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/")


def drop(spec):
    """Gives up what the container may not have, last of all the user."""
    keep = set(spec["capabilities"])
    if "ALL" not in keep and not spec.get("privileged"):
        for number, name in enumerate(CAPABILITIES):
            if name not in keep and libc.prctl(CAPBSET_READ, number, 0, 0, 0) == 1:
                call("prctl", CAPBSET_DROP, number, 0, 0, 0)
    call("prctl", AMBIENT, AMBIENT_CLEAR, 0, 0, 0)
    if spec.get("no_new_privileges"):
        call("prctl", NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setgroups(spec["groups"])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])


def find(name, path):
    if "/" in name:
        return name
    for folder in path.split(":"):
        if os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    raise FileNotFoundError(2, f'exec: "{name}": executable file not found in $PATH')


def become(spec, report):
    try:
        os.setsid()
        if "join" not in spec:
            furnish(spec)
            if spec.get("hostname"):
                call("sethostname", spec["hostname"].encode(), len(spec["hostname"].encode()))
        drop(spec)
        os.umask(0o022)
        os.chdir(spec.get("cwd") or "/")
        program = find(spec["argv"][0], spec["env"].get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
        os.execve(program, spec["argv"], spec["env"])
    except BaseException as error:  # noqa: BLE001: whatever it was, the caller is told and this process ends
        os.write(report, f"error {error}\n".encode())
        os._exit(128)


def main():
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    spec = json.load(sys.stdin)
    given = int(sys.argv[2]) if len(sys.argv) > 2 else os.open("/dev/null", os.O_RDONLY)
    os.dup2(given, 0)
    os.set_inheritable(given, False)
    try:
        if "join" in spec:
            base = f"/proc/{spec['join']}/ns/"
            # Opened first: the mount namespace that is entered has another /proc.
            held = [(os.open(base + name, os.O_RDONLY | os.O_CLOEXEC), kind)
                    for name, kind in (("net", NEWNET), ("uts", NEWUTS), ("ipc", NEWIPC), ("pid", NEWPID), ("mnt", NEWNS))]
            for descriptor, kind in held:
                call("setns", descriptor, kind)
        else:
            if spec.get("netns"):
                enter(spec["netns"], NEWNET)
            call("unshare", NEWNS | NEWUTS | NEWIPC | (NEWPID if spec.get("pidns", True) else 0))
        pid = os.fork()
    except OSError as error:
        os.write(report, f"error {error}\n".encode())
        os._exit(1)
    if pid == 0:
        become(spec, report)
    os.write(report, f"pid {pid}\n".encode())
    os._exit(0)


main()
