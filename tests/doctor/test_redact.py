"""No secret is in what is shown of a log: plain, in addresses, in base64, in hex dumps, over several lines."""

from __future__ import annotations

import base64
import json
import re
import string
import time
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from deploy.doctor.hexdumps import read_dump_line
from deploy.doctor.redact import READ, SHOWN, Redactor, redacted, redacted_lines
from deploy.launch.statuscodes import symptom_of_line
from recipes.config import is_one_line
from tests.support.streamlogs import SYMPTOMS

KEY_ID = "AKIAEXAMPLE000000000"
KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3Qt"

ascii_word = st.text(string.ascii_letters + string.digits + "/+=._~!$*-", min_size=6, max_size=60)
password = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\"'\\"), min_size=6, max_size=30
)


def lws_dump(raw: bytes, before: str = "[2026/11/27 04:00:05:1986] N: ") -> str:
    """Return bytes as libwebsockets prints them."""
    lines = []
    for at in range(0, len(raw), 16):
        part = raw[at : at + 16]
        digits = "".join(f"{byte:02X} " for byte in part)
        lines.append(f"{before}{at:04X}: {digits:<51}{letters(part)}")
    return "\n".join(lines)


def xxd(raw: bytes) -> str:
    """Return bytes as xxd prints them."""
    lines = []
    for at in range(0, len(raw), 16):
        part = raw[at : at + 16]
        pairs = " ".join(part[pair : pair + 2].hex() for pair in range(0, len(part), 2))
        lines.append(f"{at:08x}: {pairs:<41}{letters(part)}")
    return "\n".join(lines)


def hexdump(raw: bytes) -> str:
    """Return bytes as `hexdump -C` prints them."""
    lines = []
    for at in range(0, len(raw), 16):
        part = raw[at : at + 16]
        halves = "  ".join(" ".join(f"{byte:02x}" for byte in half) for half in (part[:8], part[8:]) if half)
        lines.append(f"{at:08x}  {halves:<50}|{letters(part)}|")
    return "\n".join(lines)


def letters(raw: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in raw)


WIDTHS: dict[Callable[[bytes], str], int] = {lws_dump: 51, xxd: 40, hexdump: 50}


def bytes_shown(lines: list[str], width: int = 51) -> str:
    """Return what a reader of the hexadecimal column reads, with a mark for each byte that is hidden."""
    out = []
    for line in lines:
        column = re.sub(r"^.*?[0-9A-Fa-f]{4,8}(?::|  )", "", line)[:width]
        out += ["\0" if pair == "**" else chr(int(pair, 16)) for pair in re.findall(r"\*\*|[0-9A-Fa-f]{2}", column)]
    return "".join(out)


