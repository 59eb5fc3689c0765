"""Check what API Gateway imported from the template: the model, and the settings of the stage."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smoke.deployment import Deployment
from smoke.report import Mark, Row, judged, judged_all
from smoke.visit import Visit

_SCHEMA = Path(__file__).parents[2] / "schemas" / "resize_request.json"
_NOTES = {"$schema", "title", "description"}
_NUMERIC = {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}

# The token bucket of DescribeExecution has 250 to 300 tokens and is refilled with 10 to 15 a second, by region:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_DESCRIBE_RATE, _DESCRIBE_BURST = 10, 250
_DESCRIBE_METHOD = "executions/{executionId}/GET"


def the_model_is_the_schema(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Check that the imported model of the request equals schemas/resize_request.json."""
    (api,) = deployment.of_type("AWS::ApiGateway::RestApi").values()
    model = deployment.client("apigateway").get_model(restApiId=api, modelName="ResizeRequest")
    yield from model_rows(json.loads(_SCHEMA.read_text(encoding="utf-8")), json.loads(model["schema"]))


def model_rows(promised: dict[str, Any], imported: dict[str, Any]) -> Iterator[Row]:
    """Compare an imported model with the schema."""
    texts = [
        f"{path} is {json.dumps(value)}"
        for path, value in _leaves(imported)
        if path.rpartition(".")[2] in _NUMERIC and (isinstance(value, bool) or not isinstance(value, int | float))
    ]
    numbers = sum(path.rpartition(".")[2] in _NUMERIC for path, _ in _leaves(imported))
    yield judged_all("numbers of the model are numbers", f"{numbers} limits, all of them numbers", texts)
    closed = {path for path, value in _leaves(promised) if path.endswith("additionalProperties") and value is False}
    found = {path for path, value in _leaves(imported) if path.endswith("additionalProperties") and value is False}
    yield judged_all(
        "the model refuses unknown fields",
        "additionalProperties: false was kept",
        [f"{path} is not false" for path in sorted(closed - found)],
    )
    yield _keywords(dict(_leaves(promised)), dict(_leaves(imported)))


def _keywords(promised: dict[str, Any], imported: dict[str, Any]) -> Row:
    promise = "the model has the rules of the schema"
    changed = [
        f"{path} is {json.dumps(imported[path])}, not {json.dumps(value)}"
        for path, value in promised.items()
        if path in imported and imported[path] != value
    ]
    if changed:
        return Row(Mark.BROKEN, promise, "; ".join(changed))
    dropped = [path for path in promised if path not in imported]
    if dropped:
        found = f"dropped by the import, and checked by the function only: {', '.join(dropped)}"
        return Row(Mark.OPEN, promise, found)
    return Row(Mark.KEPT, promise, f"all {len(promised)} keywords were kept")


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value that is not an object or list, with its path, but without descriptions for people."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _NOTES:
                yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def stage_is_set(deployment: Deployment, _visit: Visit) -> Iterator[Row]:
    """Check throttling and access log of the stage."""
    (api,) = deployment.of_type("AWS::ApiGateway::RestApi").values()
    (name,) = deployment.of_type("AWS::ApiGateway::Stage").values()
    stage = deployment.client("apigateway").get_stage(restApiId=api, stageName=name)
    yield from throttling(stage.get("methodSettings", {}), deployment.parameters)
    group = "" if deployment.parameters["ApiAccessLogs"] == "NONE" else deployment.id_of("ResizeApiLogs")
    yield access_log(stage.get("accessLogSettings", {}), group)


def throttling(settings: dict[str, Any], parameters: Any) -> Iterator[Row]:
    """Judge the throttling: by the parameters for all methods, and lower for reading the status of executions."""
    # Paths are written with ~1 for a slash: https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html
    by_method = {key.replace("~1", "/").lstrip("/"): value for key, value in settings.items()}
    every = _throttle(by_method.get("*/*", {}))
    wanted = (float(parameters["ApiRateLimit"]), float(parameters["ApiBurstLimit"]))
    yield judged("the API is throttled by its parameters", _told(every), kept=every == wanted)
    own = _throttle(by_method.get(_DESCRIBE_METHOD, {}))
    yield judged(
        "GET /executions is throttled below DescribeExecution's quota",
        _told(own),
        kept=own is not None and own[0] <= _DESCRIBE_RATE and own[1] <= _DESCRIBE_BURST,
    )


def _throttle(setting: dict[str, Any]) -> tuple[float, float] | None:
    if "throttlingRateLimit" not in setting:
        return None
    return float(setting["throttlingRateLimit"]), float(setting["throttlingBurstLimit"])


def _told(throttle: tuple[float, float] | None) -> str:
    if throttle is None:
        return "it has no throttling of its own"
    return f"{throttle[0]:g} requests a second, burst {throttle[1]:g}"


def access_log(settings: dict[str, Any], group: str) -> Row:
    """Judge where the stage writes its access log; without a group it must not write one."""
    found = settings.get("destinationArn", "")
    if not group:
        return judged("the API has no access log: ApiAccessLogs=NONE", found or "it has none", kept=not found)
    kept = found.partition(":log-group:")[2].removesuffix(":*") == group
    return judged(
        "the API's access log goes to the stack's log group", group if kept else found or "nowhere", kept=kept
    )
