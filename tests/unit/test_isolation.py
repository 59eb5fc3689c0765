"""The rules of this suite hold."""

import os
import socket

import boto3
import pytest
from pytest_socket import SocketBlockedError


def test_sockets_are_blocked() -> None:
    with pytest.raises(SocketBlockedError), pytest.warns(UserWarning, match="socket"):
        socket.socket()


def test_the_only_credentials_are_harmless() -> None:
    credentials = boto3.Session().get_credentials()

    assert credentials is not None
    assert credentials.access_key == "testing"
    assert credentials.method == "env"
    assert "AWS_PROFILE" not in os.environ
