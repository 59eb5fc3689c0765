"""The Lambda that publishes a message when an execution has ended: event → message → SNS. It calls no other service."""
