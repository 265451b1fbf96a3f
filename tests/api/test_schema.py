"""The documentation and the answers agree, and the documentation is whole."""

import jsonschema
import pytest
import yaml

from arena import errors
from arena.api.errors import STATUS, status_of
from arena.services import analyses, jobs
from arena.services.data_sets import request_data_set
from arena.services.leaderboards import current_leaderboard
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(anonymous):
    return yaml.safe_load(anonymous.get("/api/v1/schema/").content)


def strict(node):
    """OpenAPI 3.0 as JSON schema: null where nullable, and no keys but the documented ones."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: strict(value) for key, value in node.items() if key != "nullable"} | (
        {"nullable": True} if node.get("nullable") else {}
    )
    if node.get("type") == "object" and "properties" in node:
        node.setdefault("additionalProperties", False)
    if node.pop("nullable", False):
        node = {"anyOf": [node, {"type": "null"}]}
    return node


def check(schema, path, method, answer):
    documented = schema["paths"][path][method]["responses"][str(answer.status_code)]
    shape = documented["content"]["application/json"]["schema"]
    root = {"components": strict(schema["components"]), **strict(shape)}
    jsonschema.validate(answer.json(), root)


def test_every_answer_is_as_documented(schema, anonymous, api, grace, open_arena):
    lead = api(grace)
    start = anonymous.post("/api/v1/battles/", {"arena": "garden"}, format="json")
    check(schema, "/api/v1/battles/", "post", start)
    vote = "/api/v1/battles/{battle_id}/vote/"
    address = vote.format(battle_id=start.json()["id"])
    for body in ({"ranks": [9]}, {"best": 1}, {"best": 1}):
        check(schema, vote, "post", anonymous.post(address, body, format="json"))
    check(schema, "/api/v1/battles/", "post", anonymous.post("/api/v1/battles/", {}, format="json"))
    for name in ("", "contestants/", "leaderboard/", "leaderboard/analysis/"):
        path = f"/api/v1/arenas/{{slug}}/{name}"
        check(schema, path, "get", anonymous.get(path.format(slug="garden")))
        check(schema, path, "get", anonymous.get(path.format(slug="nowhere")))
    check(schema, "/api/v1/arenas/", "get", anonymous.get("/api/v1/arenas/"))
    for name in ("data-sets/", "training-runs/", "jobs/"):
        check(schema, f"/api/v1/{name}", "get", anonymous.get(f"/api/v1/{name}"))
        check(schema, f"/api/v1/{name}", "get", lead.get(f"/api/v1/{name}"))
    made = lead.post("/api/v1/data-sets/", {"arena": "garden"}, format="json")
    check(schema, "/api/v1/data-sets/", "post", made)
    analyses.compute(current_leaderboard(open_arena))
    path = "/api/v1/arenas/{slug}/leaderboard/analysis/"
    check(schema, path, "get", anonymous.get(path.format(slug="garden")))
    job = jobs.enqueue(kind="generate", title="Generate", arena=open_arena)
    cancel = lead.post(f"/api/v1/jobs/{job.pk}/cancel/")
    check(schema, "/api/v1/jobs/{id}/cancel/", "post", cancel)


def test_every_endpoint_says_what_it_is_for(schema):
    assert len(schema["paths"]) >= 16
    for path, methods in schema["paths"].items():
        for method, endpoint in methods.items():
            assert endpoint.get("summary") or endpoint.get("description"), (method, path)


def test_no_name_of_a_contestant_is_in_the_documentation(anonymous, open_arena):
    body = anonymous.get("/api/v1/schema/").content.decode()

    assert not any(one.name in body for one in open_arena.contestants.all())


def test_the_documentation_page_runs_no_inline_script(anonymous):
    page = anonymous.get("/api/v1/docs/")

    assert page.status_code == 200
    assert b"<script>" not in page.content
    assert "script-src 'self';" in page["Content-Security-Policy"] + ";"
    assert anonymous.get("/api/v1/docs/?script=")["Content-Type"].startswith("application/javascript")


def every_error(kind=errors.ArenaError):
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


@pytest.mark.parametrize("kind", list(every_error()))
def test_every_error_of_the_domain_has_a_status(kind):
    error = kind(3, "why.") if kind is errors.BadRow else kind("why.")

    assert 400 <= status_of(error) < 500
    assert set(STATUS) <= set(every_error())


def test_data_sets_are_numbered_in_the_arena_and_found_by_id(schema, api, grace, open_arena):
    factories.make_vote(open_arena)
    data_set = request_data_set(arena=open_arena)

    answer = api(grace).get(f"/api/v1/data-sets/{data_set.pk}/")

    check(schema, "/api/v1/data-sets/{id}/", "get", answer)
