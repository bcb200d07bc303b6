"""Second half of install.sh, which has checked every file: the machine, then .venv in the unpacked source tree.

Runs on any Python 3, to say which one is wanted; uses nothing but the standard library.
"""

import ctypes
import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import time
import zipfile
from urllib.request import pathname2url

MARKER = ".onnuri-bundle"
"""In the target: "unfinished" or "installed", and the hash of SHA256SUMS."""
BUNDLE = os.path.dirname(os.path.abspath(__file__))
WHEELS = os.path.join(BUNDLE, "wheels")


def main():
    """Install into the folder that the first word names."""
    with open(os.path.join(BUNDLE, "bundle.json"), encoding="utf-8") as stream:
        facts = json.load(stream)
    check_machine(facts)
    check_compiled_code()
    target = os.path.abspath(sys.argv[1] or os.path.join(BUNDLE, os.pardir, "onnuri-" + facts["version"]))
    with open(os.path.join(BUNDLE, "SHA256SUMS"), "rb") as stream:
        identity = hashlib.sha256(stream.read()).hexdigest()
    if check_target(target, identity):
        print("%s is already installed: up to date" % target)
        return
    started = time.monotonic()
    print("installing into %s" % target, flush=True)
    try:
        unpack(target, identity, facts["version"])
        install(target)
    except OSError as error:
        fail("%s: %s" % (error.filename or target, error.strerror))
    mark(target, "installed " + identity)
    print("installed %d packages in %.0f s" % (len(wheel_files()) + 1, time.monotonic() - started))
    print("next: cd '%s' && make pretrain, or '%s' --help" % (target, program(target, "onnuri")))


def check_machine(facts):
    """Fail if this is another Python, processor or C library than the bundle is for."""
    running = "%d.%d" % sys.version_info[:2]
    if running != facts["python"]:
        fail(
            "this bundle is for Python {0}, and {1} is Python {2}; name one with PYTHON=/path/to/python{0}".format(
                facts["python"], sys.executable, running
            )
        )
    if platform.system() != "Linux" or platform.machine() != facts["machine"]:
        here = "%s on %s" % (platform.system(), platform.machine())
        fail("this bundle is for Linux on %s, and this machine is %s" % (facts["machine"], here))
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except ValueError:
        libc = ""
    name, _, version = libc.partition(" ")
    if name != "glibc" or [int(part) for part in version.split(".")[:2]] < [2, facts["glibc"]]:
        fail(
            "this bundle needs glibc 2.%d or later, and this machine has %s"
            % (facts["glibc"], libc or "none")
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        fail("%s has no module %s; install it (python3-venv on Debian)" % (sys.executable, error.name))


def check_compiled_code():
    """Fail if the compiled tokenizer does not load here: it is loaded from memory, and nothing is written."""
    for file in os.listdir(WHEELS):
        if file.startswith("onnuri-"):
            with zipfile.ZipFile(os.path.join(WHEELS, file)) as archive:
                for name in archive.namelist():
                    if name.startswith("onnuri/tokenizer/native/_bpe."):
                        load(archive.read(name))


def load(library):
    """Load a library that is no file."""
    descriptor = os.memfd_create("onnuri")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(library)
        ctypes.CDLL("/proc/self/fd/%d" % descriptor)
    except OSError as error:
        fail("Onnuri's compiled code does not load here: %s; make the bundle on an older system" % error)
    finally:
        os.close(descriptor)


def check_target(target, identity):
    """Whether this bundle is installed there. Fails if the folder is of somebody else."""
    if os.path.realpath(target).startswith(os.path.join(os.path.realpath(BUNDLE), "")) or (
        os.path.realpath(target) == os.path.realpath(BUNDLE)
    ):
        fail("%s lies in the bundle; name a folder outside of it: sh install.sh TARGET" % target)
    if not os.path.lexists(target):
        return False
    if not os.path.isdir(target):
        fail("%s is no folder; name another one: sh install.sh TARGET" % target)
    try:
        with open(os.path.join(target, MARKER), encoding="utf-8") as stream:
            state, _, of = stream.read().partition(" ")
    except OSError:
        state = of = ""
    if state and of == identity:
        return state == "installed"
    if state:
        fail("%s was installed from another bundle; remove it or name another folder" % target)
    if os.listdir(target):
        fail("%s has other files; name a folder that is new or empty: sh install.sh TARGET" % target)
    return False


def unpack(target, identity, version):
    """The source tree."""
    os.makedirs(target, exist_ok=True)
    mark(target, "unfinished " + identity)
    with tarfile.open(os.path.join(BUNDLE, "onnuri-%s.tar.gz" % version)) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(target)


def install(target):
    """.venv with every wheel, and the tree itself as an editable package; pip there never asks a network."""
    venv = os.path.join(target, ".venv")
    run(sys.executable, "-m", "venv", "--clear", venv)
    with open(os.path.join(venv, "pip.conf"), "w", encoding="utf-8") as stream:
        stream.write("[global]\nno-index = true\nfind-links = file://%s\n" % pathname2url(WHEELS))
    pip = (program(target, "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-cache-dir")
    run(*pip, *("./" + file for file in wheel_files()), cwd=WHEELS)
    run(*pip, "--no-build-isolation", "-e", target)
    run(program(target, "onnuri"), "--version")
    with open(os.path.join(venv, ".installed"), "w"):  # what make looks at
        pass


def wheel_files():
    """Every wheel but Onnuri's own, which is for other environments."""
    return sorted(file for file in os.listdir(WHEELS) if not file.startswith("onnuri-"))


def run(*command, **options):
    """Run a command; fail with the last line that it prints."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment = dict(ours, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONNOUSERSITE="1")
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines() or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR: ")]
        fail("%s: %s" % (os.path.basename(command[0]), (errors or lines)[-1]))


def program(target, name):
    """A program of the new environment."""
    return os.path.join(target, ".venv", "bin", name)


def mark(target, text):
    """Say in the target how far it is."""
    with open(os.path.join(target, MARKER), "w", encoding="utf-8") as stream:
        stream.write(text)


def fail(text):
    """One line, and exit status 1."""
    print("error: %s" % text, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
