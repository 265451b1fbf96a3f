"""An endpoint of the user's own, for any modality: a small JSON contract (docs/backends.md).

POST ADDRESS/generate     {"contract": 1, "messages": […], "system_prompt": "", "seed": 7, "parameters": {…}}
  → {"text": "…"}  or  {"file": {"media_type": "image/png", "base64": "…"}}
GET  ADDRESS/capabilities → {"contract": 1, "modality": "text", "languages": ["en"], …}
"""

import base64
import binascii
import json
from typing import Any

from arena import outbound
from arena.media_formats import BadFile, for_voters
from gpu_workers.backends.asking import AskingBackend, Failed
from gpu_workers.backends.base import BackendError, GenerationRequest, GenerationResult, Sampling

CONTRACT = 1


class CustomBackend(AskingBackend):
    """Prompt in, text or file out."""

    name = "custom"

    def read_parameters(self) -> Sampling:
        """The endpoint knows its own parameters: they are passed on as they are."""
        most = self.spec.parameters.get("max_new_tokens", Sampling.max_new_tokens)
        return Sampling.parse({"max_new_tokens": most})

    def path(self) -> str:
        return f"{self.address}/generate"

    def capabilities(self) -> dict[str, Any]:
        """What the endpoint says of itself. Raises BackendError where it says nothing sensible."""
        try:
            answer = self._session.get(f"{self.address}/capabilities", headers=self._headers)
            said = answer.json()
        except outbound.OutboundError as error:
            raise BackendError(f"{self.address}/capabilities came to nothing. {error}") from None
        except ValueError:
            raise BackendError(f"{self.address}/capabilities is not JSON.") from None
        if answer.status != 200 or not isinstance(said, dict) or said.get("contract") != CONTRACT:
            raise BackendError(f'{self.address}/capabilities must answer 200 with {{"contract": 1, …}}.')
        return {name: value for name, value in said.items() if name != "contract"}

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        parameters = dict(self.spec.parameters)
        if request.temperature is not None:
            parameters["temperature"] = request.temperature
        return {
            "contract": CONTRACT,
            "messages": [dict(message) for message in request.messages],
            "system_prompt": self.spec.system_prompt,
            "seed": request.seed % 2**31,
            "parameters": parameters,
        }

    def parsed(self, key: str, content: bytes) -> GenerationResult:
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or ("text" in answer) == ("file" in answer):
            raise Failed('The endpoint\'s answer must be {"text": …} or {"file": …}.')
        facts: dict[str, Any] = {
            "finish_reason": str(answer.get("finish_reason") or "stop")[:40],
            "tokens": _whole(answer.get("tokens")),
            "prompt_tokens": _whole(answer.get("prompt_tokens")),
        }
        if "file" in answer:
            media_type, data = _file(answer["file"])
            return GenerationResult(key, file=data, media_type=media_type, **facts)
        if not isinstance(answer["text"], str):
            raise Failed("The endpoint's answer holds no text.")
        plain = answer["text"].strip()
        return GenerationResult(
            key, text=plain, raw="" if plain == answer["text"] else answer["text"], **facts
        )

    def said(self, content: bytes) -> str:
        try:
            return f": {' '.join(str(json.loads(content)['error']).split())[:200].rstrip('.')}"
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""


def _file(given: Any) -> tuple[str, bytes]:
    try:
        media_type, data = str(given["media_type"]), base64.b64decode(given["base64"], validate=True)
    except (LookupError, TypeError, binascii.Error, ValueError):
        raise Failed('A file must be {"media_type": …, "base64": …}.') from None
    if not data:
        raise Failed("The endpoint's file is empty.")
    try:
        for_voters(data, media_type)  # what cannot be shown is told now, not when it is stored
    except BadFile as error:
        raise Failed(str(error)) from None
    return media_type, data


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
