"""What a hub announces: ``_kopilka-hub._tcp.local.``, its port, and nothing about the shop."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

import ifaddr

SERVICE_TYPE: Final = "_kopilka-hub._tcp.local."
VERSION: Final = "1"


def instance_of(edge_id: int) -> str:
    """The full name of a hub's announcement."""
    return f"kopilka-{edge_id}.{SERVICE_TYPE}"


def own_addresses(listen_host: str) -> list[str]:
    """Where this machine can be reached by others when it listens at ``listen_host``."""
    try:
        listened = ipaddress.ip_address(listen_host)
    except ValueError:
        listened = None
    if listened is not None and not listened.is_unspecified:
        return [str(listened)]
    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            address = ipaddress.ip_address(each.ip if isinstance(each.ip, str) else each.ip[0])
            # An IPv6 address of the link alone is of no use without the name of the link.
            if not address.is_loopback and not (address.version == 6 and address.is_link_local):
                found.append(str(address))
    return sorted(set(found), key=lambda text: (":" in text, text))


def urls_of(addresses: Sequence[str], port: int | None) -> list[str]:
    """The addresses of an announcement as tills ask them; nothing where it makes no sense."""
    if port is None or not 0 < port < 65_536:
        return []
    urls = []
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if address.is_unspecified or address.is_multicast:
            continue
        urls.append(
            f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
        )
    return urls
