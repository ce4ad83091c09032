"""The element named kvssink that is kvsclient: what it sends, how it ends, and what it does about faults."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from pathlib import Path

import pytest

from deploy.kvs.keys import Key
from deploy.media.codecs import describe
from deploy.media.matroska import parse_cluster, parse_header
from deploy.media.model import TrackKind
from deploy.media.pictures import is_black, same, still
from tests.support.kvsclient import STREAM, Place
from tests.support.kvselement import TONE, Element, camera, sink
from tests.support.localservice import REGION, local_service
from tests.support.putmedia import IOT_HOST, KEY, SECRET, Service

pytestmark = [pytest.mark.process, pytest.mark.loopback, pytest.mark.engine]


def test_it_has_what_the_fake_one_has(element: Element, service: Service) -> None:
    """Pads, properties with defaults, signals: one design, so the tests with the fake one hold for this one."""

    def told(plugins: Path) -> list[str]:
        environment = {**element.environment(service), "GST_PLUGIN_PATH": str(plugins)}
        environment["GST_REGISTRY"] = str(element.folder / f"{plugins.name}.bin")
        ran = subprocess.run(
            ["gst-inspect-1.0", "kvssink"], env=environment, capture_output=True, text=True, check=True
        )
        return [
            re.sub(r"(?i)kvssink[\w-]*", "", line) for line in ran.stdout.partition("Pad Templates:")[2].splitlines()
        ]

    ours, fake = told(element.plugins), told(element.plugins.parent / "test-plugins")
    both = "\n".join(ours)
    assert all(f'"{signal}"' in both for signal in ("stream-error", "fragment-ack", "stream-client-metric"))
    for name in ("fault", "dump"):  # the fake one's own, with two lines behind it
        at = next(at for at, line in enumerate(fake) if re.match(rf"\s+{name}\s", line))
        del fake[at : at + 3]
    assert ours == fake


def test_pictures_and_sound_are_confirmed_to_the_last_fragment(element: Element, service: Service) -> None:
    ran = element.ran(
        service, f"{camera(3)} ! {sink()} {TONE}".replace("is-live=true !", "is-live=true num-buffers=130 !")
    )
    assert ran.code == 0, ran.said
    assert ran.fragments == (3, 3, 0, 0)
    assert service.paths == ["/describeStream", "/getDataEndpoint", "/putMedia"]
    (upload,) = service.uploads
    assert upload.ended
    assert all(900 <= later - one <= 1100 for one, later in itertools.pairwise(service.persisted))
    assert b"AWS_KINESISVIDEO_END_OF_FRAGMENT" in upload.body
    headers = dict(upload.call.headers)
    assert headers["x-amzn-stream-name"] == STREAM
    assert headers["user-agent"].startswith("AWS-SDK-KVS-CPP-CLIENT/3.4.1/1.5.1 ")


def test_an_interrupt_closes_what_is_open(element: Element, service: Service) -> None:
    ran = element.ran(service, f"{camera()} ! {sink()}", interrupt=3.5)
    assert (ran.code, ran.seconds < 8) == (0, True), ran.said
    begun, confirmed, *_ = ran.fragments
    assert begun == confirmed >= 2
    assert service.uploads[0].ended


def test_a_connection_that_is_cut_loses_nothing(element: Element, service: Service) -> None:
    service.plan = lambda connection, fragment: "drop" if (connection, fragment) == (1, 2) else ""
    ran = element.ran(service, f"{camera(4)} ! {sink()}")
    assert ran.code == 0, ran.said
    assert ran.fragments[:3] == (4, 4, 0)
    assert service.persisted == sorted(set(service.persisted))
    assert service.uploads[1].fragments.timecodes[0] == service.uploads[0].fragments.timecodes[1]


@pytest.mark.parametrize(("fault", "status"), [("error=4010", "0x5200007c"), ("error=4500", "0x52000065")])
def test_an_error_that_no_restart_cures_ends_it_in_the_sdks_words(
    element: Element, service: Service, fault: str, status: str
) -> None:
    service.plan = lambda _connection, fragment: fault if fragment == 2 else ""
    ran = element.ran(service, f"{camera(30)} ! {sink()}")
    assert (ran.code, ran.seconds < 10) == (1, True), ran.said
    assert f"[{STREAM}] Stream error occurred. Status: {status}" in ran.said


def test_without_a_restart_the_first_cut_is_an_error(element: Element, service: Service) -> None:
    service.plan = lambda _connection, fragment: "drop" if fragment == 2 else ""
    ran = element.ran(service, f"{camera(30)} ! {sink('restart-on-error=false')}")
    assert (ran.code, len(service.uploads)) == (1, 1), ran.said
    assert "Stream error occurred. Status: 0x" in ran.said


def test_a_last_ack_that_does_not_come_is_waited_for_so_long_and_no_longer(element: Element, service: Service) -> None:
    service.plan = lambda _connection, fragment: "stall" if fragment == 2 else ""
    ran = element.ran(service, f"{camera(2)} ! {sink('stop-stream-timeout=2')}")
    assert (ran.code, ran.seconds < 12) == (1, True), ran.said
    assert "the last fragment was not confirmed in time" in ran.said


@pytest.mark.parametrize(
    ("more", "environment", "told"),
    [
        (
            "allow-create-stream=false stream-name=nobody",
            None,
            "Kinesis Video stream. nobody Error status: 0x52000017",
        ),
        ("", {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "wrong"}, "Error status: 0x52000010"),
        ("", {}, "Error status: 0x52000010"),
        ("stream-name=a/b", None, "stream-name has letters"),
        ("iot-certificate=iot-certificate,endpoint=x", None, "Failed to parse Iot credentials"),
    ],
)
def test_what_cannot_begin_says_why(
    element: Element, service: Service, more: str, environment: dict[str, str] | None, told: str
) -> None:
    ran = element.ran(service, f"{camera(2)} ! {sink(more)}", environment)
    assert ran.code != 0, ran.said
    assert told in ran.said
    assert service.uploads == []


def test_keys_come_from_properties_a_file_or_a_certificate(element: Element, service: Service) -> None:
    file = element.folder / "credential"
    file.write_text(f"CREDENTIALS {KEY} 2100-01-01T00:00:00Z {SECRET} token\n")
    iot = (
        f"iot-certificate=iot-certificate,endpoint={IOT_HOST},cert-path={service.certificate},"
        f"key-path={service.key},ca-path={service.ca},role-aliases=cam-role"
    )
    for more in (f"access-key={KEY} secret-key={SECRET}", f"credential-path={file}", iot):
        ran = element.ran(service, f"{camera(1)} ! {sink(more)}", {})
        assert ran.code == 0, ran.said
        assert SECRET not in ran.said
    assert len(service.uploads) == 3
    assert "/role-aliases/cam-role/credentials" in service.paths


def test_a_missing_stream_is_made_with_its_tags(element: Element, service: Service) -> None:
    service.streams.clear()
    ran = element.ran(service, f"{camera(1)} ! {sink('retention-period=5 stream-tags=tags,place=door')}")
    assert ran.code == 0, ran.said
    (made,) = [json.loads(call.body) for call in service.calls if call.path == "/createStream"]
    assert (made["DataRetentionInHours"], made["MediaType"], made["Tags"]) == (5, "video/h264", {"place": "door"})


def test_a_file_is_not_faster_than_the_store(element: Element, service: Service) -> None:
    """Thirty seconds of pictures that come at once, through a store of one MB: offline waits, and leaves none out."""
    noise = (
        camera(30, live=False)
        .replace("pattern=ball", "pattern=snow")
        .replace("width=64,height=48", "width=320,height=240")
    )
    ran = element.ran(service, f"{noise} ! {sink('streaming-type=offline storage-size=1')}")
    assert ran.code == 0, ran.said
    assert ran.fragments[:3] == (30, 30, 0)
    assert sum(len(upload.body) for upload in service.uploads) > 3 << 20, "the store would have been full"


def test_two_of_them_in_one_process(element: Element, service: Service) -> None:
    service.streams.add("second")
    second = "kvssink name=two stream-name=second storage-size=16"
    ran = element.ran(service, f"{camera(2)} ! tee name=t ! queue ! {sink()} t. ! queue ! {second}")
    assert ran.code == 0, ran.said
    names = {dict(upload.call.headers)["x-amzn-stream-name"] for upload in service.uploads}
    assert names == {STREAM, "second"}
    assert ran.said.count("end: 2 fragments, 2 confirmed") == 2


def test_the_local_service_keeps_pictures_that_move(element: Element, tmp_path: Path) -> None:
    with local_service(tmp_path / "service") as served:
        served.service.store.keys.add(Key(KEY, SECRET))
        place = Place(f"127.0.0.1:{served.tls_port}", served.authority.certificate)
        ran = element.ran(place, f"{camera(3)} ! {sink()}")
        assert ran.code == 0, ran.said
        store = served.service.store
        fragments = store.fragments.select(store.streams.find(name=STREAM, region=REGION))
        assert len(fragments) == ran.fragments[1] == 3
        header = parse_header(store.fragments.header(fragments[0]))
        video = header.track(TrackKind.VIDEO)
        assert video
        pictures = [
            still(video, describe(video), parse_cluster(store.fragments.data(one), header).frames)
            for one in (fragments[0], fragments[-1])
        ]
        assert not any(map(is_black, pictures))
        assert not same(*pictures)
