"""The local gateway: serve the OpenAPI body that is deployed to a stage, like API Gateway (REST).

``stack`` reads the deployed API, ``openapi`` compiles its body to operations and refuses unsupported features,
``vtl`` renders mapping templates, ``validation`` and ``signature`` check requests, ``integration`` calls the AWS
service, ``responses`` renders the gateway's own errors, ``api`` runs these steps in API Gateway's order, and ``server``
listens. README.md explains how to run it and what it does not emulate.

Errors at start-up::

    GatewayError
    ├── StackError            the deployed stack does not have exactly one readable API
    ├── UnsupportedError      the OpenAPI body uses a feature that the gateway does not support
    └── MappingTemplateError  a mapping template does not parse, or uses an undefined name
"""


class GatewayError(Exception):
    """The gateway cannot serve this API; the message explains why."""
