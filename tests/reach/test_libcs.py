"""What boardprobe asks of the C library is in all three: run with musl and uClibc, against a STUN server of ours.

OpenSSL is made for none of these here, so the parts with it are compiled by the recipe only.
"""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import pytest

from deploy.signaling import stun
from recipes import paths
from recipes.engine.confinement import Rights
from recipes.engine.container import Job
from recipes.engine.docker import Engine
from tests.corpus.targets import HERE, MUSL, UCLIBC, Target

pytestmark = [pytest.mark.engine, pytest.mark.slow]
_MAIN = """
#include "stun.h"
int tls_trust(const char *ca_file) { (void)ca_file; return -1; }
void reach_tls(const struct endpoint *asked, struct outcome *seen) {
    int line = dial(&asked->servers[0], seen);
    if (line != -1) { outcome_state(seen, "connected"); }
}
void reach_turn(const struct endpoint *asked, struct outcome *seen) { (void)asked; outcome_state(seen, "none"); }
int main(void) { return probe_reach(); }
"""
_SERVER = """
import asyncio, stun
async def serve():
    await stun.serve_stun("127.0.0.1", 3478)
    await asyncio.start_server(lambda *_: None, "127.0.0.1", 3478)
    print("ready", flush=True)
    await asyncio.sleep(120)
asyncio.run(serve())
"""
_LINES = """seconds 8
stun e0 localhost 3478
nat e1 127.0.0.1 3478
tls e2 127.0.0.1 3478
tls e3 127.0.0.1 9
tls e4 no.such.name.invalid 443
stun e5 127.0.0.1 9
"""
_RUN = """
python3 serve.py > ready & server=$!
while ! grep -q ready ready; do kill -0 $server; sleep 0.1; done
{runner} ./reach < lines > told
kill $server
cat told
"""


@pytest.mark.parametrize("target", [MUSL, *UCLIBC[:2]], ids=lambda target: target.name)
def test_endpoints_are_asked_with_every_c_library(engine: Engine, target: Target) -> None:
    sources = paths.CATALOG / "boardprobe" / "src"
    names = ("reach.c", "reach.h", "stun.c", "stun.h", "nat.c", "report.c", "report.h")
    files = {name: ((sources / name).read_bytes(), 0o644) for name in names}
    files |= {
        "main.c": (_MAIN.encode(), 0o644),
        "lines": (_LINES.encode(), 0o644),
        "serve.py": (_SERVER.encode(), 0o644),
        "stun.py": (Path(stun.__file__).read_bytes(), 0o644),
    }
    build = f"{shlex.join(target.compiler)} -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -o reach"
    script = f"set -eu\n{build} main.c reach.c stun.c nat.c report.c\n{_RUN.format(runner=shlex.join(target.runner))}"
    log = io.BytesIO()
    job = Job(image=target.image(engine), environment={"LC_ALL": "C"}, rights=Rights.PACKAGES, cwd=HERE)
    with engine.session(job) as session:
        session.put(HERE, files)
        code = session.run(["sh", "-c", script], log=log)
    said = log.getvalue().decode("utf-8", "replace")
    assert code == 0, said
    rows = {row["name"]: row for row in json.loads(said[said.index('{"clock"') :])["endpoints"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "e0": "ok", "e1": "ok", "e2": "connected", "e3": "refused", "e4": "dns", "e5": "refused",
    }  # fmt: skip
    assert rows["e0"]["mapped"].startswith("127.0.0.1:")
    assert rows["e1"]["mapping"] == "none"
