"""Thumbnails and manifests through the distribution of a stack with Delivery=CLOUDFRONT, and nothing else.

MiniStack serves the deployed distribution: it chooses the behaviour, asks the bucket's policy whether the distribution
may read, and adds the headers. It caches nothing, and loopback counts as TLS.
"""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from local.processes import free_ports
from local.stack import ROOT, Settings, Stack
from smoke.delivery import Viewer
from tests.e2e.pipeline import Pipeline, photograph
from tests.e2e.test_smoke import broken, left_over, smoke
from tests.waiting import wait_for

KEYS = [
    "a b/+%2B 100%.jpg",
    "é 😀,\"'.jpg",
    "#?&=;:@!$()*.jpg",
    "\\..\\a.jpg",
    "/a//b.jpg",
    ".../%2e%2e/.a",
    "😀" * 120,
]


@pytest.fixture(scope="module")
def delivered() -> Iterator[Pipeline]:
    """Deploy with a distribution, and end the stack afterwards."""
    parameters = {"ApiAuthorization": "NONE", "Delivery": "CLOUDFRONT"}
    aws_port, api_port = free_ports(2)
    stack = Stack(Settings(aws_port, api_port, ROOT / ".local" / "e2e-delivery", parameters))
    stack.down()
    try:
        stack.up()
        yield Pipeline(stack)
    finally:
        stack.down()


@pytest.fixture
def viewer(delivered: Pipeline) -> Viewer:
    return Viewer(delivered.stack.outputs()["DeliveryUrl"], delivered.settings.endpoint, "https://example.org")


@pytest.mark.parametrize("key", KEYS, ids=[ascii(key)[:20] for key in KEYS])
def test_a_url_reaches_its_thumbnail(key: str, delivered: Pipeline, viewer: Viewer) -> None:
    delivered.upload(key, photograph())
    delivered.ends_of(key, 1)

    (entry,) = delivered.manifest_of(key)["thumbnails"]
    served = viewer.get(entry["url"])

    stored = delivered.s3.get_object(Bucket=delivered.thumbnails, Key=entry["key"])
    assert (served.status, served.data) == (200, stored["Body"].read())
    assert served.headers["cache-control"] == "max-age=86400"
    assert viewer.get(quote(f"manifests/{key}.json")).status == 200


def test_what_is_removed_is_not_served(delivered: Pipeline, viewer: Viewer) -> None:
    key = "removed.jpg"
    delivered.upload(key, photograph())
    delivered.ends_of(key, 1)
    (entry,) = delivered.manifest_of(key)["thumbnails"]
    assert viewer.get(entry["url"]).status == 200

    delivered.s3.delete_object(Bucket=delivered.originals, Key=key)
    delivered.ends_of(key, 2)

    assert {viewer.get(path).status for path in (entry["url"], f"manifests/{key}.json")} == {403}


@pytest.mark.parametrize("way", ["", "/", "thumbnails/../", "thumbnails/%2e%2e/", "thumbnails//../", "manifests/..%2f"])
def test_plans_are_out_of_reach(way: str, delivered: Pipeline, viewer: Viewer) -> None:
    delivered.s3.put_object(Bucket=delivered.thumbnails, Key="plans/secret.json", Body=b"{}")

    assert viewer.get(f"{way}plans/secret.json").status == 403


def test_neither_the_policy_nor_the_behaviour_alone_opens_the_rest(delivered: Pipeline, viewer: Viewer) -> None:
    s3, bucket = delivered.s3, delivered.thumbnails
    s3.put_object(Bucket=bucket, Key="plans/secret.json", Body=b"{}")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy.replace(f"{bucket}/thumbnails/*", f"{bucket}/*"))
    try:
        assert viewer.get("plans/secret.json").status == 403
    finally:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS"])
def test_nothing_but_reading_is_possible(method: str, delivered: Pipeline) -> None:
    (distribution,) = delivered.settings.client("cloudfront").list_distributions()["DistributionList"]["Items"]

    behaviours = [distribution["DefaultCacheBehavior"], *distribution["CacheBehaviors"]["Items"]]

    assert not [each for each in behaviours if method in each["AllowedMethods"]["Items"]]


def test_the_deployment_keeps_its_word(delivered: Pipeline) -> None:
    done = smoke(delivered, "--wait", "90", "--delivery-via", delivered.settings.endpoint)

    assert (done.returncode, broken(done.stdout), done.stderr) == (0, [], ""), done.stdout
    assert "✓ a replaced picture gets a new URL" in done.stdout
    assert "… plain HTTP is redirected" in done.stdout
    assert left_over(delivered) == []


def test_a_bucket_that_no_longer_lets_the_distribution_in_is_found(delivered: Pipeline) -> None:
    policy = delivered.s3.get_bucket_policy(Bucket=delivered.thumbnails)["Policy"]
    other = policy.replace(":distribution/", ":distribution/X")
    delivered.s3.put_bucket_policy(Bucket=delivered.thumbnails, Policy=other)
    try:
        done = smoke(delivered, "--wait", "8", "--delivery-via", delivered.settings.endpoint)
    finally:
        delivered.s3.put_bucket_policy(Bucket=delivered.thumbnails, Policy=policy)

    assert done.returncode == 1
    rows = "\n".join(broken(done.stdout))
    assert "the manifest of JPEG was answered with 403" in rows
    assert "the distribution did not serve both manifests in time" in rows
    wait_for(lambda: not left_over(delivered), "an empty folder of the smoke test")
