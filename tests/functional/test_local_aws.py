"""The local AWS keeps the promises that the project rests on: MiniStack with the changes of local/aws, over HTTP."""

import contextlib
import datetime as dt
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, WaiterError
from botocore.httpsession import URLLib3Session
from botocore.session import Session

from local.gateway.integration import AwsServices
from local.processes import free_ports
from local.stack import Settings, Stack
from tests.waiting import wait_for

ACCOUNT = "000000000000"
PASS = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
Template = dict[str, Any]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Start the local AWS without a stack in it."""
    aws_port, api_port = free_ports(2)
    settings = Settings(aws_port, api_port, Path(tmp_path_factory.mktemp("aws")), {})
    stack = Stack(settings, lambda _: None)
    stack._start_aws()
    try:
        yield settings
    finally:
        stack.down()


def deploy(aws: Settings, name: str, template: Template, **parameters: str) -> str:
    """Create or update a stack, wait for the end, and return its status."""
    client = aws.client("cloudformation")
    request = {
        "StackName": name,
        "TemplateBody": json.dumps({"AWSTemplateFormatVersion": "2010-09-09", **template}),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    }
    try:
        client.create_stack(**request)
    except client.exceptions.AlreadyExistsException:
        client.update_stack(**request)
        waiter = client.get_waiter("stack_update_complete")
    else:
        waiter = client.get_waiter("stack_create_complete")
    # It raises when the stack rolls back; the status that is returned says so.
    with contextlib.suppress(WaiterError):
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return str(client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])


def failures(aws: Settings, name: str) -> list[str]:
    events = aws.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return [event["ResourceStatusReason"] for event in events if event["ResourceStatus"] == "CREATE_FAILED"]


def machine_template(name: str, definition: Template, *, tracing: bool = False) -> Template:
    role = f"arn:aws:iam::{ACCOUNT}:role/anybody"
    return {
        "Resources": {
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "StateMachineName": name,
                    "RoleArn": role,
                    "DefinitionString": json.dumps(definition),
                    "TracingConfiguration": {"Enabled": tracing},
                },
            }
        }
    }


def definition_of(aws: Settings, name: str) -> Any:
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"
    return json.loads(aws.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("definition", machine_template("definition", WAIT)),
        ("tracing", machine_template("tracing", PASS, tracing=True)),
    ],
)
def test_a_second_machine_of_the_same_name_fails_and_the_first_stays(
    aws: Settings, name: str, second: Template
) -> None:
    assert deploy(aws, f"first-{name}", machine_template(name, PASS)) == "CREATE_COMPLETE"
    assert deploy(aws, f"second-{name}", second) == "ROLLBACK_COMPLETE"

    (reason,) = failures(aws, f"second-{name}")
    assert "StateMachineAlreadyExists" in reason
    assert f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}" in reason
    assert definition_of(aws, name) == PASS


def test_the_same_machine_again_is_the_same_machine(aws: Settings) -> None:
    assert deploy(aws, "once", machine_template("same", PASS)) == "CREATE_COMPLETE"
    assert deploy(aws, "twice", machine_template("same", PASS)) == "CREATE_COMPLETE"


def test_a_stack_may_change_and_rename_its_own_machine(aws: Settings) -> None:
    assert deploy(aws, "own", machine_template("mine", PASS)) == "CREATE_COMPLETE"
    assert deploy(aws, "own", machine_template("mine", WAIT)) == "UPDATE_COMPLETE"
    assert definition_of(aws, "mine") == WAIT
    assert deploy(aws, "own", machine_template("renamed", WAIT)) == "UPDATE_COMPLETE"
    assert definition_of(aws, "renamed") == WAIT


def api_template(authorization: str, deployment: str, variable: str = "one") -> Template:
    """Return a template whose only deployment has a name of its own, as SAM gives it."""
    body = {
        "openapi": "3.0.1",
        "info": {"title": "things", "version": "1.0"},
        "x-amazon-apigateway-request-validators": {"body": {"validateRequestBody": True}},
        "paths": {
            "/things/{id}": {
                "post": {
                    "operationId": "makeThing",
                    "x-amazon-apigateway-auth": {"type": authorization},
                    "x-amazon-apigateway-request-validator": "body",
                    "parameters": [
                        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
                        {"name": "X-Key", "in": "header", "schema": {"type": "string"}},
                    ],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
                    },
                    "responses": {"200": {"description": "Made.", "headers": {"Location": {}}}},
                    "x-amazon-apigateway-integration": {
                        "type": "mock",
                        "passthroughBehavior": "never",
                        "requestTemplates": {"application/json": '{"statusCode": 200}'},
                        "responses": {"default": {"statusCode": "200"}, "4\\d{2}": {"statusCode": "502"}},
                    },
                },
                "x-amazon-apigateway-any-method": {
                    "x-amazon-apigateway-integration": {"type": "mock", "responses": {}},
                },
            }
        },
        "components": {
            "schemas": {
                "Thing": {
                    "type": "object",
                    "required": ["size"],
                    "properties": {"size": {"$ref": "#/components/schemas/Size"}},
                },
                "Size": {"type": "integer", "minimum": 1, "maximum": 10000, "multipleOf": 0.5},
            }
        },
    }
    setting = {"ResourcePath": "/~1things~1{id}", "HttpMethod": "POST", "ThrottlingRateLimit": 8}
    return {
        "Resources": {
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "things", "Body": body}},
            deployment: {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "Api"}}},
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "DeploymentId": {"Ref": deployment},
                    "StageName": "prod",
                    "Variables": {"number": variable},
                    "AccessLogSetting": {"Format": f'{{"number": "{variable}"}}', "DestinationArn": "arn:aws:logs:x"},
                    "MethodSettings": [setting, {**setting, "ResourcePath": "/*", "HttpMethod": "*"}],
                },
            },
        }
    }


def api_id(aws: Settings, stack: str) -> str:
    resources = aws.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    (found,) = [item["PhysicalResourceId"] for item in resources if item["ResourceType"].endswith("RestApi")]
    return str(found)


def deployed_authorization(aws: Settings, api: str) -> str:
    exported = aws.client("apigateway").get_export(
        restApiId=api, stageName="prod", exportType="oas30", parameters={"extensions": "apigateway"}
    )
    operation = json.loads(exported["body"].read())["paths"]["/things/{id}"]["post"]
    return str(operation["x-amazon-apigateway-auth"]["type"])


def test_a_stage_serves_what_was_deployed_to_it(aws: Settings) -> None:
    gateway = aws.client("apigateway")

    assert deploy(aws, "snapshot", api_template("NONE", "Deployment1")) == "CREATE_COMPLETE"
    api = api_id(aws, "snapshot")
    assert deploy(aws, "snapshot", api_template("AWS_IAM", "Deployment1", "two")) == "UPDATE_COMPLETE"

    # The template says AWS_IAM, and so does the API, but nobody deployed it. The stage's own settings have changed.
    assert api_id(aws, "snapshot") == api
    assert deployed_authorization(aws, api) == "NONE"
    stage = gateway.get_stage(restApiId=api, stageName="prod")
    assert stage["variables"] == {"number": "two"}
    assert stage["accessLogSettings"] == {"format": '{"number": "two"}', "destinationArn": "arn:aws:logs:x"}

    assert deploy(aws, "snapshot", api_template("AWS_IAM", "Deployment2", "two")) == "UPDATE_COMPLETE"
    assert api_id(aws, "snapshot") == api
    assert deployed_authorization(aws, api) == "AWS_IAM"


def test_what_was_imported_can_be_read(aws: Settings) -> None:
    gateway = aws.client("apigateway")

    deploy(aws, "imported", api_template("AWS_IAM", "Deployment"))

    api = api_id(aws, "imported")
    models = {item["name"]: item for item in gateway.get_models(restApiId=api)["items"]}
    assert set(models) == {"Thing", "Size"}
    assert gateway.get_model(restApiId=api, modelName="Size") | {"ResponseMetadata": None} == models["Size"] | {
        "ResponseMetadata": None
    }
    assert models["Size"]["contentType"] == "application/json"
    assert json.loads(models["Size"]["schema"]) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10000,
        "multipleOf": 0.5,
    }
    assert json.loads(models["Thing"]["schema"])["properties"]["size"] == {
        "$ref": f"https://apigateway.amazonaws.com/restapis/{api}/models/Size"
    }
    (resource,) = [item["id"] for item in gateway.get_resources(restApiId=api)["items"] if "id}" in item["path"]]
    method = gateway.get_method(restApiId=api, resourceId=resource, httpMethod="POST")
    (validator,) = gateway.get_request_validators(restApiId=api)["items"]
    assert (validator["name"], validator["validateRequestBody"]) == ("body", True)
    assert method["authorizationType"] == "AWS_IAM"
    assert method["operationName"] == "makeThing"
    assert method["requestValidatorId"] == validator["id"]
    assert method["requestModels"] == {"application/json": "Thing"}
    assert method["requestParameters"] == {"method.request.path.id": True, "method.request.header.X-Key": False}
    assert method["methodResponses"]["200"]["responseParameters"] == {"method.response.header.Location": False}
    integration = method["methodIntegration"]
    assert (integration["type"], integration["passthroughBehavior"]) == ("MOCK", "NEVER")
    assert integration["requestTemplates"] == {"application/json": '{"statusCode": 200}'}
    assert integration["integrationResponses"]["502"]["selectionPattern"] == "4\\d{2}"
    assert gateway.get_method(restApiId=api, resourceId=resource, httpMethod="ANY")["authorizationType"] == "NONE"
    settings = gateway.get_stage(restApiId=api, stageName="prod")["methodSettings"]
    assert {key: item["throttlingRateLimit"] for key, item in settings.items()} == {"~1things~1{id}/POST": 8, "*/*": 8}


def test_a_trust_policy_that_wants_the_source_keeps_the_gateway_out(aws: Settings) -> None:
    session = Session()
    session.set_credentials("test", "test")
    session.set_config_variable("region", "us-east-1")
    services = AwsServices(session, aws.endpoint)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    wanting = {**statement, "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}}
    roles = [
        aws.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [declared]})
        )["Role"]["Arn"]
        for name, declared in (("plain", statement), ("wanting", wanting))
    ]

    assert services.credentials(roles[0]).token
    with pytest.raises(ClientError, match="AccessDenied"):
        services.credentials(roles[1])


def judge(aws: Settings, credentials: Credentials, token: str | None = None) -> tuple[int, dict[str, str]]:
    """Ask the local AWS about a signature."""
    request = AWSRequest("GET", "http://localhost")
    request.context["timestamp"] = "20261125T070000Z"
    question = {
        "accessKey": credentials.access_key,
        "sessionToken": (credentials.token or "") if token is None else token,
        "date": "20261125",
        "region": "us-east-1",
        "service": "execute-api",
        "stringToSign": "what was signed",
        "signature": SigV4Auth(credentials, "execute-api", "us-east-1").signature("what was signed", request),
    }
    answer = URLLib3Session().send(
        AWSRequest("POST", f"{aws.endpoint}/_local/signers", data=json.dumps(question).encode()).prepare()
    )
    return answer.status_code, json.loads(answer.content)


def test_users_sessions_and_the_root_may_sign(aws: Settings) -> None:
    iam = aws.client("iam")
    user = iam.create_user(UserName="ann")["User"]
    made = iam.create_access_key(UserName="ann")["AccessKey"]
    key = Credentials(made["AccessKeyId"], made["SecretAccessKey"])
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="uploader", AssumeRolePolicyDocument=document)["Role"]
    session = aws.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="night")["Credentials"]
    temporary = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])

    assert judge(aws, key) == (200, {"accountId": ACCOUNT, "principalId": user["UserId"], "arn": user["Arn"]})
    assert user["UserId"].startswith("AIDA")
    assert judge(aws, temporary) == (
        200,
        {
            "accountId": ACCOUNT,
            "principalId": f"{role['RoleId']}:night",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/uploader/night",
        },
    )
    assert judge(aws, Credentials("test", "test")) == (
        200,
        {"accountId": ACCOUNT, "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root"},
    )

    assert judge(aws, Credentials(key.access_key, "wrong"))[0] == 403
    assert judge(aws, Credentials("AKIANOBODY", key.secret_key))[0] == 403
    assert judge(aws, temporary, token="")[0] == 403
    assert judge(aws, temporary, token="wrong")[0] == 403  # noqa: S106 - a wrong one
    assert judge(aws, Credentials("test", "wrong"))[0] == 403
    iam.update_access_key(UserName="ann", AccessKeyId=key.access_key, Status="Inactive")
    assert judge(aws, key)[0] == 403


def put_logs(aws: Settings, group: str, *messages: str) -> None:
    logs = aws.client("logs")
    for make in (logs.create_log_group, logs.create_log_stream):
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            make(**{"logGroupName": group} | ({"logStreamName": "s"} if make == logs.create_log_stream else {}))
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


def sums(aws: Settings, namespace: str, name: str, **dimensions: str) -> list[float]:
    """Return the samples' sum and number that GetMetricData has of the last hour."""
    now = dt.datetime.now(dt.UTC)
    metric = {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }
    answer = aws.client("cloudwatch").get_metric_data(
        StartTime=now - dt.timedelta(hours=1),
        EndTime=now + dt.timedelta(minutes=1),
        MetricDataQueries=[
            {"Id": stat.lower(), "MetricStat": {"Metric": metric, "Period": 3600, "Stat": stat}}
            for stat in ("Sum", "SampleCount")
        ],
    )
    return [sum(result["Values"]) for result in answer["MetricDataResults"]]


