"""`weighbridge ui`: the report, the runs, audits, matrices and certificates in a browser on this machine."""

import argparse

from tracking.runs.errors import UserError
from weighbridge.cli.options import Command, add_folder

LOOPBACK = "127.0.0.1"  # never another: the pages ask nobody for a password
PORT = 8460


def ui_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", metavar="N", type=_port, default=PORT, help=f"of this machine (default: {PORT}; 0: any that is free)"
    )
    add_folder(parser)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to 65535)")
    return int(text)


def ui(options: argparse.Namespace) -> int:
    """Serve the pages until interrupted."""
    import logging

    from werkzeug.serving import make_server

    from weighbridge.cli.site import site

    if not options.folder.is_dir():
        raise UserError(f"--folder: there is no folder {options.folder}; `weighbridge repro` makes data/")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        server = make_server(LOOPBACK, options.port, site(options.folder), threaded=True)
    except (OSError, SystemExit) as problem:  # werkzeug exits where the port is taken
        raise UserError(
            f"--port: {options.port} cannot be used here: is it taken? --port 0 takes a free one"
        ) from problem
    print(f"http://{LOOPBACK}:{server.server_port}  (only from this machine; Ctrl+C ends it)", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()
    return 0


COMMANDS = {
    "ui": Command("look at the report, the runs and audits of any two in a browser on this machine", ui_options, ui)
}
