"""Text from an endpoint that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, a vendor."""

import json
from collections.abc import Mapping
from typing import Any

from gpu_workers.backends.asking import AskingBackend, Failed, Limits
from gpu_workers.backends.base import GenerationRequest, GenerationResult, with_system_prompt

__all__ = ["EndpointBackend", "Limits"]


class EndpointBackend(AskingBackend):
    """Chat completions, not streamed: nobody sees a text before all of it is there."""

    name = "openai"

    def path(self) -> str:
        return f"{self.address}/chat/completions"

    def body(self, request: GenerationRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.spec.endpoint_model,
            "messages": with_system_prompt(self.spec.system_prompt, request.messages),
            "max_tokens": self.sampling.max_new_tokens,
            "seed": request.seed % 2**31,  # some servers read 32 bits
            "stream": False,
        }
        for name in ("temperature", "top_p", "top_k", "repetition_penalty"):
            # Only what was asked for: not every server knows every name.
            if (value := getattr(self.sampling, name)) is not None:
                body[name] = value
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.logprobs:
            body.update(logprobs=True, top_logprobs=request.logprobs)
        return body

    def parsed(self, key: str, content: bytes) -> GenerationResult:
        try:
            answer = json.loads(content)
            choice = answer["choices"][0]
            text = choice["message"]["content"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise Failed("The endpoint's answer is not a chat completion.") from None
        if not isinstance(text, str):
            raise Failed("The endpoint's answer holds no text.")
        usage = answer.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        plain = text.strip()
        return GenerationResult(
            key=key,
            text=plain,
            raw="" if text == plain else text,
            finish_reason=str(choice.get("finish_reason") or "")[:40],
            prompt_tokens=_count(usage.get("prompt_tokens")),
            tokens=_count(usage.get("completion_tokens")),
            first_logprobs=_first_logprobs(choice),
        )

    def said(self, content: bytes) -> str:
        try:
            answer = json.loads(content)
            # FastAPI's own refusals, which `transformers serve` passes on, are in "detail".
            error = answer["error"] if "error" in answer else answer["detail"]
            text = error["message"] if isinstance(error, dict) else error
        except (ValueError, LookupError, TypeError, RecursionError):
            return ""
        return f": {' '.join(str(text).split())[:200].rstrip('.')}"


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _first_logprobs(choice: Mapping[str, Any]) -> dict[str, float] | None:
    """Log-probabilities of what could have been the first token, where the endpoint gives them."""
    try:
        first = choice["logprobs"]["content"][0]["top_logprobs"]
        return {str(one["token"]): float(one["logprob"]) for one in first}
    except (LookupError, TypeError, ValueError):
        return None
