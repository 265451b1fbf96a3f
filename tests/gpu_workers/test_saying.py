"""What child processes say on standard output."""

import io
import json
import sys

from gpu_workers.saying import alone_on_standard_output, say


def test_what_libraries_print_meanwhile_goes_to_standard_error(capsys):
    with alone_on_standard_output():
        print("[WARNING] no accelerator")
        say("step", step=1)
    print("afterwards")

    said = capsys.readouterr()
    assert said.out.splitlines() == ['{"event": "step", "step": 1}', "afterwards"]
    assert said.err == "[WARNING] no accelerator\n"


def test_a_line_is_written_in_one_piece(monkeypatch):
    """Two processes that share an output would else come between a line and its end."""
    pieces: list[str] = []

    class Output(io.StringIO):
        def write(self, text: str) -> int:
            pieces.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stdout", Output())

    say("error", message="Straße")

    assert len(pieces) == 1
    assert pieces[0].endswith("}\n")
    assert json.loads(pieces[0]) == {"event": "error", "message": "Straße"}
