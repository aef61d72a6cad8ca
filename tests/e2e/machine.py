"""Another machine, as far as a process on it can tell: its own boot, and clocks that began at another time.

Files and loopback are shared with this one. Its wall clock is, too: Linux has namespaces of the other clocks only.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

AHEAD_S = 5 * 3600  # of ours; the other way a machine that has just booted would be before its boot
ASLEEP_S = 700  # that it was suspended for since: CLOCK_BOOTTIME counts it, CLOCK_MONOTONIC does not
BOOT_ID = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && echo $$ && exec cat'


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[tuple[str, ...]]:
    """What to put before a command, so that it runs there (time_namespaces(7), util-linux 2.38)."""
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    rooted = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    clocks = ("--time", "--monotonic", str(AHEAD_S), "--boottime", str(AHEAD_S + ASLEEP_S), "--fork")
    keeper = await asyncio.create_subprocess_exec(
        "unshare", *rooted, "--mount", *clocks, "sh", "-c", BOOT_ID, str(boot),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert keeper.stdin is not None and keeper.stdout is not None and keeper.stderr is not None
    try:
        inside = (await keeper.stdout.readline()).decode().strip()
        assert inside, f"no other machine: {(await keeper.stderr.read()).decode()}"
        entered = ("--user", "--preserve-credentials") if rooted else ()
        yield "nsenter", "--target", inside, *entered, "--mount", "--time", "--", "env", f"--chdir={Path.cwd()}"
    finally:
        keeper.stdin.close()
        await keeper.wait()
