"""What runs in a process of its own: cut everything off, then call the function of a text with some inputs.

Started by sandbox.py as `python -I -S sandboxed_process.py FOLDER SECONDS MEGABYTES` with JSON on standard
input. It prints the JSON list of results, or why it refuses to run anything (exit status 97).
Each cut is tried afterwards: a cut that does not hold is a refusal.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import Any, NoReturn

REFUSED = 97
MOST_OUTPUT = 1 << 16
NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x40000000 | 0x20000000 | 0x08000000 | 0x04000000
"""User, mount, network, process, IPC and host name."""
MS_READ_ONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_PRIVATE_ALL = 1, 2, 4, 8, 0x4000 | 0x40000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
NOBODY = 65534
CAPABILITY_VERSION_3 = 0x20080522


def refuse(reason: str) -> NoReturn:
    """Say why, and end without having run anything."""
    os.write(1, reason.encode())
    os._exit(REFUSED)


def attempt(what: str, result: int) -> None:
    """Refuse if a call of libc has failed."""
    if result != 0:
        refuse(f"{what}: {os.strerror(ctypes.get_errno())}")


def namespaces() -> set[str]:
    """The namespaces of this process but the one of processes, which holds from its child on."""
    names = ("user", "mnt", "net", "ipc", "uts")
    return {os.readlink(f"/proc/self/ns/{name}") for name in names}  # noqa: PTH115 - pathlib is not imported


def cut_off(libc: ctypes.CDLL, folder: str) -> None:
    """No network and no files: new namespaces, and an empty read-only file system as the root."""
    if os.getuid() == 0:  # for whom the limit of processes does not hold
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        attempt("own /proc files", libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    user, group = os.getuid(), os.getgid()
    before = namespaces()
    attempt("namespaces", libc.unshare(NEW_NAMESPACES))
    if before & namespaces():
        refuse("a namespace is shared")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as stream:  # noqa: PTH123 - pathlib is not imported here
            stream.write(text)
    attempt("private mounts", libc.mount(b"none", b"/", None, MS_PRIVATE_ALL, None))
    flags = MS_READ_ONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    attempt("empty root", libc.mount(b"none", folder.encode(), b"tmpfs", flags, b"size=4k"))
    os.chroot(folder)
    os.chdir("/")


def lock_up(libc: ctypes.CDLL, seconds: int, megabytes: int) -> None:
    """Limits of memory, time, output and processes; no capability is left, and none can be gained."""
    limits = {
        resource.RLIMIT_AS: megabytes << 20,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: MOST_OUTPUT,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: 8,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    attempt("no new privileges", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    attempt("capabilities", libc.capset(header, (ctypes.c_uint32 * 6)()))


def check_cuts(libc: ctypes.CDLL) -> None:
    """Try what must not be possible."""
    if os.getpid() != 1:
        refuse("other processes can be seen")
    if os.listdir("/"):  # noqa: PTH208 - pathlib is not imported here
        refuse("files can be seen")
    tries = {
        "files can be written": lambda: os.open("/file", os.O_WRONLY | os.O_CREAT),
        "the root can be changed": lambda: os.chroot("/"),
        "processes can be started": os.fork,
    }
    for what, call in tries.items():
        try:
            result = call()
        except OSError:
            continue
        if what.startswith("processes") and result == 0:
            os._exit(0)
        refuse(what)
    if libc.unshare(0x10000000) == 0:
        refuse("namespaces can be made")


def results_of(code: str, calls: list[list[Any]]) -> list[Any]:
    """What the function `solve` returns for each list of arguments."""
    names: dict[str, Any] = {"__name__": "solution"}
    exec(compile(code, "solution", "exec"), names)
    solve = names["solve"]
    assert callable(solve)
    return [solve(*arguments) for arguments in calls]


def main() -> None:
    """Cut off, start the one process that runs the text, and end it when its time is over.

    Exit status 0 if all cuts held, whatever became of the text. The text cannot reach this process, which
    stands outside of the process namespace.
    """
    folder, seconds, megabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    asked = json.loads(sys.stdin.buffer.read())
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        cut_off(libc, folder)
        reader, writer = os.pipe()
        child = os.fork()  # the first process of the new process namespace: its end ends all others there
    except (OSError, AttributeError) as error:
        refuse(str(error))
    if child == 0:
        os.close(reader)
        os.setsid()  # kill(0, ...) reaches a process group, across namespaces
        run_alone(libc, seconds, megabytes, writer, asked)
    os.close(writer)
    end = time.monotonic() + 2 * seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
        time.sleep(0.005)
    os._exit(0 if os.read(reader, 1) == b"1" else REFUSED)


def run_alone(
    libc: ctypes.CDLL, seconds: int, megabytes: int, writer: int, asked: dict[str, Any]
) -> NoReturn:
    """In the first process of the namespace: lock up, report that the cuts hold, run the text."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        lock_up(libc, seconds, megabytes)
        check_cuts(libc)
    except (OSError, ValueError, AttributeError) as error:
        refuse(str(error))
    os.write(writer, b"1")
    os.close(writer)
    output = os.dup(1)
    os.dup2(2, 1)  # what the text prints goes nowhere
    try:
        os.write(output, json.dumps(results_of(asked["code"], asked["calls"])).encode())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
