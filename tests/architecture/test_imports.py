"""The two import maps: between the packages, and inside a Django package."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["ranking", "gpu_workers", "arena", "annotation"]
STANDARD = set(sys.stdlib_module_names)

# What each package may import beside the standard library and itself.
RANKING = {"numpy", "scipy", "choix", "pyarrow"}
GPU_CORE = RANKING | {"torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "ranking"}
GPU_CORE |= {"httpx", "huggingface_hub", "jinja2", "deepspeed"}
# No Django in them: the words that the demo speaks, requests to addresses that somebody typed, and
# what files of models are.
GPU_MAY_READ = ["arena.demo_corpus", "arena.media_formats", "arena.outbound"]
# Beside gpu_workers/tasks.py the work of one task may live in a module of its own, named *_task.py.
HEAVY = {"torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate", "deepspeed"}

# Inside a Django package: a module of one layer imports only from layers below it.
LAYERS = {"edges": 2, "services": 1, "models": 0}


def modules(package: str) -> list[Path]:
    found = [path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts]
    assert found, f"there is no module in {package}/"
    return found


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that the file imports, at whatever depth, with its line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively; name the package"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def top(name: str) -> str:
    return name.partition(".")[0]


def says(path: Path, line: int, name: str) -> str:
    return f"{path.relative_to(ROOT)}:{line} imports {name}"


def within(name: str, packages: list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize(("package", "allowed"), [("ranking", RANKING), ("gpu_workers", GPU_CORE)])
def test_the_mathematics_and_the_core_of_the_workers_know_no_django(package, allowed):
    wrong = [
        says(path, line, name)
        for path in modules(package)
        if not (package == "gpu_workers" and is_task(path))
        for name, line in imported(path)
        if top(name) not in STANDARD | allowed | {package}
        and not (package == "gpu_workers" and within(name, GPU_MAY_READ))
    ]

    assert wrong == []


def is_task(path: Path) -> bool:
    """The Celery entry points, which alone among the workers' modules touch the database."""
    return path.name == "tasks.py" or path.name.endswith("_task.py")


def test_the_workers_tasks_reach_the_database_through_services_only():
    allowed = ["arena.services", "arena.errors", "arena.celery", "arena.models", *GPU_MAY_READ]
    wrong = [
        says(path, line, name)
        for path in modules("gpu_workers")
        if is_task(path)
        for name, line in imported(path)
        if top(name) in {"arena", "annotation"} and not within(name, allowed)
    ]

    assert wrong == []


def test_the_arena_never_imports_torch_annotation_or_the_workers():
    forbidden = HEAVY | {"annotation", "gpu_workers"}
    wrong = [
        says(path, line, name)
        for path in modules("arena")
        for name, line in imported(path)
        if top(name) in forbidden
    ]

    assert wrong == []


def test_annotation_never_imports_torch_or_the_workers():
    wrong = [
        says(path, line, name)
        for path in modules("annotation")
        for name, line in imported(path)
        if top(name) in HEAVY | {"gpu_workers"}
    ]

    assert wrong == []


def layer(parts: tuple[str, ...]) -> str | None:
    """The layer of a module of arena or annotation, by its path; None for the ground all stand on."""
    if "models" in parts or parts[-1] == "managers":
        return "models"
    if "services" in parts:
        return "services"
    edges = {"views", "api", "tasks", "management", "admin", "urls", "forms"}
    return "edges" if edges & set(parts) else None


@pytest.mark.parametrize("package", ["arena", "annotation"])
def test_rules_know_no_pages_and_tables_know_no_rules(package):
    wrong = []
    for path in modules(package):
        own = layer(path.relative_to(ROOT).with_suffix("").parts)
        for name, line in imported(path):
            other = layer(tuple(name.split("."))) if top(name) in {"arena", "annotation"} else None
            if own and other and LAYERS[other] > LAYERS[own]:
                wrong.append(says(path, line, name))

    assert wrong == []


@pytest.mark.parametrize("package", ["arena", "annotation"])
def test_services_know_no_requests(package):
    """A service is called by the page, the API, the command line and the tests alike."""
    wrong = [
        says(path, line, name)
        for path in modules(package)
        if "services" in path.parts
        for name, line in imported(path)
        if within(name, ["rest_framework", "django.http", "django.shortcuts", "django.views"])
        and name != "django.http.HttpRequest"
    ]

    assert wrong == []


def test_the_web_process_and_the_default_worker_load_no_torch():
    """All pages, the API, the admin and the default worker's tasks are loaded, in a process of their own."""
    script = """
import sys
import arena.wsgi
from django.contrib import admin
from django.urls import get_resolver
from arena.celery import app
get_resolver().url_patterns
admin.autodiscover()
app.loader.import_default_modules()
heavy = {"torch", "transformers", "tokenizers", "peft", "accelerate", "deepspeed", "gpu_workers"}
print("loaded", sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "loaded []\n"


def test_the_core_of_the_workers_runs_without_django():
    """`python -m gpu_workers.train` needs no settings, no database and no web framework."""
    script = "import sys, gpu_workers.train; print('django' in sys.modules, 'celery' in sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "False False\n"
