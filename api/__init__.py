"""The REST API: its OpenAPI document, its mapping templates, and the code that builds two files from them. See README.md."""
