"""An endpoint of one's own, as small as it can be: it paints a picture of what it is asked for.

    python docs/examples/painter.py --port 8123

Then add a contestant with the backend "custom" and the endpoint http://127.0.0.1:8123, and try it out:
`python manage.py check_contestant NAME --arena SLUG`. The contract is in docs/backends.md. The
picture is stripes whose colours come from the words and the seed; put a model in the place of `paint`.
"""

import argparse
import base64
import hashlib
import json
import struct
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SIDE = 256
CAPABILITIES = {"contract": 1, "modality": "image", "turns": 1}


def paint(words: str, seed: int, stripes: int) -> bytes:
    """A PNG of SIDE by SIDE dots."""
    colours = hashlib.shake_256(f"{words}/{seed}".encode()).digest(3 * stripes)
    rows = b"".join(b"\0" + colours[(at := 3 * (y * stripes // SIDE)) : at + 3] * SIDE for y in range(SIDE))
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    words = str(asked["messages"][-1]["content"])
    stripes = min(64, max(1, int(asked.get("parameters", {}).get("stripes", 8))))
    picture = paint(words, int(asked["seed"]), stripes)
    return {"file": {"media_type": "image/png", "base64": base64.b64encode(picture).decode()}}


class Painter(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        known = self.path.endswith("/capabilities")
        self.send(200 if known else 404, CAPABILITIES if known else {"error": "There is nothing here."})

    def do_POST(self) -> None:
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send(200, answer(asked))
        except (ValueError, LookupError, TypeError) as error:
            self.send(400, {"error": f"The request cannot be read: {error}."})

    def send(self, status: int, said: dict[str, Any]) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the screen."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8123)
    ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Painter).serve_forever()
