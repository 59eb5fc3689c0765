"""Queries of CloudWatch Logs Insights: saved by CloudFormation, listed and run.

MiniStack's CloudFormation refuses the type, its CloudWatch Logs lists no saved queries, and its StartQuery ignores most
of a query. Here a query runs immediately, or is refused if it uses syntax that local.aws.insights does not support.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-querydefinition.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeQueryDefinitions.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
"""

import json
import time
import uuid
from typing import Any

from ministack.core.responses import (  # type: ignore[import-not-found]
    error_response_json,
    get_account_id,
    json_response,
)
from ministack.services import cloudwatch_logs  # type: ignore[import-not-found]
from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

from local.aws import insights

_Properties = dict[str, Any]

_TYPE = "AWS::Logs::QueryDefinition"

# MiniStack has no public place to change any of this.
_ministack_handle = cloudwatch_logs.handle_request
_ministack_start_query = cloudwatch_logs._start_query  # noqa: SLF001 - as above

_saved: dict[str, _Properties] = {}


def install() -> None:
    """Make MiniStack keep, list and run queries as above."""
    provisioners._RESOURCE_HANDLERS[_TYPE] = {  # noqa: SLF001 - as above
        "create": lambda _logical_id, properties, _stack: (_save(str(uuid.uuid4()), properties), {}),
        "update": lambda physical_id, _old, properties, _stack: (_save(physical_id, properties), {}),
        "delete": lambda physical_id, _properties: _saved.pop(physical_id, None),
    }
    cloudwatch_logs.handle_request = _handle
    cloudwatch_logs._start_query = _start_query  # noqa: SLF001 - as above


def _save(identifier: str, properties: _Properties) -> str:
    _saved[identifier] = {
        "queryDefinitionId": identifier,
        "name": properties["Name"],
        "queryString": properties["QueryString"],
        "logGroupNames": properties.get("LogGroupNames", []),
        "lastModified": int(time.time() * 1000),
    }
    return identifier


async def _handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
    if headers.get("x-amz-target", "").endswith(".DescribeQueryDefinitions"):
        prefix = json.loads(body or b"{}").get("queryDefinitionNamePrefix", "")
        found = sorted(
            (each for each in _saved.values() if each["name"].startswith(prefix)), key=lambda each: each["name"]
        )
        return json_response({"queryDefinitions": found})
    return await _ministack_handle(method, path, headers, body, query)


def _start_query(data: dict[str, Any]) -> Any:
    answer = _ministack_start_query({**data, "queryString": ""})
    if answer[0] >= 400:  # noqa: PLR2004 - HTTP's own line
        return answer
    query = cloudwatch_logs._queries[json.loads(answer[2])["queryId"]]  # noqa: SLF001 - as above
    groups = cloudwatch_logs._resolve_query_log_groups(data)  # noqa: SLF001 - as above
    records = cloudwatch_logs._collect_query_records(groups, data["startTime"], data["endTime"])  # noqa: SLF001 - as above
    events = [
        {**cloudwatch_logs._public_log_record(record), "@log": f"{get_account_id()}:{record['@log']}"}  # noqa: SLF001 - as above
        for record in records
    ]
    try:
        rows = insights.run(data["queryString"], events)
    except insights.QueryError as error:
        return error_response_json("MalformedQueryException", str(error), 400)
    query["queryString"] = data["queryString"]
    query["results"] = [[{"field": name, "value": _text(value)} for name, value in row.items()] for row in rows]
    query["statistics"]["recordsMatched"] = float(len(rows))
    return answer


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
