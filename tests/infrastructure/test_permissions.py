"""One list of actions for each role: what it does, on what, and nothing else."""

from typing import Any

import pytest

from local.intrinsics import Intrinsics
from local.template import example_stack

# Actions without resource types, so that "*" is the only resource they can be granted on.
WITHOUT_RESOURCE_TYPES = {
    # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    # https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}

RECONCILE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:%s:${StateMachineName}-reconcile"
EXECUTIONS = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:${ImageResizeStateMachine.Name}:*"
ORIGINALS = "arn:${AWS::Partition}:s3:::${Bucket}"
TRACES = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}


def logs_of(function: str) -> set[tuple[str, str]]:
    return {(action, f"{function}Logs.Arn") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}


ROLES: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "ResizeFunctionRole": (
        "lambda.amazonaws.com",
        {
            ("s3:GetObject", f"{ORIGINALS}/${{OriginalsPrefix}}*"),
            ("s3:ListBucket", ORIGINALS),
            ("s3:ListBucket", "ThumbnailsBucket.Arn"),
            *(
                (f"s3:{action}Object", f"${{ThumbnailsBucket.Arn}}/{prefix}/*")
                for action in ("Get", "Put", "Delete")
                for prefix in ("thumbnails", "manifests")
            ),
            ("kms:Decrypt", "KmsKeyArn"),
            ("kms:GenerateDataKey", "KmsKeyArn"),
            *logs_of("ResizeFunction"),
            *TRACES,
        },
    ),
    "StartFromS3FunctionRole": (
        "lambda.amazonaws.com",
        {
            ("sqs:ReceiveMessage", "UploadsQueue.Arn"),
            ("sqs:DeleteMessage", "UploadsQueue.Arn"),
            ("sqs:GetQueueAttributes", "UploadsQueue.Arn"),
            ("states:StartExecution", "ImageResizeStateMachine"),
            ("states:ListExecutions", "ImageResizeStateMachine"),
            ("states:DescribeExecution", EXECUTIONS),
            ("states:StartSyncExecution", "UploadStateMachine"),
            ("sqs:SendMessage", "NotificationsQueue.Arn"),
            ("kms:Decrypt", "KmsKeyArn"),
            ("kms:GenerateDataKey", "KmsKeyArn"),
            *logs_of("StartFromS3Function"),
            *TRACES,
        },
    ),
    "NotifyFunctionRole": (
        "lambda.amazonaws.com",
        {
            ("sqs:ReceiveMessage", "NotificationsQueue.Arn"),
            ("sqs:DeleteMessage", "NotificationsQueue.Arn"),
            ("sqs:GetQueueAttributes", "NotificationsQueue.Arn"),
            ("sns:Publish", "NotificationTopicArn"),
            ("kms:Decrypt", "KmsKeyArn"),
            ("kms:GenerateDataKey", "KmsKeyArn"),
            *logs_of("NotifyFunction"),
            *TRACES,
        },
    ),
    "ImageResizeStateMachineRole": (
        "states.amazonaws.com",
        {
            ("lambda:InvokeFunction", "ResizeFunction.Arn"),
            *((action, "*") for action in WITHOUT_RESOURCE_TYPES),
        },
    ),
    # It may write to no original and to no thumbnail; it may delete thumbnails that no manifest lists.
    "ReconcileFunctionRole": (
        "lambda.amazonaws.com",
        {
            ("s3:ListBucket", ORIGINALS),
            ("s3:ListBucket", "ThumbnailsBucket.Arn"),
            ("s3:GetObject", "${ThumbnailsBucket.Arn}/manifests/*"),
            ("s3:GetObject", "${ThumbnailsBucket.Arn}/thumbnails/*"),
            ("s3:DeleteObject", "${ThumbnailsBucket.Arn}/thumbnails/*"),
            *((f"s3:{action}Object", "${ThumbnailsBucket.Arn}/plans/*") for action in ("Get", "Put", "Delete")),
            ("kms:Decrypt", "KmsKeyArn"),
            ("kms:GenerateDataKey", "KmsKeyArn"),
            *logs_of("ReconcileFunction"),
            *TRACES,
        },
    ),
    "ReconcileThumbnailsRole": (
        "states.amazonaws.com",
        {
            ("lambda:InvokeFunction", "ReconcileFunction.Arn"),
            ("lambda:InvokeFunction", "ResizeFunction.Arn"),
            ("states:StartExecution", RECONCILE % "stateMachine"),
            ("states:DescribeExecution", f"{RECONCILE % 'execution'}:*"),
            ("states:StopExecution", f"{RECONCILE % 'execution'}:*"),
            ("s3:ListBucket", "ThumbnailsBucket.Arn"),
            *(
                (f"s3:{action}", "${ThumbnailsBucket.Arn}/plans/*")
                for action in ("GetObject", "PutObject", "ListMultipartUploadParts", "AbortMultipartUpload")
            ),
            ("kms:Decrypt", "KmsKeyArn"),
            ("kms:GenerateDataKey", "KmsKeyArn"),
            *((action, "*") for action in WITHOUT_RESOURCE_TYPES),
        },
    ),
    "ReconcileCheckRole": ("scheduler.amazonaws.com", {("states:StartExecution", "ReconcileThumbnails")}),
    "ResizeApiRole": (
        "apigateway.amazonaws.com",
        {
            ("states:StartExecution", "ImageResizeStateMachine"),
            ("states:DescribeExecution", EXECUTIONS),
        },
    ),
    # What it may is in the policy that AWS made for it; see test_nothing_brings_permissions_from_elsewhere.
    "ApiLogsRole": ("apigateway.amazonaws.com", set()),
}


