"""The local gateway: serves the OpenAPI body that is deployed to a stage the way API Gateway (REST) does.

``stack`` reads what is deployed, ``openapi`` turns its body into operations and refuses what it
does not know, ``vtl`` renders mapping templates, ``validation`` and ``signature`` judge requests,
``integration`` calls the AWS service, ``responses`` words the gateway's own errors, ``api`` puts these in API
Gateway's order and ``server`` listens. README.md says how to run it and what it does not emulate.

Errors of start-up::

    GatewayError
    ├── StackError            the deployed stack does not hold one API that can be read
    ├── UnsupportedError      the OpenAPI body asks for something that the gateway does not do
    └── MappingTemplateError  a mapping template does not parse, or uses a name that nothing defines
"""


class GatewayError(Exception):
    """The gateway cannot serve this API; the message is one sentence for a person."""