def embedded(value: object, **more: str) -> str:
    directive = {
        "Namespace": "things",
        "Dimensions": [["service"], ["service", "kind"]],
        "Metrics": [{"Name": "Made", "Unit": "Count"}],
    }
    head = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": head, "Made": value, "service": "maker", "kind": "round", **more})


def test_embedded_metrics_are_metrics(aws: Settings) -> None:
    put_logs(aws, "embedded", embedded(2), "a line", '{"_aws": "is no metric"}', embedded([3, 4]))

    assert sums(aws, "things", "Made", service="maker") == [9, 3]
    assert sums(aws, "things", "Made", service="maker", kind="round") == [9, 3]
    found = aws.client("cloudwatch").list_metrics(Namespace="things")["Metrics"]
    assert {(item["MetricName"], len(item["Dimensions"])) for item in found} == {("Made", 1), ("Made", 2)}


def test_what_a_function_prints_counts(aws: Settings) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", f"def handler(event, context):\n    print({embedded(1, service='printer')!r})\n")
    role = aws.client("iam").create_role(RoleName="printer", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions = aws.client("lambda")
    functions.create_function(
        FunctionName="printer",
        Runtime="python3.13",
        Role=role,
        Handler="main.handler",
        Code={"ZipFile": code.getvalue()},
    )

    functions.invoke(FunctionName="printer")

    assert sums(aws, "things", "Made", service="printer") == [1, 1]


def test_metric_filters_count_what_matches_and_report_their_default(aws: Settings) -> None:
    put_logs(aws, "filtered", "before there was a filter")
    logs = aws.client("logs")
    transformation = {"metricNamespace": "filters", "metricName": "Faults", "metricValue": "1", "defaultValue": 0}
    logs.put_metric_filter(
        logGroupName="filtered",
        filterName="faults",
        filterPattern='{ $.type = "Failed" && $.details.error != "Permanent.*" }',
        metricTransformations=[transformation, {**transformation, "metricName": "Sizes", "metricValue": "$.size"}],
    )

    put_logs(aws, "filtered", '{"type": "Failed", "details": {"error": "Permanent.NotAnImageError"}}')
    assert sums(aws, "filters", "Faults") == [0, 1]
    fault = {"type": "Failed", "details": {"error": "States.Runtime"}, "size": 7}
    put_logs(aws, "filtered", json.dumps(fault), json.dumps(fault), "a line")
    assert sums(aws, "filters", "Faults") == [2, 3]
    assert sums(aws, "filters", "Sizes") == [14, 3]

    found = logs.filter_log_events(logGroupName="filtered", filterPattern='{ $.details.error = "Permanent.*" }')
    assert len(found["events"]) == 1
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_metric_filter(
            logGroupName="filtered",
            filterName="no",
            filterPattern="{ $.a ~ 1 }",
            metricTransformations=[transformation],
        )


@pytest.mark.parametrize(
    ("level", "logged"),
    [
        ("ALL", ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]),
        ("ERROR", ["ExecutionFailed"]),
        ("OFF", []),
    ],
)
def test_executions_are_logged(aws: Settings, level: str, logged: list[str]) -> None:
    name = f"logged-{level}"
    definition = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "Oops", "Cause": "because"}}}
    template = machine_template(name, definition)
    template["Resources"]["Logs"] = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}}
    template["Resources"]["Machine"]["Properties"]["LoggingConfiguration"] = {
        "Level": level,
        "IncludeExecutionData": True,
        "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": "Logs.Arn"}}}],
    }
    deploy(aws, name, template)
    machines = aws.client("stepfunctions")
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"

    started = [
        machines.start_execution(stateMachineArn=arn, name=execution, input='{"key": "a b.jpg"}')["executionArn"]
        # AWS does not promise to log names with a dot, so they are not.
        for execution in ("with.dot", "without_dot")
    ]
    while any(machines.describe_execution(executionArn=item)["status"] == "RUNNING" for item in started):
        time.sleep(0.05)

    def read() -> list[Template]:
        found = aws.client("logs").filter_log_events(logGroupName=name)["events"]
        return [json.loads(event["message"]) for event in found]

    # The lines may be written after the execution has ended.
    wait_for(lambda: len(read()) >= len(logged), "the lines of the log")
    # Lines that must not be there would come now.
    time.sleep(0.2)
    events = read()
    assert [event["type"] for event in events] == logged
    assert {event["execution_arn"] for event in events} <= {started[1]}
    if logged:
        assert events[-1]["details"] == {"error": "Oops", "cause": "because"}
        assert int(events[-1]["id"]) == int(events[-1]["previous_event_id"]) + 1
    if level == "ALL":
        assert json.loads(events[0]["details"]["input"]) == {"key": "a b.jpg"}