WORKFLOWS = ("STANDARD", "EXPRESS")
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd"
TOPIC = {"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:thumbnails"}
# What a role may do at most: with a key and a topic.
WITH_A_KEY = [example_stack({"UploadWorkflow": workflow, "KmsKeyArn": KEY, **TOPIC}) for workflow in WORKFLOWS]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(resource: Any) -> str:
    """Name a resource: ``Queue.Arn``, ``Machine`` for a reference, or the text of a substitution."""
    if isinstance(resource, str):
        return resource
    [(function, value)] = resource.items()
    if function == "Fn::Sub" and isinstance(value, list):
        # What the names in it stand for is in test_originals_are_never_written_or_deleted.
        return str(value[0])
    return ".".join(value) if function == "Fn::GetAtt" else str(value)


def statements(role: dict[str, Any], *stacks: Intrinsics) -> list[dict[str, Any]]:
    """Return the statements of a role, those for every choice of the stacks' parameters."""
    found = []
    for policy in role["Properties"].get("Policies", []):
        for statement in as_list(policy["PolicyDocument"]["Statement"]):
            chosen = [chosen_in(stack, statement) for stack in stacks or WITH_A_KEY]
            found += [each for place, each in enumerate(chosen) if each and each not in chosen[:place]]
    return found


def chosen_in(stack: Intrinsics, statement: dict[str, Any]) -> dict[str, Any] | None:
    """Return a statement as a stack has it, or None where it has none."""
    while "Fn::If" in statement:
        condition, yes, no = statement["Fn::If"]
        statement = yes if stack.resolve({"Fn::If": [condition, True, False]}) else no
    return None if statement == {"Ref": "AWS::NoValue"} else statement


@pytest.mark.parametrize("logical_id", list(ROLES))
def test_without_a_key_a_role_may_do_the_same_but_use_it(logical_id: str, resources: dict[str, Any]) -> None:
    role = resources[logical_id]
    for workflow, stack in zip(WORKFLOWS, WITH_A_KEY, strict=True):
        plain = statements(role, example_stack({"UploadWorkflow": workflow, **TOPIC}))
        more = [each for each in statements(role, stack) if each not in plain]

        assert {action.partition(":")[0] for each in more for action in as_list(each["Action"])} <= {"kms"}


def test_the_starter_may_use_only_the_state_machine_of_its_workflow(resources: dict[str, Any]) -> None:
    for workflow, stack in zip(WORKFLOWS, WITH_A_KEY, strict=True):
        found = statements(resources["StartFromS3FunctionRole"], stack)
        actions = {action for each in found for action in as_list(each["Action"]) if action.startswith("states:")}

        assert (
            actions
            == {
                "STANDARD": {"states:StartExecution", "states:ListExecutions", "states:DescribeExecution"},
                "EXPRESS": {"states:StartSyncExecution"},
            }[workflow]
        )


def test_only_a_topic_lets_the_starter_send_what_ended(resources: dict[str, Any]) -> None:
    def sends(**parameters: str) -> bool:
        found = statements(resources["StartFromS3FunctionRole"], example_stack(parameters))
        return any("sqs:SendMessage" in as_list(each["Action"]) for each in found)

    assert not sends()
    assert not sends(UploadWorkflow="EXPRESS")
    # EventBridge has the ends of Standard executions.
    assert not sends(**TOPIC)
    assert sends(UploadWorkflow="EXPRESS", **TOPIC)


def test_these_tests_know_every_role(resources: dict[str, Any]) -> None:
    roles = {logical_id for logical_id, resource in resources.items() if resource["Type"] == "AWS::IAM::Role"}

    assert roles == ROLES.keys()


