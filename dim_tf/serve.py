"""Serve a run over HTTP, with a page to talk to it: `python -m dim_tf.serve --run RUN`.

    python -m dim_tf.serve --run RUN --port 8000

Open http://127.0.0.1:8000/ in a browser, or http://127.0.0.1:8000/docs for the requests that
programs send. SIGTERM and Ctrl-C end the service once it has answered what it has accepted.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, positive, run as run_command, whole
from dim_tf.errors import UsageError

TOKEN = "DIM_TF_TOKEN"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    given = arguments.token or os.environ.get(TOKEN, "")
    token = given.strip()
    if given and not token:
        raise UsageError("the token is blank: give letters, or leave it out")
    if not token and not _is_loopback(arguments.host):
        raise UsageError(
            f"--host {arguments.host}: others can reach this address; give --token, or set {TOKEN}"
        )
    if not (token.isascii() and token.isprintable()):
        raise UsageError("the token has characters that a header cannot carry: give ASCII letters")
    try:
        from dim_tf.service.server import serve
    except ImportError as error:
        raise UsageError(
            f"the service needs {error.name}: python -m pip install --editable '.[serve]'"
        ) from None
    return serve(
        run=arguments.run,
        pool=arguments.pool,
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        token=token,
        queue=arguments.queue,
        time_limit=arguments.time_limit,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _port(text: str) -> int:
    return whole(text, 0, 65_535)


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.serve", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="use this run folder or pretrained model")
    add("--pool", help="reply from this folder of python -m dim_tf.index")
    add("--host", default="127.0.0.1", help="listen on this address")
    add("--port", type=_port, default=8000, metavar="N", help="listen on this port; 0 for any")
    add("--token", help=f"require this bearer token (default: the variable {TOKEN}, if set)")
    add("--workers", type=positive, default=1, metavar="N", help="start N processes")
    add("--queue", type=positive, default=100, metavar="N", help="let N requests wait per process")
    add(
        "--time-limit",
        type=positive,
        default=30,
        metavar="S",
        help="give up on a request after S seconds",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