def seconds_to_retry(aws: Settings, name: str, executions: int, **retry: Any) -> list[float]:
    """Let executions fail at once, and return how long each waited for its only retry."""
    missing = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:missing"
    task = {"Type": "Task", "Resource": missing, "End": True}
    task["Retry"] = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, **retry}]
    deploy(aws, name, machine_template(name, {"StartAt": "Fail", "States": {"Fail": task}}))
    machines = aws.client("stepfunctions")
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:{name}"
    started = [machines.start_execution(stateMachineArn=arn)["executionArn"] for _ in range(executions)]
    while any(machines.describe_execution(executionArn=item)["status"] == "RUNNING" for item in started):
        time.sleep(0.05)
    waits = []
    for execution in started:
        events = machines.get_execution_history(executionArn=execution)["events"]
        first, second = (event["timestamp"].timestamp() for event in events if "Scheduled" in event["type"])
        waits.append(second - first)
    return waits


def test_retries_wait_with_jitter_where_the_definition_asks_for_it(aws: Settings) -> None:
    waits = seconds_to_retry(aws, "jitter", 12, IntervalSeconds=4, JitterStrategy="FULL")

    # Without jitter none waits less than the interval. On a busy machine all wait somewhat longer than they should.
    assert min(waits) < 3
    assert max(waits) - min(waits) > 0.2
    assert max(waits) < 10


