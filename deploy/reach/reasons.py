"""Why an endpoint is not reached: the state, what it means, and what to do. One table."""

from __future__ import annotations

from deploy.cloud.reasons import Reason, Side

REASONS: dict[str, Reason] = {
    "dns": Reason(
        side=Side.BOARD,
        cause="its name is not found: no name server, one that does not answer, or a region that is none",
        next_step="on the board: cat /etc/resolv.conf; nslookup NAME; then `region` in the board's file",
    ),
    "refused": Reason(
        side=Side.BOARD,
        cause="the connection is refused: a firewall says no, or the address is of another machine",
        next_step="let the board out to *.kinesisvideo.REGION.amazonaws.com, TCP port 443",
    ),
    "timeout": Reason(
        side=Side.BOARD,
        cause="nothing answers: a firewall drops what is sent, or there is no way out",
        next_step="let the board out to *.kinesisvideo.REGION.amazonaws.com, TCP port 443; on the board: ip route",
    ),
    "unreachable": Reason(
        side=Side.BOARD,
        cause="there is no route to it",
        next_step="on the board: ip route has to show a default route; its DHCP or its static address is wrong",
    ),
    "forbidden": Reason(
        side=Side.BOARD,
        cause="the board's own firewall forbids it",
        next_step="on the board: nft list ruleset, or iptables -S",
    ),
    "reset": Reason(
        side=Side.BOARD,
        cause="the connection is cut in the handshake: a firewall that looks at names, or a proxy in the way",
        next_step="take *.kinesisvideo.REGION.amazonaws.com out of what the firewall inspects",
    ),
    "not-tls": Reason(
        side=Side.BOARD,
        cause="what answers does not speak TLS: a captive portal or a proxy",
        next_step="log the board in at the portal, or use another network",
    ),
    "handshake": Reason(
        side=Side.BOARD,
        cause="TLS finds no common version or cipher: an old OpenSSL on the board, or a proxy in the way",
        next_step='[policy] openssl = "source" in the board\'s file, then invoke up --host HOST',
    ),
    "ca": Reason(
        side=Side.BOARD,
        cause="CA unknown: no authority in the board's CA file vouches for the certificate; "
        "the file is too old, or something on the way opens TLS",
        next_step="put the authorities of https://www.amazontrust.com/repository/ into the board's CA file; "
        "of the local service: invoke kvs attach --host HOST",
    ),
    "ca-file": Reason(
        side=Side.BOARD,
        cause="the CA file is not there, or holds no certificate: everything is refused without one",
        next_step="bring one to the board, and name it: [environment] ca_file in the board's file",
    ),
    "expired": Reason(
        side=Side.SERVICE,
        cause="the certificate has expired",
        next_step="date -u on the board; of the local service: invoke kvs down, then invoke kvs up",
    ),
    "clock": Reason(
        side=Side.BOARD,
        cause="the board's clock is wrong: certificates are judged by it, and AWS refuses what is signed more than "
        "5 minutes off",
        next_step="set it on the board and let it use NTP: ntpd -q, or chronyc makestep",
    ),
    "name": Reason(
        side=Side.BOARD,
        cause="the certificate is for another host name: the name leads to a wrong address, or a proxy answers",
        next_step="on the board: nslookup NAME, and look for NAME in its /etc/hosts",
    ),
    "certificate": Reason(
        side=Side.BOARD,
        cause="the certificate is refused",
        next_step="on the board: openssl s_client -connect NAME:443 -CAfile FILE",
    ),
    "no-udp": Reason(
        side=Side.BOARD,
        cause="nothing comes back by UDP: a firewall lets only TCP through",
        next_step="let the board out to UDP port PORT of NAME; viewers need TURN over TCP without it",
    ),
    "login": Reason(
        side=Side.SERVICE,
        cause="the TURN server does not take the name and password that the service gave for it",
        next_step="date -u here: the password is good for five minutes; of the local service: invoke kvs down, "
        "then invoke kvs up --turn",
    ),
    "full": Reason(
        side=Side.SERVICE,
        cause="the TURN server has no room for another allocation",
        next_step="the same command again in some minutes",
    ),
    "refuses": Reason(
        side=Side.SERVICE,
        cause="the TURN server gives no allocation",
        next_step="another region, or another TURN server",
    ),
    "failed": Reason(
        side=Side.BOARD,
        cause="it could not be asked",
        next_step="invoke doctor --host HOST",
    ),
}
"""By the state that boardprobe gives; NAME, FILE, REGION and HOST are filled in where they are known."""
_STATES = {
    "dns": "its name is not found",
    "refused": "refused",
    "timeout": "no answer",
    "unreachable": "no route",
    "forbidden": "forbidden by a firewall of its own",
    "reset": "cut in the handshake",
    "not-tls": "what answers does not speak TLS",
    "handshake": "no common TLS version or cipher",
    "ca": "CA unknown",
    "ca-file": "its CA file cannot be read",
    "expired": "expired",
    "early": "not yet valid",
    "name": "for another host name",
    "certificate": "refused",
    "failed": "it could not be asked",
    "no-udp": "no answer",
    "login": "the password is refused",
    "full": "no room",
    "refuses": "no allocation",
}
CERTIFICATE = frozenset({"ca", "ca-file", "expired", "early", "name", "certificate", "clock"})
"""States in which the server was reached, and its certificate or the clock is at fault."""


def in_words(state: str) -> str:
    """Return a state in words; one that nobody knows, as it is."""
    return _STATES.get(state, state)
