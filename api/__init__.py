"""The REST API: its OpenAPI document and mapping templates, and what is written out of them. See README.md."""
