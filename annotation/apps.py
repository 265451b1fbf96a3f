from django.apps import AppConfig


class AnnotationConfig(AppConfig):
    name = "annotation"
    verbose_name = "Annotation"

    def ready(self) -> None:
        from arena import keeper
        from arena.services import channels

        keeper.also_do("annotation.services.endings.end_overdue")
        channels.register("campaign", "annotation.services.keeper.CampaignKeeper")
