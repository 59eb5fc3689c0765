"""The access log of a stage: one line of JSON for each request, in the format of the stage's settings.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from local.gateway.responses import RefusalError, UnsupportedError, error_variables

_VARIABLE = re.compile(r"\$context((?:\.[A-Za-z0-9_-]+)+)")
# API Gateway writes this for a variable without a value.
_NO_VALUE = "-"
_AFTER_THE_REQUEST: dict[str, Any] = {
    "error": error_variables(RefusalError("BAD_REQUEST_BODY")),
    "integration": {"error": "", "latency": 0, "status": 0},
    "responseLatency": 0,
    "responseLength": 0,
    "status": 0,
}


class AccessLog:
    """Writes entries in one format.

    Parameters
    ----------
    format
        The stage's ``AccessLogSetting.Format``.
    context
        An example of ``$context``: a format may use its names and those that are known after the request.

    Raises
    ------
    UnsupportedError
        The format uses a variable that is not supported, or is not a JSON object.
    """

    def __init__(self, format: str, context: Mapping[str, Any]) -> None:
        self._format = format
        known = {**context, **_AFTER_THE_REQUEST}
        for match in _VARIABLE.finditer(format):
            names = match[1][1:].split(".")
            is_override = names[0] in ("requestOverride", "responseOverride") and names[1:2] == ["header"]
            if not is_override and _find(known, names) is None:
                raise UnsupportedError(f"The access log format uses {match[0]}, which is not supported.")
        try:
            self.entry(known)
        except ValueError as error:
            raise UnsupportedError(f"The access log format is not JSON: {error}.") from error

    def entry(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry of one request."""

        def replace(match: re.Match[str]) -> str:
            value = _find(context, match[1][1:].split("."))
            if value is None or value == "":
                return _NO_VALUE
            # The reason of a validator is already escaped. AWS does not document whether it escapes other values.
            return str(value) if match[1].endswith("String") else json.dumps(str(value))[1:-1]

        entry: dict[str, Any] = json.loads(_VARIABLE.sub(replace, self._format))
        return entry


def _find(context: Mapping[str, Any], names: list[str]) -> Any:
    value: Any = context
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value
