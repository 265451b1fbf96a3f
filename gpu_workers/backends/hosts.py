"""Which addresses a backend may call: arena/outbound.py's rules, in the words of the backends."""

from collections.abc import Sequence

from arena.outbound import OutboundError, Refused, Rules, addresses, check_url
from gpu_workers.backends.base import BackendError


def rules_for(hosts: Rules | Sequence[str]) -> Rules:
    return hosts if isinstance(hosts, Rules) else Rules(hosts=tuple(hosts))


def check_host(endpoint: str, hosts: Rules | Sequence[str]) -> str:
    """The endpoint without a slash at its end. Raises BackendError where it may not be called."""
    try:
        rules = rules_for(hosts)
        target = check_url(endpoint, rules)
        if not target.named:
            addresses(target, rules)
    except Refused as refusal:
        raise BackendError(f"The endpoint {endpoint!r} is refused: {refusal}") from None
    except OutboundError as error:
        raise BackendError(str(error)) from None
    return endpoint.rstrip("/")
