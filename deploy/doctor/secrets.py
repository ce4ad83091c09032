"""Where secrets are in a text: keys, tokens, passwords, signatures and private keys, plain or encoded. Pure.

A secret is known by what stands before it (`secretAccessKey`, `X-Amz-Signature=`, `Authorization:`, `rtsp://user:`), by
its form (an access key, a long random word), or because it was given. Too much is hidden rather than too little.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, unquote_plus

HIDDEN = "***"
Span = tuple[int, int]
"""From, up to: places in a text."""

_STEM = (
    r"secret|passw(?:or)?d|passphrase|passcode|pwd|token|signature|credential|authorization|api[-_ ]?key|"
    r"access[-_ ]?key|private[-_ ]?key|cookie|(?<![a-z])(?:pass|pw|psk|inline)(?![a-z])"
)
# What ends so tells about a secret, and is none: `credential-path`, `tokenExpiration`.
_ABOUT = r"(?!(?:[sS]?[-_. ]?(?:[pP]ath|[fF]ile|[eE]xpir|[lL]en|[tT]ype|[cC]ount|[tT]tl|[pP]rovider)))"
_BETWEEN = r"[\"'\\]{0,4}[ \t]{0,4}(?:=>|->|[:=]|%3[AaDd])[ \t]{0,4}"
_KEYED = re.compile(rf"(?P<key>(?i:{_STEM}){_ABOUT}[A-Za-z0-9_.-]{{0,40}}){_BETWEEN}(?P<quote>\\{{0,4}}[\"']|%22|%27)?")
_IN_QUERY = re.compile(r"(?:[?&]|%26|%3[Ff])[A-Za-z0-9_.-]{0,60}\Z")
_LINE_END = re.compile(r"[\r\n]|$")
_BARE_END = re.compile(r"[ \t\r\n]|$")
_QUERY_END = re.compile(r"[ \t\r\n&\"'<>]|$")
_AFTER_QUOTE = r"(?=[ \t\r\n,;:!})\]>&\"'\\]|$)"

_SCHEME = re.compile(r"\b(?:Basic|Bearer) {1,3}(?P<value>[A-Za-z0-9+/_.~-]{8,4096}={0,2})")
_KEY_ID = re.compile(r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)(?:[A-Z0-9]{8,128}|[A-Z0-9]{0,7}\Z)")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{10,8192}(?:[.][A-Za-z0-9_-]{1,8192}){0,3}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:.*?-----END [A-Z ]{0,40}-----|.*)", re.DOTALL)
_PORT = re.compile(r"(?:\[[0-9a-fA-F:.%]{2,60}\]|[^:/@ ]{0,256}):?[0-9]{0,5}(?=[/?#,;)\]}\"'> \t\r\n]|$)")
_RANDOM = re.compile(r"[A-Za-z0-9+/]{40,16384}={0,2}")
_RANDOM_CUT = re.compile(r"[A-Za-z0-9+/]{12,39}\Z")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,16384}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){12,8192}")
_WORD = re.compile(r"[^ \t\r\n\"'<>]{4,16384}")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ADDRESS = re.compile("://")
_MOST = 200
"""Keys or addresses of one text that are looked at; the rest of a text with more is hidden."""
_LAYERS = 3
"""How many encodings one within the other are opened."""


def secret_spans(text: str, given: Iterable[str] = (), *, cut: bool = False) -> list[Span]:
    """Return where secrets are in a text, in order, none within another.

    Parameters
    ----------
    given:
        Texts that are secrets, whatever stands around them; of fewer than 4 letters they are not looked for.
    cut:
        The text may go on behind its end: what may be the beginning of a secret there counts as one.
    """
    known = tuple(secret for secret in given if len(secret) >= 4)
    return merged([*_plain(text, known, cut=cut), *_encoded(text, known, _LAYERS)])


def hidden(text: str, spans: Iterable[Span]) -> str:
    """Return a text with `***` in place of each of its spans, which are in order."""
    parts, at = [], 0
    for start, end in spans:
        parts += [text[at:start], HIDDEN]
        at = end
    return "".join([*parts, text[at:]])


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that meet as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > start:
            found.append((start, end))
    return found


def _plain(text: str, known: tuple[str, ...], *, cut: bool) -> Iterator[Span]:
    found = [
        *_keyed(text),
        *(match.span("value") for match in _SCHEME.finditer(text)),
        *(match.span() for pattern in (_KEY_ID, _JWT, _PRIVATE_KEY) for match in pattern.finditer(text)),
        *_users(text, cut=cut),
        *(match.span() for match in _RANDOM.finditer(text) if _is_random(match[0])),
        *(span for secret in known for span in _given(text, secret, cut=cut)),
    ]
    if cut:
        begun = (match for match in _RANDOM_CUT.finditer(text) if match[0] not in (match[0].lower(), match[0].upper()))
        found += [match.span() for match in begun]
    return (span for span in found if text[slice(*span)].strip("\"'\\") not in {"", HIDDEN})


def _keyed(text: str) -> Iterator[Span]:
    """Yield the values of keys that name a secret: to the end of the line, the quotes, the parameter or the word."""
    for number, match in enumerate(_KEYED.finditer(text)):
        start, quote_mark = match.end(), match["quote"]
        if number == _MOST:
            yield match.start(), len(text)
            return
        if text[start : start + 1] in ("{", "[") and text[match.end("key") : start].startswith(('"', '\\"')):
            continue  # a structure of JSON; what is in it has keys of its own
        if text.startswith(": ", match.end("key")) and "/" in text[_word_start(text, match.start()) : match.start()]:
            continue  # the name of a file, and what is said of it
        if quote_mark:
            end = _end(_closing(quote_mark), text, start)
        elif match["key"].lower().startswith(("authorization", "cookie")):
            end = _end(_LINE_END, text, start)
        else:
            in_query = _IN_QUERY.search(text, max(0, match.start() - 64), match.start())
            end = _end(_QUERY_END if in_query else _BARE_END, text, start)
        yield start, end


def _word_start(text: str, at: int) -> int:
    return max(text.rfind(blank, max(0, at - 512), at) for blank in " \t\r\n") + 1


def _closing(mark: str) -> re.Pattern[str]:
    if mark.startswith("%"):
        return re.compile(rf"{mark}|[ \r\n]|\Z")
    return re.compile(rf"(?<!\\){re.escape(mark)}{_AFTER_QUOTE}|[\r\n]|\Z")


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.search(text, start)
    return found.start() if found else len(text)


def _users(text: str, *, cut: bool) -> Iterator[Span]:
    """Yield `user:password` of addresses, to the last @ of the word: passwords have @, slashes, blanks."""
    for number, match in enumerate(_ADDRESS.finditer(text)):
        start = match.end()
        if number == _MOST:
            yield start, len(text)
            return
        word = text[start : _end(_BARE_END, text, start)]
        authority = _PORT.match(text, start)
        if "@" in word:
            yield start, start + word.rindex("@")
        elif ":" in word and (not authority or (cut and authority.end() == len(text))):
            behind = text.find("@", start, start + 256)
            yield start, behind if 0 <= behind < _end(_LINE_END, text, start) else start + len(word)


def is_mixed(word: str) -> bool:
    """Tell whether a word has letters of both cases and digits, as random ones do."""
    kinds = (str.isupper, str.islower, str.isdigit)
    return all(any(kind(letter) for letter in word) for kind in kinds)


def _is_random(word: str) -> bool:
    """Tell a key or token from a path or a name: letters of both cases, digits, few slashes."""
    return is_mixed(word) and ("//" in word or word.count("/") * 12 <= len(word))


def _given(text: str, secret: str, *, cut: bool) -> Iterator[Span]:
    for form in _forms(secret):
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + 1)
        if cut:
            begun = next((size for size in range(len(form) - 1, 2, -1) if text.endswith(form[:size])), 0)
            yield len(text) - begun, len(text)


def _forms(secret: str) -> Iterator[str]:
    """Yield what a secret looks like in a log: as it is, in JSON, in addresses, in hexadecimal, within base64."""
    raw = secret.encode("utf-8", "surrogateescape")
    yield secret
    yield json.dumps(secret)[1:-1]
    yield raw.decode("latin-1")
    yield quote(secret, safe="", errors="surrogateescape")
    yield quote_plus(secret, errors="surrogateescape")
    yield raw.hex()
    yield raw.hex().upper()
    for shift in range(3):
        # The letters that do not depend on what is before and behind it.
        whole = base64.b64encode(bytes(shift) + raw).decode()
        inner = whole[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
        if len(inner) >= 4:
            yield inner
            yield inner.translate(str.maketrans("+/", "-_"))


def _encoded(text: str, known: tuple[str, ...], layers: int) -> Iterator[Span]:
    """Yield the words that have a secret in them once they are decoded."""
    if layers == 0:
        return
    for pattern, decode in ((_BASE64, _from_base64), (_HEX, _from_hex)):
        for match in pattern.finditer(text):
            opened = decode(match[0])
            if opened and (any(_plain(opened, known, cut=False)) or any(_encoded(opened, known, layers - 1))):
                yield match.span()
    for match in _WORD.finditer(text):
        if not _PERCENT.search(match[0]):
            continue
        # What is hidden in it already is no reason to hide its host and path too.
        word = hidden(match[0], merged(_plain(match[0], known, cut=False)))
        opened = unquote_plus(word)
        if opened != word and (any(_plain(opened, known, cut=False)) or any(_encoded(opened, known, layers - 1))):
            yield match.span()


def _from_base64(word: str) -> str:
    bare = word.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return _text(base64.b64decode(bare[: len(bare) - (len(bare) % 4 == 1)] + "=" * (-len(bare) % 4)))
    except (binascii.Error, ValueError):
        return ""


def _from_hex(word: str) -> str:
    return _text(bytes.fromhex(word))


def _text(raw: bytes) -> str:
    """Return bytes as text where they are one, else nothing."""
    printable = sum(0x20 <= byte < 0x7F or byte in b"\r\n\t" for byte in raw)
    return raw.decode("latin-1") if printable * 20 >= len(raw) * 19 else ""
