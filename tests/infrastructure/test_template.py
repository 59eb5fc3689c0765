"""template.yaml: what is connected to what, and how long each may take."""

import ast
import json
import re
import tomllib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.reconcile.storage import PLANS_PREFIX
from functions.resize.keys import MANIFESTS_PREFIX, THUMBNAILS_PREFIX, thumbnail_url
from local.template import example_stack, read_template
from tests.deployed import ROOT

FUNCTIONS = ["ResizeFunction", "StartFromS3Function", "ReconcileFunction", "NotifyFunction"]
BUCKETS = ["OriginalsBucket", "ThumbnailsBucket"]
EXISTING = {"ExistingOriginalsBucket": "two-million-pictures"}
DELIVERY = {"Delivery": "CLOUDFRONT"}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"
OWN_DOMAIN = {"DeliveryDomain": "images.example.org", "DeliveryCertificateArn": CERTIFICATE}
UPLOAD_QUEUES = ["UploadsQueue", "UploadsDeadLetterQueue"]
QUEUES = [*UPLOAD_QUEUES, "NotificationsQueue", "NotificationsDeadLetterQueue"]
NO_VALUE = {"Ref": "AWS::NoValue"}


def arn(logical_id: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical_id, "Arn"]}


def properties(resources: dict[str, Any], logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[logical_id]["Properties"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> set[str]:
    return {logical_id for logical_id, resource in resources.items() if resource["Type"] == kind}


def allowed(policy: dict[str, Any], parameters: dict[str, str]) -> list[dict[str, Any]]:
    """Return what a resource's policy allows in a stack with these parameters."""
    statements = example_stack(parameters).resolve(policy["PolicyDocument"]["Statement"])
    return [found for found in statements if found["Effect"] == "Allow"]


def test_these_tests_know_every_function_and_bucket(resources: dict[str, Any]) -> None:
    assert of_type(resources, "AWS::Serverless::Function") == set(FUNCTIONS)
    assert of_type(resources, "AWS::S3::Bucket") == set(BUCKETS)


class TestUploads:
    def test_whatever_happens_to_an_object_goes_to_the_queue(self, resources: dict[str, Any]) -> None:
        bucket = properties(resources, "OriginalsBucket")
        kinds = ("ObjectCreated", "ObjectRemoved", "LifecycleExpiration")
        only = {"Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "photos/"}]}}}

        for prefix, limited in (("", {}), ("photos/", only)):
            configured = example_stack({"OriginalsPrefix": prefix}).resolve(bucket["NotificationConfiguration"])
            assert configured["QueueConfigurations"] == [
                {"Event": f"s3:{kind}:*", "Queue": "UploadsQueue.Arn", **limited} for kind in kinds
            ]
        assert resources["OriginalsBucket"]["DependsOn"] == "UploadsQueuePolicy"

    def test_whatever_happens_in_an_existing_bucket_goes_to_the_queue(self, resources: dict[str, Any]) -> None:
        rule = properties(resources, "ExistingBucketRule")

        for prefix, limited in (("", {}), ("photos/", {"object": {"key": [{"prefix": "photos/"}]}})):
            pattern = example_stack({**EXISTING, "OriginalsPrefix": prefix}).resolve(rule["EventPattern"])
            assert pattern == {
                "source": ["aws.s3"],
                "detail-type": ["Object Created", "Object Deleted"],
                "detail": {"bucket": {"name": ["two-million-pictures"]}, **limited},
            }
        # Raw events, as start_from_s3 reads them: nothing is taken out of them or put into another form.
        assert rule["Targets"] == [
            {
                "Id": "UploadsQueue",
                "Arn": arn("UploadsQueue"),
                "DeadLetterConfig": {"Arn": arn("UploadsDeadLetterQueue")},
            }
        ]
        assert resources["ExistingBucketRule"]["DependsOn"] == ["UploadsQueuePolicy", "UploadsDeadLetterQueuePolicy"]

    def test_an_existing_bucket_takes_the_place_of_the_stacks_own(self, template: dict[str, Any]) -> None:
        conditions = {
            name: resource["Condition"]
            for name, resource in template["Resources"].items()
            if "Bucket" in str(resource.get("Condition"))
        }

        assert conditions == {
            "OriginalsBucket": "BucketIsOwn",
            "OriginalsBucketPolicy": "BucketIsOwn",
            "ExistingBucketRule": "BucketIsExisting",
            "EventsNotDeliveredAlarm": "BucketIsExisting",
        }
        for parameters, is_own in (({}, True), (EXISTING, False)):
            resolve = example_stack(parameters).resolve
            assert resolve({"Fn::If": ["BucketIsOwn", True, False]}) is is_own
            assert resolve({"Fn::If": ["BucketIsExisting", True, False]}) is not is_own

    def test_an_alarm_watches_the_rule(self, resources: dict[str, Any]) -> None:
        alarm = properties(resources, "EventsNotDeliveredAlarm")

        expression, *metrics = alarm["Metrics"]
        watched = {each["Id"]: each["MetricStat"]["Metric"] for each in metrics}
        assert expression["Expression"] == " + ".join(f"FILL({name}, 0)" for name in watched)
        assert {each["MetricName"] for each in watched.values()} == {
            "FailedInvocations",
            "InvocationsFailedToBeSentToDlq",
        }
        for each in watched.values():
            assert each["Namespace"] == "AWS/Events"
            assert each["Dimensions"] == [{"Name": "RuleName", "Value": {"Ref": "ExistingBucketRule"}}]

    def test_only_the_originals_bucket_of_this_account_may_send(self, resources: dict[str, Any]) -> None:
        policy = properties(resources, "UploadsQueuePolicy")
        (statement,) = allowed(policy, {})

        assert policy["Queues"] == [{"Ref": "UploadsQueue"}]
        assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
        assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
        assert statement["Resource"] == "UploadsQueue.Arn"
        assert statement["Condition"] == {
            "ArnEquals": {"aws:SourceArn": "arn:aws:s3:::alison-image-originals-01"},
            "StringEquals": {"aws:SourceAccount": "123456789012"},
        }

    @pytest.mark.parametrize("queue", UPLOAD_QUEUES)
    def test_only_the_rule_of_an_existing_bucket_may_send(self, queue: str, resources: dict[str, Any]) -> None:
        (statement,) = allowed(properties(resources, f"{queue}Policy"), EXISTING)
        name = example_stack({}).resolve(properties(resources, "ExistingBucketRule")["Name"])

        assert (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
        assert statement["Principal"] == {"Service": "events.amazonaws.com"}
        assert statement["Resource"] == f"{queue}.Arn"
        assert statement["Condition"] == {
            "ArnEquals": {"aws:SourceArn": f"arn:aws:events:us-east-1:123456789012:rule/{name}"}
        }

    def test_nobody_sends_dead_letters_but_sqs_unless_there_is_a_rule(self, resources: dict[str, Any]) -> None:
        assert allowed(properties(resources, "UploadsDeadLetterQueuePolicy"), {}) == []

    @pytest.mark.parametrize(("workflow", "share"), [("STANDARD", "StartersAtOnce"), ("EXPRESS", "RunsAtOnce")])
    def test_the_queue_calls_as_many_functions_as_the_workflow_may_have(
        self, workflow: str, share: str, template: dict[str, Any], resources: dict[str, Any]
    ) -> None:
        events = properties(resources, "StartFromS3Function")["Events"]
        (event,) = example_stack({"UploadWorkflow": workflow}).resolve(events).values()

        assert event["Properties"]["Queue"] == "UploadsQueue.Arn"
        assert event["Properties"]["ScalingConfig"] == {
            "MaximumConcurrency": template["Mappings"]["Concurrency"]["10"][share]
        }
        # The handler returns the messages that failed, and no others are to come back.
        assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_the_concurrency_is_divided_among_those_who_start_and_those_who_resize(
        self, template: dict[str, Any]
    ) -> None:
        allowed = template["Parameters"]["UploadConcurrency"]["AllowedValues"]
        divided = template["Mappings"]["Concurrency"]

        assert list(divided) == list(map(str, allowed))
        for functions, texts in divided.items():
            parts = {name: int(text) for name, text in texts.items()}
            # Up to a fifth stays free for peaks and the API.
            assert 0.8 * int(functions) <= parts["StartersAtOnce"] + parts["PicturesAtOnce"] <= int(functions)
            # Runs are two thirds resizes, so a few more than half fit.
            assert 0.5 * int(functions) <= parts["RunsAtOnce"] <= 0.6 * int(functions)
            # https://docs.aws.amazon.com/lambda/latest/api/API_ScalingConfig.html
            assert min(parts["StartersAtOnce"], parts["RunsAtOnce"]) >= 2
            assert max(parts["StartersAtOnce"], parts["RunsAtOnce"]) <= 1000

    def test_a_reserve_is_never_below_what_uploads_may_use(self, template: dict[str, Any]) -> None:
        reserves = template["Parameters"]["ReservedConcurrency"]["AllowedValues"]
        rules = [rule for name, rule in template["Rules"].items() if name.startswith("ReservedConcurrencyCovers")]
        allowed = {rule["RuleCondition"]["Fn::Equals"][1]: rule["Assertions"][0]["Assert"] for rule in rules}
        smallest, *others = template["Parameters"]["UploadConcurrency"]["AllowedValues"]

        # Every reserve covers the smallest.
        assert min(int(reserve) for reserve in reserves if reserve) >= smallest
        # A parameter is a text in a rule, also if its type is Number.
        assert list(allowed) == list(map(str, others))
        for functions, assertion in allowed.items():
            listed, reserve = assertion["Fn::Contains"]
            assert reserve == {"Ref": "ReservedConcurrency"}
            assert listed == [each for each in reserves if not each or int(each) >= int(functions)]

    @pytest.mark.parametrize("workflow", ["STANDARD", "EXPRESS"])
    def test_a_message_is_hidden_for_six_times_the_functions_timeout(
        self, workflow: str, resources: dict[str, Any]
    ) -> None:
        # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        resolve = example_stack({"UploadWorkflow": workflow}).resolve
        timeout = resolve(properties(resources, "StartFromS3Function")["Timeout"])

        assert resolve(properties(resources, "UploadsQueue")["VisibilityTimeout"]) >= 6 * timeout

    def test_a_message_that_fails_again_and_again_is_kept(self, resources: dict[str, Any]) -> None:
        queue = properties(resources, "UploadsQueue")
        dead_letters = properties(resources, "UploadsDeadLetterQueue")

        # At least five receives, so that a throttled function is not the end of a message
        # (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html), and an hour of them.
        assert queue["RedrivePolicy"] == {"deadLetterTargetArn": arn("UploadsDeadLetterQueue"), "maxReceiveCount": 20}
        hidden = example_stack({}).resolve(queue["VisibilityTimeout"])
        assert 20 * hidden >= 3600
        # Its age counts on in the dead-letter queue, so that one must keep messages at least as long:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
        assert dead_letters["MessageRetentionPeriod"] >= queue["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert "RedrivePolicy" not in dead_letters

    @pytest.mark.parametrize("queue", QUEUES)
    def test_queues_refuse_plain_http(self, queue: str, resources: dict[str, Any]) -> None:
        (policy,) = [
            found["Properties"]
            for found in resources.values()
            if found["Type"] == "AWS::SQS::QueuePolicy" and found["Properties"]["Queues"] == [{"Ref": queue}]
        ]
        (statement,) = [found for found in policy["PolicyDocument"]["Statement"] if found.get("Effect") == "Deny"]

        assert (statement["Principal"], statement["Action"], statement["Resource"]) == ("*", "sqs:*", arn(queue))
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


class TestWhatHoldsData:
    def test_it_outlives_its_replacement(self, resources: dict[str, Any]) -> None:
        """Another name makes another bucket, queue or state machine; what is in the old one must stay."""
        kinds = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::Serverless::StateMachine")
        holders = {name for kind in kinds for name in of_type(resources, kind)}

        assert {name for name in holders if resources[name].get("UpdateReplacePolicy") != "Retain"} <= {
            # Nothing of theirs is lost: an Express execution ends in five minutes, a plan can be made again.
            "UploadStateMachine",
            "ReconcileThumbnails",
        }
        for bucket in BUCKETS:
            assert resources[bucket]["DeletionPolicy"] == "RetainExceptOnCreate"

    @pytest.mark.parametrize("key", ["", "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab"])
    def test_it_is_encrypted_with_the_key_of_the_parameter_or_another(
        self, key: str, resources: dict[str, Any]
    ) -> None:
        resolve = example_stack({"KmsKeyArn": key}).resolve
        for queue in map(resolve, (properties(resources, name) for name in QUEUES)):
            # SQS takes one of the two, and a key of one's own only with the other off.
            assert (queue.get("KmsMasterKeyId", ""), queue["SqsManagedSseEnabled"]) == (key, not key)
        for bucket in map(resolve, (properties(resources, name) for name in BUCKETS)):
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID", "") == key
            assert rule.get("BucketKeyEnabled", False) is bool(key)
        for group in of_type(resources, "AWS::Logs::LogGroup"):
            assert resolve(properties(resources, group)).get("KmsKeyId", "") == key


class TestBuckets:
    @pytest.mark.parametrize(("days", "expiring"), [("90", [90]), ("0", [])])
    def test_old_versions_expire_after_the_days_of_the_parameter(
        self, days: str, expiring: list[int], resources: dict[str, Any]
    ) -> None:
        bucket = example_stack({"NoncurrentVersionDays": days}).resolve(properties(resources, "OriginalsBucket"))
        found = [
            int(rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
            for rule in bucket["LifecycleConfiguration"]["Rules"]
            if "NoncurrentVersionExpiration" in rule
        ]

        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
        assert found == expiring

    @pytest.mark.parametrize("bucket", BUCKETS)
    def test_parts_of_uploads_that_never_ended_are_removed_whatever_their_key(
        self, bucket: str, resources: dict[str, Any]
    ) -> None:
        rules = properties(resources, bucket)["LifecycleConfiguration"]["Rules"]
        (rule,) = [found for found in rules if "AbortIncompleteMultipartUpload" in found]

        assert rule["Status"] == "Enabled"
        assert not rule.keys() & {"Prefix", "TagFilters"}

    def test_nothing_that_is_there_ever_expires_but_plans(self, resources: dict[str, Any]) -> None:
        for bucket in BUCKETS:
            listed = properties(resources, bucket)["LifecycleConfiguration"]["Rules"]
            rules = json.dumps([rule for rule in listed if rule.get("Prefix") != PLANS_PREFIX])
            assert not re.search(r'"(ExpirationInDays|ExpirationDate|Transitions?)"', rules)

    @pytest.mark.parametrize("bucket", BUCKETS)
    def test_only_tls(self, bucket: str, resources: dict[str, Any]) -> None:
        [policy] = [
            found["Properties"]
            for found in resources.values()
            if found["Type"] == "AWS::S3::BucketPolicy" and found["Properties"]["Bucket"] == {"Ref": bucket}
        ]
        [statement] = [found for found in policy["PolicyDocument"]["Statement"] if found.get("Effect") == "Deny"]

        assert (statement["Principal"], statement["Action"]) == ("*", "s3:*")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        name = properties(resources, bucket)["BucketName"]["Fn::Sub"]
        assert statement["Resource"] == [
            {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{name}"},
            {"Fn::Sub": f"arn:${{AWS::Partition}}:s3:::{name}/*"},
        ]


class TestDelivery:
    @staticmethod
    def distribution(**parameters: str) -> dict[str, Any]:
        found: dict[str, Any] = example_stack({**DELIVERY, **parameters}).resolve(
            read_template()["Resources"]["DeliveryDistribution"]["Properties"]["DistributionConfig"]
        )
        return found

    @classmethod
    def behaviours(cls) -> list[dict[str, Any]]:
        found = cls.distribution()
        return [*found["CacheBehaviors"], found["DefaultCacheBehavior"]]

    @staticmethod
    def allowed(**parameters: str) -> list[dict[str, Any]]:
        policy = read_template()["Resources"]["ThumbnailsBucketPolicy"]["Properties"]
        return allowed(policy, parameters)

    def test_there_is_none_unless_it_is_asked_for(self, resources: dict[str, Any]) -> None:
        made = {name for name, resource in resources.items() if resource["Type"].startswith("AWS::CloudFront::")}

        assert {name for name, resource in resources.items() if resource.get("Condition") == "HasDelivery"} == made
        assert made >= {"DeliveryDistribution", "DeliveryOriginAccess"}
        assert self.allowed() == []
        for parameters, has_delivery in (({}, False), (DELIVERY, True)):
            assert example_stack(parameters).resolve({"Fn::If": ["HasDelivery", True, False]}) is has_delivery

    def test_the_policy_lets_this_distribution_read_two_prefixes_and_nobody_list(self) -> None:
        (statement,) = self.allowed(**DELIVERY)

        bucket = "arn:aws:s3:::alison-image-thumbnails-01"
        assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
        assert statement["Action"] == "s3:GetObject"
        assert statement["Resource"] == [f"{bucket}/{prefix}*" for prefix in (THUMBNAILS_PREFIX, MANIFESTS_PREFIX)]
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceArn": "arn:aws:cloudfront::123456789012:distribution/DeliveryDistribution"}
        }

    def test_only_requests_for_these_prefixes_are_signed(self, resources: dict[str, Any]) -> None:
        found = self.distribution()
        origins = {origin["Id"]: origin for origin in found["Origins"]}
        signed = {name for name, origin in origins.items() if "OriginAccessControlId" in origin}
        access = properties(resources, "DeliveryOriginAccess")["OriginAccessControlConfig"]

        assert {origin["DomainName"] for origin in origins.values()} == {"ThumbnailsBucket.RegionalDomainName"}
        assert {origin["S3OriginConfig"]["OriginAccessIdentity"] for origin in origins.values()} == {""}
        assert [origins[name]["OriginAccessControlId"] for name in signed] == ["DeliveryOriginAccess"]
        assert (access["SigningBehavior"], access["SigningProtocol"], access["OriginAccessControlOriginType"]) == (
            "always",
            "sigv4",
            "s3",
        )
        assert {each["PathPattern"]: each["TargetOriginId"] in signed for each in found["CacheBehaviors"]} == {
            f"{THUMBNAILS_PREFIX}*": True,
            f"{MANIFESTS_PREFIX}*": True,
        }
        assert found["DefaultCacheBehavior"]["TargetOriginId"] not in signed
        # Neither a root object nor an error page is another way in.
        assert "DefaultRootObject" not in found
        assert [error.keys() for error in found["CustomErrorResponses"]] == [{"ErrorCode", "ErrorCachingMinTTL"}]

    def test_it_is_for_reading_by_https(self) -> None:
        for behaviour in self.behaviours():
            assert behaviour["ViewerProtocolPolicy"] == "redirect-to-https"
            assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
            assert behaviour["ResponseHeadersPolicyId"] == "DeliveryHeaders"
        assert self.distribution()["HttpVersion"] == "http2and3"

    def test_thumbnails_are_cached_by_path_and_version(self, resources: dict[str, Any]) -> None:
        (behaviour,) = [each for each in self.behaviours() if each.get("PathPattern") == f"{THUMBNAILS_PREFIX}*"]
        policy = properties(resources, "DeliveryCachePolicy")["CachePolicyConfig"]
        key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
        (name,) = parse_qs(urlsplit(thumbnail_url("thumbnails/a", "1")).query)

        assert behaviour["CachePolicyId"] == "DeliveryCachePolicy"
        assert key["QueryStringsConfig"] == {"QueryStringBehavior": "whitelist", "QueryStrings": [name]}
        assert key["CookiesConfig"] == {"CookieBehavior": "none"}
        assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
        # private and no-store of CacheControl hold in CloudFront as well.
        assert policy["MinTTL"] == 0

    def test_manifests_are_compressed_and_not_kept(self) -> None:
        (behaviour,) = [each for each in self.behaviours() if each.get("PathPattern") == f"{MANIFESTS_PREFIX}*"]

        # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
        assert behaviour["CachePolicyId"] == "658327ea-f89d-4fab-a63d-7e88639e58f6"
        assert behaviour["Compress"] is True

    @pytest.mark.parametrize(("allowed", "origin"), [("", "*"), ("*", "*"), ("https://a.example", "https://a.example")])
    def test_pages_of_the_allowed_origin_may_read(self, allowed: str, origin: str, resources: dict[str, Any]) -> None:
        config = properties(resources, "DeliveryHeaders")["ResponseHeadersPolicyConfig"]
        found = example_stack({**DELIVERY, "AllowedOrigin": allowed}).resolve(config)

        assert found["CorsConfig"]["AccessControlAllowOrigins"] == {"Items": [origin]}
        assert found["CorsConfig"]["AccessControlAllowCredentials"] is False
        assert found["SecurityHeadersConfig"] == {"ContentTypeOptions": {"Override": True}}
        removed = [each["Header"] for each in found["RemoveHeadersConfig"]["Items"]]
        assert "x-amz-server-side-encryption-aws-kms-key-id" in removed

    def test_a_domain_of_its_own_has_a_certificate_and_new_protocols(self) -> None:
        own, without = self.distribution(**OWN_DOMAIN), self.distribution()

        assert own["Aliases"] == ["images.example.org"]
        assert own["ViewerCertificate"] == {
            "AcmCertificateArn": CERTIFICATE,
            "MinimumProtocolVersion": "TLSv1.2_2021",
            "SslSupportMethod": "sni-only",
        }
        assert "Aliases" not in without
        assert without["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}

    @pytest.mark.parametrize(
        ("parameters", "refused"),
        [
            ({}, False),
            (DELIVERY, False),
            ({**DELIVERY, **OWN_DOMAIN}, False),
            ({**DELIVERY, "DeliveryLogsBucket": "logs"}, False),
            (OWN_DOMAIN, True),
            ({**DELIVERY, "DeliveryDomain": "images.example.org"}, True),
            ({**DELIVERY, "DeliveryCertificateArn": CERTIFICATE}, True),
            ({"DeliveryLogsBucket": "logs"}, True),
        ],
    )
    def test_settings_that_need_others_are_refused_without_them(
        self, parameters: dict[str, str], *, refused: bool, template: dict[str, Any]
    ) -> None:
        stack = example_stack(parameters)
        rules = [rule for name, rule in template["Rules"].items() if name.startswith("Delivery")]
        stack.template["Conditions"] |= {
            f"{number}-{place}": part
            for number, rule in enumerate(rules)
            for place, part in enumerate([rule["RuleCondition"], *(each["Assert"] for each in rule["Assertions"])])
        }

        def holds(number: int, place: int) -> bool:
            return bool(stack.resolve({"Fn::If": [f"{number}-{place}", True, False]}))

        kept = [
            not holds(number, 0) or all(holds(number, place) for place in range(1, len(rule["Assertions"]) + 1))
            for number, rule in enumerate(rules)
        ]
        assert all(kept) is not refused

    def test_access_logs_go_to_the_bucket_of_the_parameter(self) -> None:
        assert "Logging" not in self.distribution()
        assert self.distribution(DeliveryLogsBucket="logs")["Logging"] == {
            "Bucket": "logs.s3.amazonaws.com",
            "IncludeCookies": False,
            "Prefix": "alison-image-thumbnails-01/",
        }


class TestFunctions:
    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_handler_exists(self, function: str, resources: dict[str, Any]) -> None:
        module, _, name = properties(resources, function)["Handler"].rpartition(".")
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        definitions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]

        assert name in definitions

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_environment_is_what_the_code_reads(self, function: str, resources: dict[str, Any]) -> None:
        folder = ROOT / properties(resources, function)["CodeUri"]
        read = {
            name
            for path in folder.glob("*.py")
            for name in re.findall(r"""os\.environ\[["'](\w+)["']\]""", path.read_text())
        }
        given = properties(resources, function)["Environment"]["Variables"].keys()

        # Read by Powertools and by the C library, not by our code.
        assert {name for name in given if not name.startswith(("POWERTOOLS_", "MALLOC_"))} == read
        assert "POWERTOOLS_SERVICE_NAME" in given

    def test_functions_have_the_same_value_under_the_same_name(self, resources: dict[str, Any]) -> None:
        environments = [properties(resources, function)["Environment"]["Variables"] for function in FUNCTIONS]
        values = {name: [each[name] for each in environments if name in each] for name in set().union(*environments)}

        differing = {name for name, found in values.items() if any(value != found[0] for value in found)}
        assert differing <= {"POWERTOOLS_SERVICE_NAME"}

    @pytest.mark.parametrize(
        ("workflow", "machine"), [("STANDARD", "ImageResizeStateMachine"), ("EXPRESS", "UploadStateMachine")]
    )
    def test_uploads_start_the_machine_of_their_workflow(
        self, workflow: str, machine: str, resources: dict[str, Any]
    ) -> None:
        variables = properties(resources, "StartFromS3Function")["Environment"]["Variables"]

        assert example_stack({"UploadWorkflow": workflow}).resolve(variables["STATE_MACHINE_ARN"]) == machine

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_the_makefile_builds_it_for_its_runtime(
        self, function: str, template: dict[str, Any], resources: dict[str, Any]
    ) -> None:
        metadata = resources[function]["Metadata"]
        makefile = (ROOT / metadata["ContextPath"] / "Makefile").read_text()

        assert metadata["BuildMethod"] == "makefile"
        assert re.search(rf"^build-{function}:$", makefile, re.MULTILINE)
        (version,) = re.findall(r"^RUNTIME := (\S+)$", makefile, re.MULTILINE)
        assert template["Globals"]["Function"]["Runtime"] == f"python{version}"

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_each_function_logs_to_its_own_group(self, function: str, resources: dict[str, Any]) -> None:
        name = properties(resources, function)["FunctionName"]["Fn::Sub"]
        group = properties(resources, f"{function}Logs")

        assert properties(resources, function)["LoggingConfig"] == {"LogGroup": {"Ref": f"{function}Logs"}}
        assert group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{name}"}

    def test_log_groups_keep_what_the_parameter_says(self, resources: dict[str, Any]) -> None:
        groups = of_type(resources, "AWS::Logs::LogGroup")

        assert len(groups) >= 3
        for group in groups:
            assert properties(resources, group)["RetentionInDays"] == {"Ref": "LogRetentionDays"}


class TestStateMachine:
    def test_it_is_the_file_with_every_substitution(
        self, resources: dict[str, Any], state_machine: dict[str, Any]
    ) -> None:
        machine = properties(resources, "ImageResizeStateMachine")
        wanted = set(re.findall(r"\$\{(\w+)\}", json.dumps(state_machine)))

        assert ROOT / machine["DefinitionUri"] == ROOT / "statemachine" / "image_resize.asl.json"
        assert machine["DefinitionSubstitutions"].keys() == wanted

    def test_uploads_run_through_the_same_definition_if_they_are_express(self, resources: dict[str, Any]) -> None:
        standard, express = (resources[name] for name in ("ImageResizeStateMachine", "UploadStateMachine"))
        different = {"Name": {"Fn::Sub": "${StateMachineName}-uploads"}, "Type": "EXPRESS"}

        assert express["Properties"] == {**standard["Properties"], **different}
        assert express["Condition"] == "UploadsAreExpress"

    def test_faults_are_counted_where_executions_are_logged(self, resources: dict[str, Any]) -> None:
        counted = properties(resources, "ExecutionsFaultedFilter")["LogGroupName"]["Ref"]

        for machine in ("ImageResizeStateMachine", "UploadStateMachine"):
            (destination,) = properties(resources, machine)["Logging"]["Destinations"]
            assert destination == {"CloudWatchLogsLogGroup": {"LogGroupArn": arn(counted)}}

    def test_the_task_outlives_the_function_by_its_start(
        self, resources: dict[str, Any], state_machine: dict[str, Any]
    ) -> None:
        timeout = properties(resources, "ResizeFunction")["Timeout"]

        # Lambda gives a start up to 10 seconds that do not count:
        # https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
        assert state_machine["States"]["ResizeImage"]["TimeoutSeconds"] >= timeout + 10


class TestReconcile:
    def test_it_is_the_file_with_every_substitution(self, resources: dict[str, Any]) -> None:
        machine = properties(resources, "ReconcileThumbnails")
        text = (ROOT / machine["DefinitionUri"]).read_text()

        assert machine["DefinitionSubstitutions"].keys() == set(re.findall(r"\$\{(\w+)\}", text))

    def test_the_longest_name_is_legal(self, template: dict[str, Any]) -> None:
        pattern = template["Parameters"]["StateMachineName"]["AllowedPattern"]
        longest = max(length for length in range(100) if re.fullmatch(pattern, "x" * length))

        # https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
        assert longest + len("-reconcile") == 80

    def test_its_tasks_outlive_the_function(self, resources: dict[str, Any]) -> None:
        states = json.loads((ROOT / "statemachine" / "reconcile.asl.json").read_text())["States"]
        tasks = [state for state in states.values() if state["Type"] == "Task"]

        assert tasks
        assert (
            min(task["TimeoutSeconds"] for task in tasks) >= properties(resources, "ReconcileFunction")["Timeout"] + 10
        )


class TestApi:
    @pytest.fixture
    def api(self, resources: dict[str, Any]) -> dict[str, Any]:
        return properties(resources, "ResizeApi")

    def test_two_operations_on_prod_do_something_and_the_rest_says_no(self, api: dict[str, Any]) -> None:
        integrations = {
            f"{method} {path}": (operation["Fn::If"][1] if "Fn::If" in operation else operation)[
                "x-amazon-apigateway-integration"
            ]["type"]
            for path, item in api["DefinitionBody"]["paths"].items()
            for method, operation in item.items()
        }
        assert {route for route, kind in integrations.items() if kind != "mock"} == {
            "post /resize",
            "get /executions/{executionId}",
        }


PARAMETERS: dict[str, tuple[Any, list[str], list[str]]] = {
    "BucketPrefix": (
        "alison-image",
        ["ab", "a" * 30, "0-1", "my-pictures"],
        ["", "a", "a" * 31, "-ab", "Ab", "a_b", "a.b", "ab/", "ab\n"],
    ),
    "BucketSuffix": ("01", ["0", "a-1", "x" * 19], ["", "-1", "1-", "x" * 20, "A", "a.b", "a_b", "01\n"]),
    "ExistingOriginalsBucket": (
        "",
        ["abc", "my.old-bucket.2019", "x" * 63],
        ["ab", "x" * 64, "-abc", "abc-", "Abc", "a_b", "arn:aws:s3:::mine", "s3://mine", "mine/", "*"],
    ),
    # Not what IAM and S3's filter would take for something else: "*", "?" and "$", and what wants to be encoded.
    "OriginalsPrefix": (
        "",
        ["photos/", "a", "2026/trip_1/IMG-", "/", "x" * 200],
        ["a b", "a+b", "a*", "a?", "${aws:username}", "é", "a=b/", "a%20", "x" * 201, "photos/\n"],
    ),
    "ThumbnailSizes": (
        "128x128",
        ["1x1", "9999x9999", "128x128,800x600", " 128x128 , 800x600 ", ",".join(["8x8"] * 16)],
        ["", "128", "0x1", "1x0", "10000x1", "128X128", "128x128,", ",128x128", "128x128;8x8", ",".join(["8x8"] * 17)],
    ),
    "CacheControl": (
        "max-age=86400",
        ["", "no-cache", "public, max-age=31536000, immutable", "private, max-age=60", "s-maxage=60"],
        ["max-age=60\n", 'private="a"', "max-age: 60", "x" * 201],
    ),
    "CarriedHeaders": (
        "",
        ["content-disposition", "content-disposition, author", "Camera_Model,exif.date"],
        ["x-amz-meta-a\n", "a;b", "a:b", "é", "x" * 501],
    ),
    "AlarmTopicArn": (
        "",
        ["arn:aws:sns:eu-central-1:123456789012:alarms", "arn:aws-cn:sns:cn-north-1:123456789012:a_b-c.fifo"],
        ["alarms", "arn:aws:sqs:eu-central-1:123456789012:alarms", "arn:aws:sns:eu-central-1:12345:alarms", " "],
    ),
    # A FIFO topic wants a group with each message.
    "NotificationTopicArn": (
        "",
        ["arn:aws:sns:eu-central-1:123456789012:thumbnails", "arn:aws-cn:sns:cn-north-1:123456789012:a_b-c"],
        ["thumbnails", "arn:aws:sns:eu-central-1:123456789012:a.fifo", "arn:aws:sqs:eu-central-1:123456789012:a", " "],
    ),
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
    "StateMachineName": ("ImageResizeStateMachine", ["a", "A-b_9", "x" * 70], ["", "x" * 71, "a.b", "a b", "a:b", "é"]),
    "MonthlyBudgetUSD": ("", ["1", "900", "9999999"], ["0", "-1", "01", "1.5", " ", "10000000"]),
    "KmsKeyArn": (
        "",
        ["arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab", "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1"],
        ["alias/aws/s3", "arn:aws:kms:eu-central-1:123456789012:alias/mine", "1234abcd-12ab", " "],
    ),
    "DeliveryDomain": (
        "",
        ["images.example.org", "a.b", "xn--bcher-kva.example", f"{'a' * 63}.example.org"],
        ["example", "https://images.example.org", "images.example.org/", "*.example.org", "a..b", "-a.b", "A.b", "a.1"],
    ),
    # CloudFront reads certificates of this region only:
    # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html
    "DeliveryCertificateArn": (
        "",
        ["arn:aws:acm:us-east-1:123456789012:certificate/1234abcd-12ab"],
        [
            "arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12ab",
            "arn:aws:iam::123456789012:server-certificate/mine",
            "1234abcd-12ab",
            " ",
        ],
    ),
    "DeliveryLogsBucket": (
        "",
        ["abc", "my.old-logs.2019"],
        ["ab", "arn:aws:s3:::logs", "logs.s3.amazonaws.com/", "Logs"],
    ),
    "AllowedOrigin": (
        "",
        ["*", "https://example.org", "http://localhost:8080"],
        ["**", "example.org", "https://example.org/", "https://a.org, https://b.org", "https://'", "null"],
    ),
}


class TestParameters:
    def test_defaults(self, template: dict[str, Any]) -> None:
        assert {name: parameter["Default"] for name, parameter in template["Parameters"].items()} == {
            "BucketPrefix": "alison-image",
            "BucketSuffix": "01",
            "ExistingOriginalsBucket": "",
            "OriginalsPrefix": "",
            "ThumbnailSizes": "128x128",
            "CacheControl": "max-age=86400",
            "CarriedHeaders": "",
            "ApiAuthorization": "AWS_IAM",
            "LogRetentionDays": 30,
            "Architecture": "arm64",
            "UploadWorkflow": "STANDARD",
            "UploadConcurrency": 10,
            "BacklogHours": 24,
            "ExecutionsPerHour": 100_000,
            "Dashboard": "true",
            "MonthlyBudgetUSD": "",
            "WorkflowLogLevel": "ERROR",
            "WorkflowLogData": "false",
            "XRayTracing": "false",
            "AlarmTopicArn": "",
            "NotificationTopicArn": "",
            "ApiRateLimit": 8,
            "ApiBurstLimit": 100,
            "ApiAccessLogs": "NEW_ROLE",
            "AllowedOrigin": "",
            "StateMachineName": "ImageResizeStateMachine",
            "ReservedConcurrency": "",
            "NoncurrentVersionDays": 90,
            "KmsKeyArn": "",
            "ReconcileSchedule": "",
            "Delivery": "NONE",
            "DeliveryDomain": "",
            "DeliveryCertificateArn": "",
            "DeliveryPriceClass": "PriceClass_100",
            "DeliveryLogsBucket": "",
        }

    @pytest.mark.parametrize(("name", "examples"), PARAMETERS.items(), ids=list(PARAMETERS))
    def test_patterns(self, name: str, examples: tuple[str, list[str], list[str]], template: dict[str, Any]) -> None:
        pattern = template["Parameters"][name]["AllowedPattern"]
        default, good, bad = examples

        assert [text for text in (default, *good) if not re.fullmatch(pattern, text)] == []
        assert [text for text in bad if re.fullmatch(pattern, text)] == []

    def test_the_longest_names_are_legal(self, template: dict[str, Any], resources: dict[str, Any]) -> None:
        longest = {"BucketPrefix": "a" * 30, "BucketSuffix": "b" * 19}
        for name, value in longest.items():
            assert re.fullmatch(template["Parameters"][name]["AllowedPattern"], value)

        def length(name: dict[str, str]) -> int:
            text = name["Fn::Sub"]
            for parameter, value in longest.items():
                text = text.replace(f"${{{parameter}}}", value)
            return len(text)

        for bucket in BUCKETS:
            assert length(properties(resources, bucket)["BucketName"]) <= 63
        for function in FUNCTIONS:
            assert length(properties(resources, function)["FunctionName"]) <= 64
        for queue in of_type(resources, "AWS::SQS::Queue"):
            assert length(properties(resources, queue)["QueueName"]) <= 80
        for rule in of_type(resources, "AWS::Events::Rule"):
            assert length(properties(resources, rule)["Name"]) <= 64

    def test_every_parameter_is_used(self, template: dict[str, Any]) -> None:
        text = json.dumps({part: value for part, value in template.items() if part != "Parameters"})

        for name in template["Parameters"]:
            assert f'{{"Ref": "{name}"}}' in text or f"${{{name}}}" in text

    def test_every_condition_is_used(self, template: dict[str, Any]) -> None:
        """Instead of cfn-lint's W8001, which does not look into included files."""
        text = json.dumps(template)

        for name in template["Conditions"]:
            assert f'"Fn::If": ["{name}"' in text or f'"Condition": "{name}"' in text

    def test_the_makefile_builds_for_the_default_architecture(self, template: dict[str, Any]) -> None:
        makefile = (ROOT / "functions" / "Makefile").read_text()
        parameter = template["Parameters"]["Architecture"]

        assert re.findall(r"^ARCHITECTURE \?= (\S+)$", makefile, re.MULTILINE) == [parameter["Default"]]
        assert set(re.findall(r"^PLATFORM_(\w+) :?=", makefile, re.MULTILINE)) == {*parameter["AllowedValues"], "host"}

    def test_every_allowed_retention_is_one_that_cloudwatch_knows(self, template: dict[str, Any]) -> None:
        # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
        known = {1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731}
        known |= {1096, 1827, 2192, 2557, 2922, 3288, 3653}

        assert set(template["Parameters"]["LogRetentionDays"]["AllowedValues"]) <= known


def test_outputs_of_the_notifications(template: dict[str, Any]) -> None:
    names = ("NotificationsQueueUrl", "NotificationsDeadLetterQueueUrl")
    outputs = [template["Outputs"][name] for name in names]

    assert {output["Condition"] for output in outputs} == {"HasNotificationTopic"}
    assert [output["Value"] for output in outputs] == [{"Ref": name.removesuffix("Url")} for name in names]


def test_the_output_of_the_dashboard(template: dict[str, Any]) -> None:
    output = template["Outputs"]["DashboardUrl"]

    assert output["Condition"] == "HasDashboard"
    assert output["Value"]["Fn::Sub"].endswith("#dashboards/dashboard/${OperationsDashboard}")


def test_outputs_of_the_delivery(template: dict[str, Any]) -> None:
    outputs = {name: template["Outputs"][name] for name in ("DeliveryUrl", "DeliveryDistributionDomain")}

    assert {output["Condition"] for output in outputs.values()} == {"HasDelivery"}
    for parameters, url in (
        ({}, "https://DeliveryDistribution.DomainName/"),
        (OWN_DOMAIN, "https://images.example.org/"),
    ):
        resolve = example_stack({**DELIVERY, **parameters}).resolve
        assert resolve(outputs["DeliveryUrl"]["Value"]) == url
        assert resolve(outputs["DeliveryDistributionDomain"]["Value"]) == "DeliveryDistribution.DomainName"


def test_samconfig_deploys_with_no_more_than_is_needed(resources: dict[str, Any]) -> None:
    settings = tomllib.loads((ROOT / "samconfig.toml").read_text())["default"]

    assert settings["deploy"]["parameters"]["capabilities"] == "CAPABILITY_IAM"
    assert settings["deploy"]["parameters"]["confirm_changeset"] is True
    # CAPABILITY_NAMED_IAM would be needed for roles with names.
    assert not any("RoleName" in properties(resources, role) for role in of_type(resources, "AWS::IAM::Role"))


def test_the_template_needs_no_account_or_region(template: dict[str, Any]) -> None:
    # CloudFront reads certificates of one region, whatever the region of the stack.
    others = {name: value for name, value in template["Parameters"].items() if name != "DeliveryCertificateArn"}
    rules = {name: value for name, value in template["Rules"].items() if name != "DeliveryDomainHasCertificate"}
    text = json.dumps({**template, "Parameters": others, "Rules": rules})

    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b(us|eu|ap|ca|sa|me|af|il)-[a-z]+-\d\b", text)
