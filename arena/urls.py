from django.contrib import admin
from django.urls import include, path

from arena import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("annotation.api.urls")),
    path("api/v1/", include("arena.api.urls")),
    path("", include("annotation.urls")),
    path("", include("annotation.campaign_urls")),
    path("", include("arena.views.urls")),
]
