"""A switched network of namespaces for one worker: a hub with a bridge, and nodes that can stop hearing each other.

Rules
- Every name begins with ``PREFIX``: what a killed bench has left is found by it, ended by pid, and removed.
- Addresses and hardware addresses are fixed, nobody asks for one (ARP). ``cut`` gives the sender a wrong hardware
  address for the receiver: what it sends is lost without a word, connections that are up included; one way only.
- The hub has one interface and many addresses, one for each thing that can be cut off alone.
"""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

PREFIX = "envchaos"
NETWORK = "10.77.0."
NOWHERE = "02:77:00:00:ff:ff"

HUB = {"devices": 1, "pager": 2, "primary": 3, "backup": 4, "caller": 5, "door-a": 51, "door-b": 52}
NODES = {"a": 11, "b": 12, "one": 21, "two": 22, "three": 23, "edge0": 31, "edge1": 32}


def address(name: str) -> str:
    """The IP address of a node or of a part of the hub."""
    return f"{NETWORK}{(HUB | NODES)[name]}"


def namespace(worker: int, node: str) -> str:
    """The name of a node's namespace; the hub's node is ``hub``."""
    return f"{PREFIX}{worker}-{node}"


def inside(worker: int, node: str) -> list[str]:
    """The command that runs another one in a namespace; the process id stays the same."""
    return ["nsenter", f"--net=/run/netns/{namespace(worker, node)}"]


class Network:
    """The namespaces of one worker. Entered by root; what it made is gone when it is left."""

    def __init__(self, worker: int) -> None:
        self._worker = worker
        self._cuts: set[tuple[str, str]] = set()

    def make(self) -> None:
        """Make hub, bridge and nodes. Raises CalledProcessError."""
        hub = namespace(self._worker, "hub")
        _ip("netns", "add", hub)
        lines = ["link set lo up", "link add br0 type bridge", f"link set br0 address {_hardware('hub')}"]
        lines += [f"addr add {NETWORK}{number}/24 dev br0" for number in HUB.values()]
        _batch(hub, [*lines, "link set br0 up"])
        for node in NODES:
            name = namespace(self._worker, node)
            _ip("netns", "add", name)
            _batch(
                hub, [f"link add to-{node} type veth peer name eth0 netns {name}", f"link set to-{node} master br0 up"]
            )
            mine = [f"link set eth0 address {_hardware(node)}", f"addr add {address(node)}/24 dev eth0"]
            _batch(name, ["link set lo up", *mine, "link set eth0 up"])
        for node in ("hub", *NODES):
            _batch(
                namespace(self._worker, node), [_neighbour(node, other, _hardware(other)) for other in _others(node)]
            )

    def remove(self) -> None:
        """Remove every namespace of this worker."""
        for node in ("hub", *NODES):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", namespace(self._worker, node))

    def cut(self, sender: str, receiver: str) -> None:
        """What ``sender`` (a node) sends to ``receiver`` is lost from now on."""
        self._cuts.add((sender, receiver))
        _batch(namespace(self._worker, sender), [_neighbour(sender, receiver, NOWHERE)])

    def part(self, one: str, others: Iterable[str]) -> None:
        """Cut a node off from others, both ways; what the hub sends still arrives, but is never answered."""
        for other in others:
            self.cut(one, other)
            if other in NODES:
                self.cut(other, one)

    def mend(self, among: Iterable[str]) -> None:
        """Undo every cut between two of these."""
        some = set(among)
        for sender, receiver in sorted(cut for cut in self._cuts if some.issuperset(cut)):
            _batch(namespace(self._worker, sender), [_neighbour(sender, receiver, _hardware(receiver))])
            self._cuts.discard((sender, receiver))

    def heal(self) -> None:
        """Undo every cut."""
        self.mend({*HUB, *NODES})


def sweep(worker: int) -> None:
    """End the processes in the namespaces of a worker, and remove these; a killed bench leaves them."""
    for path in sorted(Path("/run/netns").glob(f"{namespace(worker, '*')}")):
        _end_all(path.name)
        _ip("netns", "del", path.name)


def _end_all(name: str) -> None:
    """End what runs in a namespace: its processes are known by the namespace they stand in, never by their name."""
    deadline = monotonic() + 10
    while monotonic() < deadline:
        told = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=True)
        pids = [int(pid) for pid in told.stdout.split() if int(pid) != os.getpid()]
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        sleep(0.05)


def _others(node: str) -> list[str]:
    return [other for other in (NODES if node == "hub" else HUB | NODES) if other != node]


def _hardware(node: str) -> str:
    return f"02:77:00:00:00:{0 if node == 'hub' or node in HUB else NODES[node]:02x}"


def _neighbour(node: str, other: str, hardware: str) -> str:
    device = "br0" if node == "hub" else "eth0"
    return f"neigh replace {address(other)} lladdr {hardware} nud permanent dev {device}"


def _batch(name: str, lines: list[str]) -> None:
    subprocess.run(["ip", "-n", name, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