def test_retries_wait_no_longer_than_the_definition_allows(aws: Settings) -> None:
    (wait,) = seconds_to_retry(aws, "longest", 1, IntervalSeconds=20, MaxDelaySeconds=1)

    assert 0.9 < wait < 10


def test_names_of_executions_are_checked_and_make_starting_idempotent(aws: Settings) -> None:
    deploy(aws, "starting", machine_template("starting", WAIT))
    machines = aws.client("stepfunctions")
    arn = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:starting"

    first, second = (machines.start_execution(stateMachineArn=arn, name="twice", input="{}") for _ in range(2))

    assert second["executionArn"] == first["executionArn"]
    assert second["startDate"] == first["startDate"]
    with pytest.raises(machines.exceptions.ExecutionAlreadyExists):
        machines.start_execution(stateMachineArn=arn, name="twice", input='{"other": 1}')
    with pytest.raises(machines.exceptions.InvalidName):
        machines.start_execution(stateMachineArn=arn, name="a/b", input="{}")


def test_events_of_s3_in_eventbridge_name_versions_and_reach_only_queues_that_let_the_rule_in(aws: Settings) -> None:
    s3, sqs, events = (aws.client(service) for service in ("s3", "sqs", "events"))
    s3.create_bucket(Bucket="watched")
    s3.put_bucket_versioning(Bucket="watched", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket="watched", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": ["watched"]}}})
    rule = events.put_rule(Name="watched", EventPattern=pattern)["RuleArn"]
    urls = {name: sqs.create_queue(QueueName=f"watched-{name}")["QueueUrl"] for name in ("open", "other", "closed")}
    arns = {
        name: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for name, url in urls.items()
    }
    for name, source in (("open", rule), ("other", rule + "-of-another")):
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arns[name],
            "Condition": {"ArnEquals": {"aws:SourceArn": source}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=urls[name], Attributes={"Policy": policy})
    events.put_targets(Rule="watched", Targets=[{"Id": name, "Arn": arn} for name, arn in arns.items()])

    put = s3.put_object(Bucket="watched", Key="a+b %20 😀.jpg", Body=b"abc")
    marker = s3.delete_object(Bucket="watched", Key="a+b %20 😀.jpg")

    bodies: list[Template] = []
    deadline = time.monotonic() + 10
    while len(bodies) < 2 and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=urls["open"], MaxNumberOfMessages=10, WaitTimeSeconds=1)
        bodies += [json.loads(message["Body"]) for message in answer.get("Messages", [])]
    changed = {body["detail-type"]: body["detail"]["object"] for body in bodies}
    assert {each["key"] for each in changed.values()} == {"a+b %20 😀.jpg"}
    created, deleted = changed["Object Created"], changed["Object Deleted"]
    assert created.keys() == {"key", "size", "etag", "version-id", "sequencer"}
    assert (created["version-id"], created["etag"]) == (put["VersionId"], put["ETag"].strip('"'))
    assert deleted.keys() == {"key", "version-id", "sequencer"}
    assert deleted["version-id"] == marker["VersionId"]
    assert deleted["sequencer"] > created["sequencer"]
    for name in ("other", "closed"):
        assert "Messages" not in sqs.receive_message(QueueUrl=urls[name])


