"""Hosts in network namespaces on one bridge, and what can happen to their packets.

Everything lives in namespaces that end with the process ``world_command`` starts: no rule and no
interface of the machine is touched, and root is not needed where the kernel gives ordinary users
namespaces. Rules hold for central's port alone, so that a shop's tills are never cut off.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Final

BRIDGE: Final = "kopilka"
CENTRAL: Final = "10.77.0.1"
TILLS: Final = "10.77.0.2"
"""Where the tests' tills ask from: whoever takes central's address does not take this one."""
_BRIDGE_MAC: Final = "02:00:00:00:00:01"
_RULES: Final = "faults"


def world_command(module: str, *arguments: str) -> list[str]:
    """How to run a module in a fresh network, with the right to make hosts in it."""
    unshare = ["unshare", "--net", "--mount"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-current-user", "--keep-caps"]
    return [*unshare, sys.executable, "-m", module, *arguments]


class Host:
    """One machine: a namespace with one interface."""

    def __init__(self, name: str, number: int, port: int) -> None:
        self.name = name
        self.address = f"10.77.0.{10 + number}"
        self._outside = f"out{number}"
        self._port = port
        run("ip", "netns", "add", name)
        run("ip", "link", "add", "name", self._outside, "type", "veth", "peer", "name", "eth0",
            "netns", name)  # fmt: skip
        run("ip", "link", "set", self._outside, "master", BRIDGE, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def command(self, *words: str) -> list[str]:
        """The command that runs ``words`` on this host."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *words]

    def run(self, *words: str) -> None:
        """Run a command on this host to its end."""
        run(*self.command(*words))

    def drop(self, *, requests: bool = False, answers: bool = False) -> None:
        """Packets to central, or from it, vanish; open connections are not told."""
        self._rule(
            ([f"output tcp dport {self._port} drop"] if requests else [])
            + ([f"input tcp sport {self._port} drop"] if answers else [])
        )

    def refuse(self, address: str | None = None) -> None:
        """Every connection to central is reset, as by a router that lost its way.

        ``address``: only those to this one; what somebody else answers passes.
        """
        where = "" if address is None else f"ip daddr {address} "
        self._rule([f"output {where}tcp dport {self._port} reject with tcp reset"])

    def forget_neighbours(self) -> None:
        """As after a cable was pulled and put back."""
        self.run("ip", "neighbour", "flush", "all")

    def lose(self, percent: int) -> None:
        """So many of the packets, each way, vanishes at random."""
        chance = f"numgen random mod 100 < {percent} drop"
        self._rule(
            [
                f"output tcp dport {self._port} {chance}",
                f"input tcp sport {self._port} {chance}",
            ]
        )

    def count(self) -> None:
        """Count what comes here for central's port, and answer that nobody is there."""
        self._rule([f"input tcp dport {self._port} counter reject with tcp reset"])

    def counted(self) -> int:
        """How many packets there were."""
        told = subprocess.run(
            self.command("nft", "-j", "list", "table", "inet", _RULES),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        return sum(int(number) for number in re.findall(r'"packets": (\d+)', told))

    def heal(self) -> None:
        """Packets pass again."""
        self._rule([])

    def narrow(self, kbit: int) -> None:
        """The link carries so many kilobits a second each way; never undone."""
        shape = ("tbf", "rate", f"{kbit}kbit", "burst", "4kb", "latency", "2000ms")
        self.run("tc", "qdisc", "replace", "dev", "eth0", "root", *shape)
        run("tc", "qdisc", "replace", "dev", self._outside, "root", *shape)

    def _rule(self, rules: list[str]) -> None:
        lines = [f"table inet {_RULES}", f"delete table inet {_RULES}", f"table inet {_RULES} {{"]
        for chain in ("input", "output"):
            lines.append(f"chain {chain} {{ type filter hook {chain} priority 0;")
            lines += [rule.removeprefix(chain) for rule in rules if rule.startswith(chain)]
            lines.append("}")
        lines.append("}")
        subprocess.run(
            self.command("nft", "-f", "-"), input="\n".join(lines), text=True, check=True
        )


def make_bridge() -> None:
    """The street that all hosts stand on; central is at its head."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where an ordinary user does not look
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    # A bridge without an address of its own takes another's whenever a host comes.
    run("ip", "link", "add", "name", BRIDGE, "address", _BRIDGE_MAC, "type", "bridge")
    for address in (CENTRAL, TILLS):
        run("ip", "address", "add", f"{address}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def run(*words: str) -> None:
    """Run a command to its end."""
    subprocess.run(words, check=True)
