"""What was stored in English is told in the reader's language."""

import ast
import re

import pytest
from django.utils import translation

from arena.models import Job
from arena.translations import ROOT
from arena.views.retold import SENTENCES, retold
from ranking import Votes, fit

MODELS = ["Ann", "Bob", "Cleo", "Dora"]


def board_warnings(pairs: list[tuple[str, str, str]], **options) -> list[str]:
    a, b, winner = zip(*pairs, strict=True) if pairs else ([], [], [])
    votes = Votes.from_pairs(list(a), list(b), list(winner), models=MODELS, **options)
    return list(fit(votes, model="bradley-terry", cluster="voter" if "voters" in options else None).warnings)


@pytest.mark.parametrize("language", ["de", "zh-hans"])
@pytest.mark.parametrize(
    ("pairs", "options"),
    [
        ([], {}),
        ([("Ann", "Bob", "model_a"), ("Bob", "Cleo", "model_a")], {}),
        ([("Ann", "Bob", "model_a"), ("Ann", "Bob", "model_b"), ("Cleo", "Dora", "tie")], {}),
        ([("Ann", "Bob", "tie"), ("Cleo", "Dora", "tie"), ("Ann", "Cleo", "model_a")], {}),
        ([("Ann", "Bob", "both_bad"), ("Ann", "Bob", "model_a"), ("Ann", "Cleo", "both_bad")], {}),
        ([("Ann", "Bob", "model_a"), ("Bob", "Ann", "model_a")], {"voters": ["v", "w"]}),
    ],
)
def test_every_warning_of_a_fit_is_translated(language, pairs, options):
    said = board_warnings(pairs, **options)

    assert said
    with translation.override(language):
        assert [warning for warning in said if retold(warning) == warning] == []


def test_the_values_of_a_sentence_stay():
    with translation.override("de"):
        assert retold("Train Oak 2 from Oak from home") == "Oak 2 from Oak aus home trainieren"
        assert retold("Responses of 50 % Oak (%s)") == "Antworten von 50 % Oak (%s)"


def test_the_reason_within_a_reason_is_told_too():
    reason = "Battles shown twice were answered alike in 40 % of their pairs."
    with translation.override("de"):
        said = retold(f"Excluded from the campaign: {reason}")

        assert said == f"Aus der Kampagne ausgeschlossen: {retold(reason)}"
        assert retold(reason) != reason


def test_in_english_a_stored_sentence_is_what_it_was():
    for sentence in SENTENCES:
        stored = re.sub(r"%\((\w+)\)s", r"a \1", sentence).replace("%%", "%")
        assert retold(stored) == stored


def test_a_sentence_nobody_knows_stays():
    with translation.override("zh-hans"):
        assert retold("Out of cheese.") == "Out of cheese."
        assert retold("") == ""


def stored_sentences() -> list[tuple[str, str]]:
    """The titles and messages of jobs, as the code writes them: {…} stands for a value."""
    found = []
    for path in [*(ROOT / "arena/services").rglob("*.py"), *(ROOT / "gpu_workers").glob("*_task.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and called(node) in {"enqueue", "progress", "update", "give_back"}:
                for keyword in node.keywords:
                    if keyword.arg in {"title", "message"} and (text := written(keyword.value)):
                        found.append((path.name, text))
    return found


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def written(value: ast.expr) -> str:
    if isinstance(value, ast.Subscript):
        value = value.value
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "7" for one in value.values)
    return ""


@pytest.mark.parametrize(("file", "text"), sorted(set(stored_sentences())))
def test_every_title_and_message_of_a_job_is_known(file, text):
    with translation.override("de"):
        assert retold(text) != text


@pytest.mark.parametrize(
    "text",
    [
        "Step 3 of 136, loss 2.118",
        "Scoring under the base: part 2 of 9",
        "Learning the best responses, step 1 of 4",
    ],
)
def test_what_a_training_run_says_while_it_trains_is_known(text):
    with translation.override("de"):
        assert retold(text) != text


def test_a_job_s_page_tells_its_title_and_news(open_arena, grace, sign_in):
    job = Job.objects.create(
        kind=Job.Kind.GENERATE,
        arena=open_arena,
        title="Responses of Oak",
        message="Opening Oak",
        state="running",
    )
    page = sign_in(grace).get(f"/jobs/{job.pk}/", headers={"accept-language": "de"}).content.decode()

    assert "Antworten von Oak" in page
    assert "Oak wird geöffnet" in page
    assert "Responses of" not in page
