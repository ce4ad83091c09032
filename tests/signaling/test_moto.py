"""IoT, STS, IAM and S3 on the service's own port, asked by boto3; and a device that was made through IoT gets keys."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.kvs.keys import Key
from tests.support.localservice import LocalService, local_service

pytestmark = pytest.mark.loopback


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LocalService]:
    with local_service(tmp_path) as service:
        yield service


@pytest.fixture
def client(served: LocalService) -> Iterator[Callable[..., Any]]:
    """Return what makes clients of boto3; their connections end before the service does."""
    made = []

    def make(name: str, **options: Any) -> Any:
        made.append(served.client(name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    gc.collect()  # an error that was caught holds its connection
    served.call(lambda: asyncio.sleep(0.1))  # in which the service sees that they ended


def test_who_am_i(client: Callable[..., Any]) -> None:
    assert client("sts").get_caller_identity()["Account"] == "123456789012"


def test_roles_and_buckets(client: Callable[..., Any]) -> None:
    iam = client("iam", region="us-east-1")
    made = iam.create_role(RoleName="camera", AssumeRolePolicyDocument="{}")["Role"]
    assert made["Arn"] == "arn:aws:iam::123456789012:role/camera"
    iam.delete_role(RoleName="camera")
    s3 = client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="store", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-1"})
    s3.put_object(Bucket="store", Key="a b/ä.bin", Body=b"\x00" * 70_000)
    assert s3.get_object(Bucket="store", Key="a b/ä.bin")["Body"].read() == b"\x00" * 70_000
    s3.delete_object(Bucket="store", Key="a b/ä.bin")
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["store"]
    s3.delete_bucket(Bucket="store")


@pytest.mark.parametrize("name", ["sts", "iot", "s3"])
def test_a_wrong_key_is_refused_in_the_form_of_each_service(
    served: LocalService, client: Callable[..., Any], name: str
) -> None:
    asked = client(name, key=Key(served.key().access, "wrong"))
    ask = {"sts": "get_caller_identity", "iot": "list_things", "s3": "list_buckets"}[name]
    with pytest.raises(ClientError) as caught:
        getattr(asked, ask)()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_kinesis_video_is_never_motos(served: LocalService, client: Callable[..., Any]) -> None:
    made = client("kinesisvideo").create_stream(StreamName="cam01", DataRetentionInHours=1)
    assert served.service.store.streams.find(arn=made["StreamARN"]).name == "cam01"


def test_without_moto_it_is_said_what_is_missing(client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto.core.config", None)
    with pytest.raises(ClientError, match="not installed"):
        client("iot").list_things()


def lent(served: LocalService, chain: Path, thing: str, alias: str) -> tuple[int, dict[str, Any]]:
    """Ask for keys with a certificate."""
    context = ssl.create_default_context(cafile=str(served.authority.certificate))
    context.load_cert_chain(chain)
    url = f"{served.url}/role-aliases/{alias}/credentials"
    request = urllib.request.Request(url, headers={"x-amzn-iot-thingname": thing})
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_device_made_through_iot_gets_keys_until_it_is_taken_back(
    served: LocalService, client: Callable[..., Any], tmp_path: Path
) -> None:
    iot = client("iot")
    iot.create_thing(thingName="cam07")
    made = iot.create_keys_and_certificate(setAsActive=True)
    assert made["keyPair"]["PublicKey"].startswith("-----BEGIN PUBLIC KEY-----")
    chain = tmp_path / "cam07.pem"
    chain.write_text(made["certificatePem"] + made["keyPair"]["PrivateKey"])
    iot.create_role_alias(
        roleAlias="camera-role", roleArn="arn:aws:iam::123456789012:role/camera", credentialDurationSeconds=900
    )
    assert lent(served, chain, "cam07", "camera-role")[0] == 403
    iot.attach_thing_principal(thingName="cam07", principal=made["certificateArn"])
    status, answer = lent(served, chain, "cam07", "camera-role")
    assert status == 200
    keys = answer["credentials"]
    key = Key(keys["accessKeyId"], keys["secretAccessKey"], keys["sessionToken"])
    assert client("kinesisvideo", key=key).list_streams()["StreamInfoList"] == []
    iot.update_certificate(certificateId=made["certificateId"], newStatus="INACTIVE")
    assert lent(served, chain, "cam07", "camera-role") == (403, {"message": "Certificate is invalid on this endpoint"})
    iot.update_certificate(certificateId=made["certificateId"], newStatus="ACTIVE")
    assert lent(served, chain, "cam07", "camera-role")[0] == 200
    iot.detach_thing_principal(thingName="cam07", principal=made["certificateArn"])
    assert lent(served, chain, "cam07", "camera-role")[0] == 403
