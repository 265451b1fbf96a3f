from django.apps import AppConfig


class ArenaConfig(AppConfig):
    name = "arena"
    verbose_name = "Arena"

    def ready(self) -> None:
        from arena import keeper  # noqa: F401  (connects to the signals of a Celery worker)
        from arena.services import afterwards, channels

        afterwards.connect()
        channels.register("talk", "arena.services.live_turns.TalkKeeper")
