"""The shapes that go in and out of the API. Rules live in the services, not here."""

from typing import Any

from rest_framework import serializers

from arena.models import Arena, Contestant, DataSet, Job, TrainingRun
from arena.services.curation import KEEPS
from arena.services.judgement import judgement_data, judgement_of


class ErrorSerializer(serializers.Serializer):
    error = serializers.CharField(help_text="What happened, then what to do.")


class BattleRequestSerializer(serializers.Serializer):
    arena = serializers.CharField(max_length=50, help_text="The arena's slug.")
    k = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="How many responses, 2 to 8; else the arena's number.",
    )


class MessageSerializer(serializers.Serializer):
    role = serializers.CharField()
    content = serializers.CharField()


class BlindPromptSerializer(serializers.Serializer):
    messages = MessageSerializer(many=True)


class BlindFileSerializer(serializers.Serializer):
    url = serializers.CharField(help_text="Where the file is, for the voter of this battle alone.")
    media_type = serializers.CharField(help_text="Of the copy that voters get; pictures are image/webp.")


class BlindSlotSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="Random, of this battle alone.")
    position = serializers.IntegerField(help_text="0 is shown first.")
    text = serializers.CharField()
    html = serializers.CharField(help_text="The text rendered from Markdown and sanitised.")
    file = BlindFileSerializer(allow_null=True, help_text="Where the response is a file; else null.")
    prompt = BlindPromptSerializer(
        allow_null=True, help_text="Its own prompt, where the battle has none for all (`joint` arenas)."
    )


class BlindBattleSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    arena = serializers.CharField()
    k = serializers.IntegerField()
    prompt = BlindPromptSerializer()
    slots = BlindSlotSerializer(many=True)


class VoteRequestSerializer(serializers.Serializer):
    """Exactly one of ranks, best, strength, all_bad and skip, and what the arena asks beside it."""

    ranks = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=8),
        required=False,
        help_text="One per slot by position: 1 is best, equal is tied.",
    )
    best = serializers.IntegerField(required=False, min_value=0, help_text="The position of the best one.")
    strength = serializers.IntegerField(
        required=False,
        min_value=-3,
        max_value=3,
        help_text="Between two: -3 is 'the first is much better', 0 a tie, 3 'the second is much better'.",
    )
    all_bad = serializers.BooleanField(required=False)
    skip = serializers.CharField(required=False, max_length=200, help_text="Why it cannot be judged.")
    active_ms = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, help_text="How long the battle was in view."
    )
    details = serializers.DictField(
        required=False,
        help_text="What the arena's `judgement` asks for: criteria, confidence, reason, spans, parts, "
        "rewrite, timing. See docs/data-format.md.",
    )


class VoteExtrasSerializer(serializers.Serializer):
    """What may come with a ballot. The ballot itself is read by arena/services/ballots.py."""

    active_ms = serializers.IntegerField(required=False, allow_null=True, min_value=0)
    details = serializers.DictField(required=False)


class RevealedSlotSerializer(serializers.Serializer):
    position = serializers.IntegerField()
    contestant = serializers.CharField(allow_null=True)
    rank = serializers.IntegerField(allow_null=True, help_text="Null: not ranked.")
    rating = serializers.FloatField(allow_null=True)
    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)


class RevealSerializer(serializers.Serializer):
    vote = serializers.IntegerField()
    revealed = serializers.BooleanField(
        help_text="False after a skip, and where the arena never shows names: they are null then."
    )
    slots = RevealedSlotSerializer(many=True)


class ArenaSerializer(serializers.ModelSerializer):
    judgement = serializers.SerializerMethodField(help_text="What voters are asked: docs/judgements.md.")

    class Meta:
        model = Arena
        fields = [
            "slug", "name", "description", "guidelines", "modality", "k", "access", "reveal", "judgement",
        ]  # fmt: skip

    def get_judgement(self, arena: Arena) -> dict[str, Any]:
        return judgement_data(judgement_of(arena))


class ContestantSerializer(serializers.ModelSerializer):
    # The framework takes fields off the class, so its own attribute `parent` stays what it is.
    parent = serializers.CharField(  # type: ignore[assignment]
        source="parent.name", default=None, allow_null=True, read_only=True
    )
    retired = serializers.SerializerMethodField()

    class Meta:
        model = Contestant
        fields = ["id", "name", "description", "backend", "parent", "retired", "created_at"]

    def get_retired(self, contestant: Contestant) -> bool:
        return contestant.retired_at is not None


class LeaderboardRowSerializer(serializers.Serializer):
    contestant = serializers.IntegerField()
    model = serializers.CharField()
    rating = serializers.FloatField(allow_null=True, help_text="Empty as long as nobody voted on it.")
    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)
    rank = serializers.IntegerField(allow_null=True)
    rank_lower = serializers.IntegerField(allow_null=True, help_text="The best place it may have.")
    rank_upper = serializers.IntegerField(allow_null=True, help_text="The worst place it may have.")
    votes = serializers.IntegerField()
    new = serializers.BooleanField(help_text="Nobody voted on it yet.")
    retired = serializers.BooleanField()


class LeaderboardSerializer(serializers.Serializer):
    arena = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_vote = serializers.IntegerField(help_text="The newest vote it was fitted to.")
    last_ruling = serializers.IntegerField()
    method = serializers.CharField()
    settings = serializers.DictField()
    counts = serializers.DictField(child=serializers.IntegerField())
    warnings = serializers.ListField(child=serializers.CharField())
    leaderboard = LeaderboardRowSerializer(many=True)


