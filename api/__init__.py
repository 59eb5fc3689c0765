"""The REST API: its OpenAPI document, its mapping templates, and what builds two files from them. See README.md."""