def test_nothing_brings_permissions_from_elsewhere(resources: dict[str, Any]) -> None:
    for logical_id, resource in resources.items():
        properties = resource["Properties"]
        if logical_id == "ApiLogsRole":
            # It serves every API of the account, and API Gateway takes no role that may do less:
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
            [policy] = properties["ManagedPolicyArns"]
            assert named(policy).endswith(":iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs")
            continue
        assert "ManagedPolicyArns" not in properties
        assert resource["Type"] == "AWS::IAM::Role" or "Policies" not in properties
        assert resource["Type"] not in {
            "AWS::IAM::Policy",
            "AWS::IAM::ManagedPolicy",
            "AWS::IAM::RolePolicy",
            "AWS::Lambda::Permission",
        }


@pytest.mark.parametrize("logical_id", list(ROLES))
def test_a_role_may_do_exactly_this(logical_id: str, resources: dict[str, Any]) -> None:
    allowed = []
    for statement in statements(resources[logical_id]):
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        allowed += [
            (action, named(resource))
            for action in as_list(statement["Action"])
            for resource in as_list(statement["Resource"])
        ]

    assert sorted(allowed) == sorted(ROLES[logical_id][1])


@pytest.mark.parametrize("workflow", WORKFLOWS)
@pytest.mark.parametrize(
    ("parameters", "bucket", "objects"),
    [
        ({}, "OriginalsBucket", "*"),
        ({"OriginalsPrefix": "photos/"}, "OriginalsBucket", "photos/*"),
        ({"ExistingOriginalsBucket": "two-million-pictures"}, "two-million-pictures", "*"),
        (
            {"ExistingOriginalsBucket": "two-million-pictures", "OriginalsPrefix": "photos/"},
            "two-million-pictures",
            "photos/*",
        ),
    ],
)
def test_originals_are_never_written_or_deleted(
    workflow: str, parameters: dict[str, str], bucket: str, objects: str, resources: dict[str, Any]
) -> None:
    """Of all that any role may do to S3, two things touch the originals bucket: reading and listing."""
    stack = example_stack({"UploadWorkflow": workflow, **parameters})
    permissions = {
        (action, stack.resolve(resource))
        for role in ROLES
        for statement in statements(resources[role], stack)
        for action in as_list(statement["Action"])
        if action.startswith("s3:")
        for resource in as_list(statement["Resource"])
    }

    on_thumbnails = {
        (action, resource) for action, resource in permissions if resource.startswith("ThumbnailsBucket.Arn")
    }
    assert permissions - on_thumbnails == {
        ("s3:GetObject", f"arn:aws:s3:::{bucket}/{objects}"),
        ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
    }


@pytest.mark.parametrize("logical_id", list(ROLES))
def test_no_wildcards(logical_id: str, resources: dict[str, Any]) -> None:
    for statement in statements(resources[logical_id]):
        actions = as_list(statement["Action"])
        assert not any("*" in action or "?" in action for action in actions)
        if "*" in as_list(statement["Resource"]):
            assert set(actions) <= WITHOUT_RESOURCE_TYPES


@pytest.mark.parametrize("logical_id", list(ROLES))
def test_a_role_is_for_one_service(logical_id: str, resources: dict[str, Any]) -> None:
    [statement] = resources[logical_id]["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    assert statement["Principal"] == {"Service": ROLES[logical_id][0]}


@pytest.mark.parametrize("logical_id", list(ROLES))
def test_a_role_is_for_one_account(logical_id: str, resources: dict[str, Any]) -> None:
    (statement,) = resources[logical_id]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    account = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}

    if ROLES[logical_id][0] == "states.amazonaws.com":
        # It documents what it sends:
        # https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html
        assert statement["Condition"]["StringEquals"] == account
        source = statement["Condition"]["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
        assert source.endswith(":${AWS::Region}:${AWS::AccountId}:stateMachine:*")
    elif ROLES[logical_id][0] == "scheduler.amazonaws.com":
        # So does it: https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
        assert statement["Condition"] == {"StringEquals": account}
    else:
        # API Gateway sends no account; a plain StringEquals would refuse it:
        # https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/pull/479
        assert statement["Condition"] == {"StringEqualsIfExists": account}


@pytest.mark.parametrize(
    ("logical_id", "role"),
    [
        ("ResizeFunction", "ResizeFunctionRole"),
        ("StartFromS3Function", "StartFromS3FunctionRole"),
        ("ReconcileFunction", "ReconcileFunctionRole"),
        ("NotifyFunction", "NotifyFunctionRole"),
        ("ImageResizeStateMachine", "ImageResizeStateMachineRole"),
        ("ReconcileThumbnails", "ReconcileThumbnailsRole"),
    ],
)
def test_each_has_a_role_of_its_own(logical_id: str, role: str, resources: dict[str, Any]) -> None:
    assert resources[logical_id]["Properties"]["Role"] == {"Fn::GetAtt": [role, "Arn"]}