def test_saved_queries_follow_their_stack_and_run(aws: Settings) -> None:
    def template(query: str) -> Template:
        named = {"Name": "folder/Two fields", "QueryString": query, "LogGroupNames": ["queried"]}
        return {"Resources": {"Query": {"Type": "AWS::Logs::QueryDefinition", "Properties": named}}}

    logs = aws.client("logs")
    logs.create_log_group(logGroupName="queried")
    logs.create_log_stream(logGroupName="queried", logStreamName="stream")
    now = int(time.time())
    lines = [
        {"timestamp": now * 1000, "message": json.dumps({"key": key, "ms": ms})} for key, ms in (("a", 5), ("b", 7))
    ]
    logs.put_log_events(logGroupName="queried", logStreamName="stream", logEvents=lines)

    assert deploy(aws, "queries", template("fields key")) == "CREATE_COMPLETE"
    (before,) = logs.describe_query_definitions(queryDefinitionNamePrefix="folder/")["queryDefinitions"]
    assert deploy(aws, "queries", template("fields key, ms | filter key = 'b'")) == "UPDATE_COMPLETE"
    (saved,) = logs.describe_query_definitions(queryDefinitionNamePrefix="folder/")["queryDefinitions"]
    started = logs.start_query(
        logGroupNames=saved["logGroupNames"], startTime=now - 1, endTime=now + 1, queryString=saved["queryString"]
    )
    answer = logs.get_query_results(queryId=started["queryId"])

    assert saved["queryDefinitionId"] == before["queryDefinitionId"]
    assert (answer["status"], answer["statistics"]["recordsMatched"]) == ("Complete", 1)
    assert answer["results"] == [[{"field": "key", "value": "b"}, {"field": "ms", "value": "7"}]]
    with pytest.raises(logs.exceptions.MalformedQueryException, match="The command dedup is not supported"):
        logs.start_query(logGroupNames=["queried"], startTime=now - 1, endTime=now + 1, queryString="dedup key")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.start_query(logGroupNames=["nowhere"], startTime=now - 1, endTime=now + 1, queryString="fields key")

    aws.client("cloudformation").delete_stack(StackName="queries")
    aws.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName="queries", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    assert logs.describe_query_definitions(queryDefinitionNamePrefix="folder/")["queryDefinitions"] == []
