"""Runs in a container of its own address: opens port 443 there, and hands the open sockets to the service.

The service is a process of an ordinary user, who may not open ports below 1024 nor have an address of his own on the
boards' network. A socket that is handed over stays in the network that it was opened in.
https://man7.org/linux/man-pages/man7/unix.7.html (SCM_RIGHTS)

Arguments: the address to listen on, and the path of the Unix socket to hand over at.
"""

import contextlib
import os
import signal
import socket
import sys

address, path = sys.argv[1:3]
stream = socket.create_server((address, 443), backlog=128)
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind((address, 443))
with contextlib.suppress(FileNotFoundError):
    os.unlink(path)  # noqa: PTH108 - a container's python3-minimal has no pathlib
hand = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
hand.bind(path)
os.chmod(path, 0o666)  # noqa: S103, PTH101 - the folder around it is its owner's only
hand.listen(4)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    link, _ = hand.accept()
    with link, contextlib.suppress(OSError):
        socket.send_fds(link, [b"443"], [stream.fileno(), datagrams.fileno()])
