from django.contrib.staticfiles.storage import HashedFilesMixin
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # untyped library
    """Static files under names that change with their content, those that our own scripts import too."""

    support_js_module_import_aggregation = True
    # Others' scripts name files that they do not bring along: only ours are read for what they import.
    _js_module_import_aggregation_patterns = (
        "annotation/*.js",
        HashedFilesMixin._js_module_import_aggregation_patterns[1],  # type: ignore[attr-defined]
    )