PLACES: dict[str, Callable[[str], str]] = {
    "json": lambda secret: json.dumps({"credentials": {"secretAccessKey": secret, "expiration": "2026"}}),
    "escaped json": lambda secret: json.dumps(json.dumps({"sessionToken": secret})),
    "spaced json": lambda secret: json.dumps({"Uris": ["turn:1.2.3.4"], "Password": secret, "Ttl": 300}, indent=1),
    "property": lambda secret: f"kvssink stream-name=a secret-key={secret} aws-region=eu-west-1",
    "quoted property": lambda secret: f'kvssink stream-name=a secret-key="{secret}" aws-region=eu-west-1',
    "environment": lambda secret: f"AWS_SECRET_ACCESS_KEY={secret}",
    "export": lambda secret: f"export AWS_SESSION_TOKEN='{secret}'",
    "header": lambda secret: f"x-amz-security-token: {secret}",
    "sdk's header": lambda secret: f"setRequestHeader(): Appending header to request: x-amz-security-token -> {secret}",
    "authorization": lambda secret: f"Authorization: AWS4-HMAC-SHA256 Credential=a/b, Signature={secret}",
    "digest": lambda secret: f'Authorization: Digest username="admin", response="{secret}"',
    "basic": lambda secret: f"Authorization: Basic {base64.b64encode(f'admin:{secret}'.encode()).decode()}",
    "presigned": lambda secret: (
        "wss://m-1.example.com/?" + urlencode({"X-Amz-Signature": secret, "X-Amz-Date": "2026"})
    ),
    "query": lambda secret: f"rtsp://cam/live?user=a&password={quote(secret, safe='')}&channel=1",
    "address": lambda secret: f"Opening rtsp://admin:{secret}@192.168.1.9:554/live for reading",
    "encoded json": lambda secret: f"body={quote(json.dumps({'secretAccessKey': secret}))}",
    "twice encoded": lambda secret: f"body={quote(quote(json.dumps({'secretAccessKey': secret})))}",
    "base64 of a header": lambda secret: base64.b64encode(f"Authorization: Bearer {secret}".encode()).decode(),
    "base64 of json": lambda secret: (
        "MessagePayload: " + base64.b64encode(json.dumps({"type": "x", "token": secret}).encode()).decode()
    ),
    "hexadecimal": lambda secret: f"body {json.dumps({'sessionToken': secret}).encode().hex()} end",
    "camera's query": lambda secret: f"http://cam/snap?user=a&pass={quote(secret, safe='')}&n=1",
    "wireless": lambda secret: f'network={{ ssid="x" psk="{secret}" }}',
    "cookie": lambda secret: f"Set-Cookie: id=1; session={secret}; path=/",
    "session description": lambda secret: f"a=ice-pwd:{secret}",
    "keys of a description": lambda secret: f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{secret}",
    "private key": lambda secret: (
        f"-----BEGIN RSA PRIVATE KEY-----\n{secret}\n{secret}\n-----END RSA PRIVATE KEY-----\n"
    ),
}


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("place", PLACES)
@given(secret=ascii_word)
def test_a_secret_is_not_shown(place: str, secret: str) -> None:
    assume(secret.strip("*.=") and len(set(secret)) > 3)
    line = PLACES[place](secret)
    shown = "\n".join(redacted(line))
    rest = line.replace(secret, "")
    if secret in rest or quote(secret, safe="") in rest:
        return  # a word of the line itself
    assert secret not in shown
    assert quote(secret, safe="") not in shown
    assert base64.b64encode(secret.encode()).decode()[: len(secret) // 3 * 4 - 4] not in shown
    assert secret.encode().hex() not in shown


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("dump", [lws_dump, xxd, hexdump])
@pytest.mark.parametrize(
    "place", ["json", "header", "authorization", "address", "presigned", "private key", "environment"]
)
@given(secret=ascii_word, ahead=st.integers(0, 40))
def test_a_secret_is_not_in_a_hex_dump(place: str, dump: Callable[[bytes], str], secret: str, ahead: int) -> None:
    assume(len(set(secret)) > 3)
    text = f"{'x' * ahead}\r\n{PLACES[place](secret)}\r\nend of it"
    raw = text.encode()
    lines = redacted(dump(raw))
    assert len(lines) == len(dump(raw).split("\n"))
    seen = bytes_shown(lines, WIDTHS[dump])
    assert len(seen) == len(raw)
    spelled = quote(secret, safe="") if place == "presigned" else secret
    start = text.index(spelled)
    while start >= 0:
        part = seen[start : start + len(spelled)]
        assert set(part) <= {"\0"} or spelled in PLACES[place](""), (part, lines)
        start = text.find(spelled, start + 1)
    column = "".join(line[-18:] for line in lines)
    assert spelled[:16] not in column or spelled[:16] in f"{'x' * ahead}{PLACES[place]('')}"


@pytest.mark.hostile(kind="board")
@given(
    secret=password, form=st.sampled_from(["plain", "quote", "base64", "hex", "json", "dump"]), pad=st.integers(0, 20)
)
def test_a_secret_that_is_given_is_nowhere(secret: str, form: str, pad: int) -> None:
    assume(len(set(secret)) > 3)
    before = "." * pad
    forms: dict[str, Callable[[str], str]] = {
        "plain": lambda text: text,
        "quote": lambda text: quote(text, safe=""),
        "base64": lambda text: base64.b64encode(text.encode()).decode(),
        "hex": lambda text: text.encode().hex(),
        "json": json.dumps,
        "dump": lambda text: lws_dump(text.encode()),
    }
    line = forms[form](f"{before}{secret}. and more")
    lines = redacted(line, [secret])
    if form == "dump":
        assert set(bytes_shown(lines)[pad : pad + len(secret)]) == {"\0"}
        return
    opened = {"base64": lambda text: base64.b64decode(text + "=="), "hex": bytes.fromhex}.get(form)
    shown = "\n".join(lines)
    assert secret not in shown
    assert quote(secret, safe="") not in shown
    if opened and "*" not in shown:
        assert secret.encode() not in opened(shown)


def test_what_is_no_secret_stays() -> None:
    kept = [
        "SDK version: 8867047d8d8f56645009ed73788a57f0a6107772",
        "open http://192.168.1.9:8080/x, or http://[fe80::1]:80/ by hand",
        "Refreshing credentials. Force refreshing: 0 Now time is: 1674487277767060917 Expiration: 0",
        "putKinesisVideoFrame(): Failed to submit frame to Kinesis Video client. status: 0x5200002e",
        "/opt/boardcast/releases/3fa9/lib/libKinesisVideoProducer.so: undefined symbol: _ZN4com9amazonaws",
        "credential-path: .kvs/credential",
        "libcrypto.so.3: cannot open shared object file: No such file or directory",
        "boardstream: front: give-up: /etc/boardcast/front.password: is open to every user: chmod 600",
        "passed: 3, passthrough=1",
        '{"EventType":"PERSISTED","FragmentNumber":"91343852333180000000000000000001795731812402000"}',
        "2026-11-27 04:00:05 [140376197571520] DEBUG - postReadCallback(): Wrote 16372 bytes",
    ]
    assert redacted("\n".join(kept)) == kept


def test_what_a_log_shows_is_still_there() -> None:
    """The doctor reads what is left: no line of a symptom may lose what makes it one."""
    for name, lines in SYMPTOMS.items():
        for line in lines:
            (shown,) = redacted(line)
            symptom = symptom_of_line(shown)
            assert symptom is not None, shown
            assert symptom.name == name


def test_a_presigned_address_keeps_its_host_and_date() -> None:
    line = f"wss://m-1.example.com/?X-Amz-Credential={KEY_ID}%2F20261127&X-Amz-Date=20261127T0400Z&X-Amz-Signature=ab12"
    assert redacted(line) == [
        "wss://m-1.example.com/?X-Amz-Credential=***&X-Amz-Date=20261127T0400Z&X-Amz-Signature=***"
    ]


def test_a_dump_keeps_what_is_no_secret() -> None:
    raw = json.dumps({"credentials": {"accessKeyId": KEY_ID, "expiration": "2026-11-27T05:00:00Z"}}).encode()
    seen = bytes_shown(redacted(lws_dump(raw)))
    assert seen.replace("\0", "") == raw.decode().replace(KEY_ID, "")


def test_a_bare_key_or_token_is_known_by_its_form() -> None:
    for word in (KEY_ID, KEY, TOKEN, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"):
        assert redacted(f"what is {word} doing here") == ["what is *** doing here"]


@pytest.mark.hostile(kind="board")
def test_a_password_with_everything_in_it() -> None:
    for secret in ("p@ss/w:rd", "a&b=c;d", "pa ss", "#1?x", "%41%42", "ü&ö"):
        shown = redacted(f"source: rtsp://admin:{secret}@cam:554/live failed")[0]
        assert "cam:554/live failed" in shown
        assert not any(part in shown for part in (secret, "w:rd", "ss@", "b=c"))


@pytest.mark.hostile(kind="board")
def test_a_private_key_is_no_line_at_all() -> None:
    body = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7"] * 20)
    log = f"before\nkey: -----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY----- and\nafter"
    shown = redacted(log)
    assert shown[0] == "before"
    assert shown[-1] == "after"
    assert not any("MII" in line or "BAQEF" in line for line in shown)
    one_line = log.replace("\n", "\\n")
    assert "MII" not in redacted(one_line)[0]
    assert not any("MII" in line for line in redacted(body)), "the tail of a log may begin within a key"


@pytest.mark.hostile(kind="board")
def test_a_key_that_does_not_end_hides_no_whole_log() -> None:
    log = ["-----BEGIN PRIVATE KEY-----", *(f"line {number}" for number in range(1000))]
    assert redacted("\n".join(log))[-1] == "line 999"


@pytest.mark.hostile(kind="board")
def test_lines_of_others_within_a_dump() -> None:
    """Another thread writes while one prints a dump: the secret goes on behind its line."""
    dump = lws_dump(json.dumps({"sessionToken": TOKEN * 3, "x": "y"}).encode()).split("\n")
    mixed = [part for line in dump for part in (line, "2026-11-27 04:00:05.1 DEBUG Client is writable")]
    lines = redacted("\n".join(mixed))
    assert len(lines) == len(mixed)
    seen = bytes_shown([line for line in lines if "writable" not in line])
    assert seen == '{"sessionToken": "' + "\0" * len(TOKEN * 3) + '", "x": "y"}'


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize("word", [KEY_ID, KEY])
@pytest.mark.parametrize("place", range(8192 - 24, 8192 + 40, 5))
def test_a_dump_is_looked_at_up_to_a_bound_and_hidden_behind(place: int, word: str) -> None:
    raw = b"." * place + word.encode() + b" and what follows" + b"." * 600
    seen = bytes_shown(redacted(lws_dump(raw)))
    assert len(seen) == len(raw)
    assert set(seen[place + 12 : place + len(word)]) == {"\0"}
    assert "\0" in seen[place : place + 12] or place + 12 > 8192
    assert set(seen[8192:]) == {"\0"}
    assert set(seen[: min(place, 8192) - 16]) == {"."}


@pytest.mark.hostile(kind="board")
def test_a_line_of_very_many_keys_is_hidden_from_there() -> None:
    assert redacted("pw=a1 " * 250 + "the end")[0].endswith("***")
    assert redacted("pw=a1 " * 90 + "the end")[0].endswith("*** the end")
    assert redacted("://u:p@h " * 250 + "the end")[0].endswith("***")


@pytest.mark.parametrize("before", range(6))
def test_a_secret_that_is_given_is_found_within_base64(before: int) -> None:
    """Bytes that are no text around it: nothing to read but the secret's own letters."""
    secret = "horse battery"
    raw = b"\xff\x00\xfe\x01\x80\x90"[:before] + secret.encode() + b"\x80\x90\xa0"
    word = base64.b64encode(raw).decode()
    shown = redacted(f"data {word} end", [secret])[0]
    first, last = before * 4 // 3 + 2, (before + len(secret)) * 4 // 3 - 2
    assert "***" in shown
    assert not any(word[at : at + 4] in shown for at in range(first, last - 3))


@pytest.mark.hostile(kind="board")
def test_a_dump_whose_beginning_is_not_there_is_hidden() -> None:
    """The tail of a log may begin behind the key that says what it is."""
    dump = lws_dump(json.dumps({"x": "y", "sessionToken": "not-so-random-at-all"}).encode()).split("\n")
    assert set(bytes_shown(redacted("\n".join(dump[2:])))) == {"\0"}
    assert redacted("\n".join([*dump[2:], "more", lws_dump(b"hello, world")]))[-2:] == [
        "more",
        lws_dump(b"hello, world"),
    ]


def test_lines_come_as_they_are_known() -> None:
    """As `logs -f` needs it: a plain line at once, a dump's lines when the window is full or nothing follows."""
    redactor = Redactor()
    assert redactor.feed(b"a line\n") == ["a line"]
    dump = lws_dump(b"hello, world; " * 100).split("\n")
    given = [redactor.feed(line) for line in dump]
    assert max(map(len, given)) < 40
    assert sum(map(len, given)) >= len(dump) - 32
    rest = redactor.flush()
    assert [*(line for part in given for line in part), *rest] == dump
    assert redactor.flush() == []
    assert list(redacted_lines(iter(["x", "password=abcdef"]))) == ["x", "password=***"]


@pytest.mark.hostile(kind="board")
def test_a_value_that_a_logger_has_cut_goes_on() -> None:
    """A logger cuts long messages: the rest of a token is the next line, with the logger's own words before it."""
    token = (TOKEN * 30)[:1400]
    lines = redacted(f"x-amz-security-token -> {token[:900]}\nNov 27 04:00:05 cam kvs: {token[900:930]} next")
    assert lines == ["x-amz-security-token -> ***", "Nov 27 04:00:05 cam kvs: *** next"]


@pytest.mark.hostile(kind="board")
def test_nothing_of_a_line_acts_and_all_is_bounded() -> None:
    (line,) = redacted("\x1b[31mred\x1b[0m \x1b]0;title\x07 password=\x1b[1mabcdef\x1b[0m \u202e" + "y" * 5000)
    assert "abcdef" not in line
    assert line.isprintable()
    assert len(line) < SHOWN + 60
    for whole in (b"\xff\xfe\x00" * 100, "z" * (READ * 4)):
        assert all(part.isprintable() and len(part) < SHOWN + 60 for part in redacted(whole))
    assert redacted("x" * (READ - 6) + " password=" + "s" * 40) == redacted("x" * (READ - 6) + " …")


@pytest.mark.hostile(kind="board")
@given(st.text(), st.booleans())
def test_any_text_has_its_lines_and_hiding_twice_changes_nothing(text: str, more: bool) -> None:
    log = f"{text}\npassword=abc" if more else text
    lines = redacted(log)
    assert all(is_one_line(line.replace("\t", " ")) for line in lines)
    assert not "".join(lines) or redacted("\n".join(lines)) == lines or "\\x" in "".join(lines)


@pytest.mark.hostile(kind="board")
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "%41",
        "://",
        "://a:",
        "password=",
        'token:"',
        "A1a",
        '"',
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "0000: ",
        "00 ",
        "=>",
        "{[",
    ],
)
def test_no_line_takes_long(unit: str) -> None:
    began = time.process_time()
    redacted("\n".join([unit * (READ // len(unit))] * 4))
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-27 04:00:05 [140376197571520] DEBUG - x",
        "[2026/11/27 04:00:05:1986] N: lws_create_context",
        "[2026/11/27 04:00:05:1986] N: 0000: no bytes",
        "codec data 0142c01e ffe1001b and more",
        "sizes 1024 20 30",
        "",
    ],
)
def test_what_is_no_dump_is_none(line: str) -> None:
    assert read_dump_line(line) is None


@example(raw=b" ", dump=lws_dump)
@example(raw=b"   ", dump=hexdump)
@given(st.binary(min_size=1, max_size=16), st.sampled_from([lws_dump, xxd, hexdump]))
def test_a_line_of_a_dump_is_read_as_what_it_shows(raw: bytes, dump: Callable[[bytes], str]) -> None:
    read = read_dump_line(dump(raw))
    assert read is not None
    assert (read.raw, read.offset) == (raw, 0)
    assert read.without(range(len(raw))).count("**") >= len(raw)
