"""The control plane, asked by boto3: every answer has the shape of botocore's model, every error AWS's name."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, Shape, StructureShape

from deploy.localkvs import channels, streams
from tests.support.localservice import REGION, LocalService, local_service

pytestmark = pytest.mark.loopback


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    with local_service(tmp_path_factory.mktemp("kvs")) as service:
        yield service


@pytest.fixture(scope="module")
def client(served: LocalService) -> Iterator[Any]:
    made = served.client("kinesisvideo")
    made.meta.events.register("after-call.kinesisvideo", _in_shape)
    yield made
    made.close()


_KINDS = {"string": str, "integer": int, "long": int, "float": float, "double": float, "boolean": bool}


def _in_shape(parsed: dict[str, Any], model: Any, http_response: Any, **_: Any) -> None:
    """Check an answer as it came, before botocore drops what it does not know."""
    if http_response.status_code == 200:
        _fits(json.loads(http_response.content), model.output_shape, model.name)
    else:
        assert http_response.headers["x-amzn-ErrorType"] in {shape.name for shape in model.error_shapes}, parsed
        assert json.loads(http_response.content)["Message"]


def _fits(value: Any, shape: Shape | None, where: str) -> None:
    if isinstance(shape, StructureShape):
        assert isinstance(value, dict), where
        assert value.keys() <= shape.members.keys(), where
        assert set(shape.required_members) <= value.keys(), where
        for name, inside in value.items():
            _fits(inside, shape.members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape):
        for inside in value:
            _fits(inside, shape.member, where)
    elif isinstance(shape, MapShape):
        assert all(isinstance(name, str) and isinstance(inside, str) for name, inside in value.items()), where
    elif shape is not None and shape.type_name == "timestamp":
        assert isinstance(value, int | float), where
    elif shape is not None:
        assert isinstance(value, _KINDS[shape.type_name]), where
        if allowed := getattr(shape, "enum", None):
            assert value in allowed, where


def refused(code: str, call: Any, **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code


def test_every_call_of_ours_is_one_of_the_services(client: Any) -> None:
    paths = {
        client.meta.service_model.operation_model(name).http["requestUri"]
        for name in client.meta.service_model.operation_names
    }
    assert {f"/{path}" for path in (*streams.OPERATIONS, *channels.OPERATIONS)} <= paths


def test_a_stream_is_made_described_listed_changed_and_deleted(client: Any) -> None:
    made = client.create_stream(
        StreamName="door", DataRetentionInHours=2, MediaType="video/h264", Tags={"place": "gate"}
    )
    info = client.describe_stream(StreamName="door")["StreamInfo"]
    assert (info["StreamARN"], info["Status"], info["DataRetentionInHours"]) == (made["StreamARN"], "ACTIVE", 2)
    assert client.describe_stream(StreamARN=made["StreamARN"])["StreamInfo"] == info
    refused("ResourceInUseException", client.create_stream, StreamName="door")
    client.update_stream(StreamName="door", CurrentVersion=info["Version"], DeviceName="cam", MediaType="video/h265")
    refused(
        "VersionMismatchException",
        client.update_stream,
        StreamName="door",
        CurrentVersion=info["Version"],
        DeviceName="x",
    )
    now = client.describe_stream(StreamName="door")["StreamInfo"]
    assert (now["DeviceName"], now["MediaType"]) == ("cam", "video/h265")
    client.update_data_retention(
        StreamName="door",
        CurrentVersion=now["Version"],
        Operation="INCREASE_DATA_RETENTION",
        DataRetentionChangeInHours=3,
    )
    assert client.describe_stream(StreamName="door")["StreamInfo"]["DataRetentionInHours"] == 5
    client.tag_stream(StreamName="door", Tags={"floor": "1"})
    assert client.list_tags_for_stream(StreamName="door")["Tags"] == {"place": "gate", "floor": "1"}
    client.untag_stream(StreamName="door", TagKeyList=["place"])
    client.tag_resource(ResourceARN=made["StreamARN"], Tags=[{"Key": "door", "Value": "red"}])
    assert client.list_tags_for_resource(ResourceARN=made["StreamARN"])["Tags"] == {"floor": "1", "door": "red"}
    client.untag_resource(ResourceARN=made["StreamARN"], TagKeyList=["door"])
    for api in streams.APIS:
        assert client.get_data_endpoint(StreamName="door", APIName=api)["DataEndpoint"].startswith("https://localhost:")
    client.delete_stream(StreamARN=made["StreamARN"])
    refused("ResourceNotFoundException", client.describe_stream, StreamName="door")


def test_a_channel_is_made_described_listed_changed_and_deleted(client: Any) -> None:
    made = client.create_signaling_channel(ChannelName="talk", SingleMasterConfiguration={"MessageTtlSeconds": 30})
    info = client.describe_signaling_channel(ChannelName="talk")["ChannelInfo"]
    assert (info["ChannelARN"], info["ChannelStatus"]) == (made["ChannelARN"], "ACTIVE")
    assert info["SingleMasterConfiguration"] == {"MessageTtlSeconds": 30}
    refused("ResourceInUseException", client.create_signaling_channel, ChannelName="talk")
    client.update_signaling_channel(
        ChannelARN=made["ChannelARN"],
        CurrentVersion=info["Version"],
        SingleMasterConfiguration={"MessageTtlSeconds": 90},
    )
    arn = made["ChannelARN"]
    wanted = {"Protocols": ["WSS", "HTTPS"], "Role": "MASTER"}
    listed = client.get_signaling_channel_endpoint(ChannelARN=arn, SingleMasterChannelEndpointConfiguration=wanted)
    found = {row["Protocol"]: row["ResourceEndpoint"] for row in listed["ResourceEndpointList"]}
    assert found.keys() == {"WSS", "HTTPS"}
    assert found["WSS"].startswith("wss://localhost:")
    assert (
        client.describe_media_storage_configuration(ChannelName="talk")["MediaStorageConfiguration"]["Status"]
        == "DISABLED"
    )
    client.delete_signaling_channel(ChannelARN=arn)
    refused("ResourceNotFoundException", client.describe_signaling_channel, ChannelName="talk")


def test_lists_come_in_pages_and_by_prefix(client: Any, served: LocalService) -> None:
    names = [f"page{number:02d}" for number in range(7)]
    for name in names:
        client.create_stream(StreamName=name)
        client.create_signaling_channel(ChannelName=name)
    begins = {"ComparisonOperator": "BEGINS_WITH", "ComparisonValue": "page"}
    pages = client.get_paginator("list_streams").paginate(StreamNameCondition=begins, PaginationConfig={"PageSize": 3})
    assert [row["StreamName"] for page in pages for row in page["StreamInfoList"]] == names
    pages = client.get_paginator("list_signaling_channels").paginate(
        ChannelNameCondition=begins, PaginationConfig={"PageSize": 3}
    )
    assert [row["ChannelName"] for page in pages for row in page["ChannelInfoList"]] == names
    refused("InvalidArgumentException", client.list_streams, NextToken="bm90")
    elsewhere = served.client("kinesisvideo", region="eu-west-1")
    assert elsewhere.list_streams()["StreamInfoList"] == []
    elsewhere.close()


def post(served: LocalService, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    context = ssl.create_default_context(cafile=str(served.authority.certificate))
    link = http.client.HTTPSConnection("localhost", served.tls_port, context=context, timeout=10)
    try:
        link.request("POST", path, body, headers)
        answer = link.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        link.close()


@pytest.mark.hostile(kind="names")
@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"StreamName": 7}', b'{"StreamName": "a/../b"}', b'{"a":' * 500 + b"1" + b"}" * 500, b"\xff\xfe"],
)
def test_a_body_that_is_none_is_refused_by_name_and_without_a_traceback(served: LocalService, body: bytes) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    key = served.key()
    request = AWSRequest("POST", f"{served.url}/createStream", data=body)
    SigV4Auth(Credentials(key.access, key.secret), "kinesisvideo", REGION).add_auth(request)
    status, headers, answer = post(served, "/createStream", body, dict(request.headers.items()))
    assert status == 400
    assert headers["x-amzn-errortype"] in ("SerializationException", "InvalidArgumentException")
    assert b"Traceback" not in answer


def test_close_is_honoured_and_nobody_is_let_in_unsigned(served: LocalService) -> None:
    status, headers, _ = post(served, "/describeStream", b"{}", {"Connection": "close"})
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    assert headers["connection"] == "close"
    for path in ("/-/status", "/-/key"):
        assert post(served, path, b"", {})[0] in (403, 405)