class JobSerializer(serializers.ModelSerializer):
    arena = serializers.CharField(source="arena.slug", default=None, allow_null=True, read_only=True)
    percent = serializers.IntegerField(read_only=True)

    class Meta:
        model = Job
        fields = [
            "id", "kind", "arena", "title", "state", "attempt", "done", "total", "percent", "message",
            "error", "created_at", "started_at", "finished_at",
        ]  # fmt: skip


class DataSetRequestSerializer(serializers.Serializer):
    arena = serializers.CharField(max_length=50, help_text="The arena's slug.")
    formats = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, allow_empty=False
    )


class DataSetSerializer(serializers.ModelSerializer):
    arena = serializers.CharField(source="arena.slug", read_only=True)
    job = JobSerializer(read_only=True, allow_null=True)

    class Meta:
        model = DataSet
        fields = [
            "id", "arena", "number", "formats", "counts", "last_vote", "last_ruling", "sha256", "job",
            "created_at", "completed_at",
        ]  # fmt: skip


class CurationRequestSerializer(serializers.Serializer):
    reward_model = serializers.IntegerField(help_text="The id of its training run.")
    keep = serializers.ChoiceField(choices=KEEPS, required=False)
    least = serializers.FloatField(
        min_value=0,
        max_value=1,
        required=False,
        help_text="Mean probability of a vote's pairs, for `agreeing`.",
    )


class TrainingRunRequestSerializer(serializers.Serializer):
    base = serializers.IntegerField(help_text="The contestant's id to start from.")
    data_set = serializers.IntegerField(help_text="The data set's id.")
    name = serializers.CharField(max_length=120, required=False, help_text="Of the new contestant.")
    objective = serializers.CharField(max_length=40, required=False)
    parameters = serializers.DictField(required=False, help_text="beta, learning_rate, epochs, …")
    held_back = serializers.BooleanField(
        required=False, help_text="The result becomes a contestant only once it is promoted."
    )


class TrainingPlanRequestSerializer(serializers.Serializer):
    base = serializers.IntegerField(help_text="The contestant's id to start from.")
    data_set = serializers.IntegerField(help_text="The data set's id.")
    parameters = serializers.DictField(required=False, help_text="What is set already.")


class SuggestionSerializer(serializers.Serializer):
    name = serializers.CharField()
    value = serializers.JSONField()
    reason = serializers.CharField()


class TrainingPlanSerializer(serializers.Serializer):
    """What the data set holds, what a run would take, and settings to begin with."""

    votes = serializers.DictField(source="data.__dict__", help_text="How many, ties, voters, agreement, …")
    base = serializers.DictField(source="model.__dict__", help_text="Its size.")
    steps = serializers.IntegerField()
    memory = serializers.IntegerField(help_text="Bytes, about.")
    memory_parts = serializers.DictField(
        child=serializers.IntegerField(), help_text="Bytes, by what takes them."
    )
    seconds = serializers.FloatField(allow_null=True, help_text="About; null where nothing like it has run.")
    time = serializers.DictField(
        source="time.__dict__", default=None, help_text="By so many earlier runs: the middle, least and most."
    )
    suggestions = SuggestionSerializer(many=True)
    cautions = serializers.ListField(child=serializers.CharField())


class LineSerializer(serializers.Serializer):
    part = serializers.CharField(
        help_text="settings, after (held out), fresh (of fresh samples) or arena (people's votes)."
    )
    name = serializers.CharField()
    values = serializers.ListField(child=serializers.JSONField(allow_null=True), help_text="One per run.")
    intervals = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(), allow_null=True),
        help_text="Of 95 %, one per run where they are known.",
    )


class ComparisonSerializer(serializers.Serializer):
    runs = serializers.ListField(child=serializers.IntegerField(), help_text="Ids, in the order of values.")
    differences = LineSerializer(many=True, help_text="Settings that are not the same in all.")
    results = LineSerializer(many=True)


class TrainingRunSerializer(serializers.ModelSerializer):
    arena = serializers.CharField(source="arena.slug", read_only=True)
    base = serializers.CharField(source="base.name", read_only=True)
    data_set = serializers.IntegerField(source="data_set.number", read_only=True, help_text="Its number.")
    result = serializers.CharField(source="result.name", default=None, allow_null=True, read_only=True)
    job = JobSerializer(read_only=True, allow_null=True)

    class Meta:
        model = TrainingRun
        fields = [
            "id", "arena", "name", "base", "data_set", "objective", "parameters", "held_back", "result",
            "summary", "job", "created_at", "completed_at",
        ]  # fmt: skip


class TracesSerializer(serializers.Serializer):
    """Where one vote went."""

    vote = serializers.IntegerField(source="vote.pk")
    counts = serializers.BooleanField(help_text="False: it was taken out of the count.")
    data_sets = serializers.ListField(child=serializers.IntegerField(), help_text="Numbers.")
    contestants = ContestantSerializer(many=True, help_text="That learnt from it.")
    held_back = serializers.ListField(
        child=serializers.IntegerField(), help_text="Ids of runs that learnt from it and made no contestant."
    )


class RulingRequestSerializer(serializers.Serializer):
    action = serializers.ChoiceField(choices=["quarantined", "restored"])
    reason = serializers.CharField(max_length=300)


class MetricSerializer(serializers.Serializer):
    step = serializers.IntegerField()
    values = serializers.DictField()


def as_object(data: Any) -> dict[str, Any]:
    """The body, if it is a JSON object; else a ValidationError."""
    if not isinstance(data, dict):
        raise serializers.ValidationError('Send a JSON object, such as {"arena": "demo"}.')
    return data


def checked(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """The body's checked values, or a ValidationError."""
    filled = serializer(data=as_object(data))
    filled.is_valid(raise_exception=True)
    return dict(filled.validated_data)
