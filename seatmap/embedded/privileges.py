"""As whom a server runs, and what becomes of it when its parent dies.

Postgres refuses to run as root. Started by root, a server runs as the owner of its data, or as `nobody`, who
exists everywhere: no user is made, no folder is opened to others. Where that user could not reach the
programs or the data (in root's home, say) it keeps the one capability to pass through closed folders.
"""

import ctypes
import os
import pwd
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seatmap.errors import Unusable

LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None

# linux/prctl.h and linux/capability.h
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_SECBIT_NO_SETUID_FIXUP = 4
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH, _CAP_SETPCAP = 1, 2, 8
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


@dataclass(frozen=True)
class Identity:
    """A user to become, and the one capability to keep; nothing of both means to stay who we are."""

    uid: int | None = None
    gid: int | None = None
    capability: int | None = None

    def own(self, folder: Path) -> None:
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)

    def become(self) -> None:
        """In the child, before its program starts."""
        if self.uid is None or self.gid is None:
            return
        if self.capability is not None:
            # Keeps capabilities over setuid, and lets access(2), by which Postgres checks its own programs,
            # honour the one that stays.
            _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)
        if self.capability is not None:
            _keep_only(self.capability)


MYSELF = Identity()


def identity_for(data: Path, programs: Path) -> Identity:
    """Who is to run a server that lives in `data` and whose programs are in `programs`."""
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise Unusable(
                f"{data} belongs to the user id {owner}: run Seatmap as that user, "
                "or set SEATMAP_DATA to another folder."
            )
        return MYSELF
    user = _ordinary_user(owner)
    if _everybody_reaches(programs) and _everybody_reaches(data.parent):
        return Identity(user.pw_uid, user.pw_gid)
    for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
        if _may_have(capability) and _may_have(_CAP_SETPCAP):
            return Identity(user.pw_uid, user.pw_gid, capability)
    raise Unusable(
        f"The servers do not run as root, and the user {user.pw_name} cannot reach {programs} "
        f"and {data.parent}: run Seatmap as an ordinary user, or from a folder that everybody may enter."
    )


def child_setup(death_signal: signal.Signals, identity: Identity = MYSELF) -> Callable[[], None]:
    """A `preexec_fn`: become somebody, and get `death_signal` when the parent is gone, however it went.

    The kernel means the parent *thread*, so servers are started by the main thread.
    """
    parent = os.getpid()

    def setup() -> None:
        identity.become()
        os.umask(0o077)
        if LINUX:
            _prctl(_PR_SET_PDEATHSIG, int(death_signal))  # after setuid, which clears it
            if os.getppid() != parent:
                os._exit(1)

    return setup


def _ordinary_user(owner: int | None) -> pwd.struct_passwd:
    """The owner of the data, made earlier by an ordinary user; else nobody, who owns nothing else."""
    if owner:
        try:
            return pwd.getpwuid(owner)
        except KeyError:
            pass
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise Unusable(
            "The servers do not run as root, and there is no user `nobody`: run Seatmap as an ordinary user."
        ) from None


def _everybody_reaches(path: Path) -> bool:
    path = path.resolve()
    return all(stat.S_IMODE(p.stat().st_mode) & 0o001 for p in (path, *path.parents))


def _may_have(capability: int) -> bool:
    if not LINUX:
        return False
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> capability & 1)
    return False


def _prctl(option: int, value: int, more: int = 0) -> None:
    assert _libc is not None
    if _libc.prctl(option, value, more, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _keep_only(capability: int) -> None:
    assert _libc is not None
    bit = 1 << capability
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    data[0] = _CapData(bit, bit, bit)
    if _libc.capset(ctypes.byref(header), data):
        raise OSError(ctypes.get_errno(), "capset failed")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
