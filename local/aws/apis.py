"""REST APIs keep their id when their body changes, and a stage serves its deployment.

CloudFormation updates a changed Body with PutRestApi, which overwrites the API in place:
https://docs.aws.amazon.com/apigateway/latest/api/API_PutRestApi.html. MiniStack creates another API, with another id
and therefore another deployment, so nobody would notice if the template did not create a new deployment.

A deployment is a snapshot of the API, and a stage serves the snapshot until it points to another one:
https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html. GetExport returns the snapshot. AWS
adds and rewrites some fields in an export; here the document is the imported one. The settings of a stage are not part
of a deployment; MiniStack drops the access log and writes paths in another way than GetStage.
"""

import copy
import json
from typing import Any

from ministack.services import apigateway_v1  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

from local.aws import api_import

_Properties = dict[str, Any]

# MiniStack has no public place to change any of this.
_ministack_import = apigateway_v1._import_rest_api  # noqa: SLF001
_ministack_create_deployment = apigateway_v1._create_deployment  # noqa: SLF001
_ministack_export = apigateway_v1._get_export  # noqa: SLF001
_ministack_update_api = provisioners._apigw_rest_api_update  # noqa: SLF001
_ministack_method_settings = provisioners._apigw_method_settings  # noqa: SLF001
_ministack_create_stage = provisioners._apigw_stage_create  # noqa: SLF001
_ministack_update_stage = provisioners._apigw_stage_update  # noqa: SLF001

# The current bodies of the APIs, and their bodies at the time of each deployment.
_bodies: dict[str, dict[str, Any]] = {}
_deployed: dict[tuple[str, str], dict[str, Any]] = {}


def install() -> None:
    """Make MiniStack keep APIs, deployments and stages as below."""
    apigateway_v1._import_rest_api = _import  # noqa: SLF001
    apigateway_v1._create_deployment = _create_deployment  # noqa: SLF001
    apigateway_v1._get_export = _export  # noqa: SLF001
    provisioners._apigw_method_settings = _method_settings  # noqa: SLF001
    handlers = provisioners._RESOURCE_HANDLERS  # noqa: SLF001
    handlers["AWS::ApiGateway::RestApi"]["update"] = _update_api
    handlers["AWS::ApiGateway::Stage"] |= {"create": _create_stage, "update": _update_stage}


def _import(body: dict[str, Any], settings: dict[str, Any] | None = None) -> str:
    api_id: str = _ministack_import({**body, "paths": {}}, settings)
    _take_in(api_id, body)
    return api_id


def _take_in(api_id: str, body: dict[str, Any]) -> None:
    _bodies[api_id] = copy.deepcopy(body)
    api_import.overwrite(api_id, body)


def _update_api(physical_id: str, old: _Properties, new: _Properties, *more: Any, **named: Any) -> Any:
    if isinstance(new.get("Body"), dict) and new["Body"] != old.get("Body"):
        _take_in(physical_id, new["Body"])
        old = {**old, "Body": new["Body"]}
    return _ministack_update_api(physical_id, old, new, *more, **named)


def _create_deployment(api_id: str, data: dict[str, Any]) -> Any:
    status, headers, content = _ministack_create_deployment(api_id, data)
    if status < 400 and api_id in _bodies:  # noqa: PLR2004 - HTTP's own line
        _deployed[api_id, json.loads(content)["id"]] = copy.deepcopy(_bodies[api_id])
    return status, headers, content


def _export(api_id: str, stage_name: str, kind: str, headers: Any, query: dict[str, Any]) -> Any:
    stage = apigateway_v1._stages_v1.get(api_id, {}).get(stage_name, {})  # noqa: SLF001
    body = _deployed.get((api_id, stage.get("deploymentId", "")))
    extensions = query.get("extensions", "")
    if body is None or kind != "oas30" or "apigateway" not in extensions:
        return _ministack_export(api_id, stage_name, kind, headers, query)
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _method_settings(declared: Any) -> dict[str, Any]:
    """Use the keys of GetStage, ``~1executions~1{executionId}/GET``; templates have an additional slash before it."""
    settings = _ministack_method_settings(declared)
    return {key.removeprefix("/"): value for key, value in settings.items()}


def _create_stage(logical_id: str, properties: _Properties, stack_name: str) -> Any:
    created = _ministack_create_stage(logical_id, properties, stack_name)
    _log_as(properties)
    return created


def _update_stage(physical_id: str, old: _Properties, new: _Properties, *more: Any, **named: Any) -> Any:
    updated = _ministack_update_stage(physical_id, old, new, *more, **named)
    _log_as(new)
    return updated


def _log_as(properties: _Properties) -> None:
    setting = properties.get("AccessLogSetting") or {}
    stage = apigateway_v1._stages_v1[properties["RestApiId"]][properties["StageName"]]  # noqa: SLF001
    stage["accessLogSettings"] = {
        key: setting[name]
        for key, name in (("destinationArn", "DestinationArn"), ("format", "Format"))
        if name in setting
    }
