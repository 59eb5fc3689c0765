"""The Lambda that tells a topic what ended: end of an execution → message → SNS. It calls no other service."""
