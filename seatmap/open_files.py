"""How many files a process may open: each screen is one, and the usual limit of 1024 is a leftover."""

import contextlib
import resource

WANTED = 65536
ENOUGH = 10240  # for a process that is not in a stampede


def raise_limit() -> int:
    """Raise this process's limit, which its children inherit, as far as it may be and is useful; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """The limit; a very large number where there is none."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 30 if soft == resource.RLIM_INFINITY else soft
