"""An S3 endpoint on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager

SECRET = "of-this-test"  # noqa: S105 - moto takes any


@contextmanager
def s3_endpoint() -> Iterator[str]:
    """Address of an empty store; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()
