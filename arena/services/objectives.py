"""The trainer's objectives in words, by what they look at. A test holds them to the trainer's own table."""

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Label = str | Promise
# Without a word: the best measured for rankings of three and more (docs/benchmarks.md).
USUAL = "adpo-list"

GROUPS: tuple[tuple[Label, tuple[tuple[str, Label], ...]], ...] = (
    (
        _("The whole ranking"),
        (
            ("plackett-luce", _("Plackett-Luce: the likelihood of the whole ranking, ties in either order")),
            ("top-1", _("Top 1: only who is best")),
            ("pro", _("PRO: Plackett-Luce without a reference model, and the winner's likelihood")),
            ("tpo-list", _("TPO: pairs weighted by what they matter at the model's own order")),
            ("rankdpo", _("RankDPO: pairs weighted by what they matter at the voters' order")),
            ("ranklist", _("RankList: neighbours fully, wider gaps less")),
            ("adpo-list", _("Listwise ADPO: a soft distribution over the responses")),
            ("infonca", _("InfoNCA: a soft distribution, sharper")),
            ("nca", _("NCA: as InfoNCA, and no response may gain for nothing")),
            ("exo", _("EXO: reverse divergence, leaves out what is bad")),
        ),
    ),
    (
        _("Every pair"),
        (
            ("dpo", _("DPO: every pair, logistic; shares of votes as soft labels")),
            ("robust-dpo", _("Robust DPO: some votes are taken to be wrong")),
            ("dr-dpo", _("Dr. DPO: votes unlike the others of a step count less")),
            ("ipo", _("IPO: every pair, squared")),
            ("hinge", _("Hinge (SLiC): every pair up to a margin")),
            ("simpo", _("SimPO: per token, without a reference model")),
            ("dpo-norm", _("Length-normalised DPO: per token")),
            ("r-dpo", _("R-DPO: a price on length")),
            ("f-dpo-forward-kl", _("f-DPO, forward KL: covers more, moves less")),
            ("f-dpo-js", _("f-DPO, Jensen-Shannon")),
            ("f-dpo-alpha", _("f-DPO, alpha divergence")),
            ("rpo", _("RPO: DPO and the winner's likelihood")),
            ("cpo", _("CPO: without a reference model, and the winner's likelihood")),
            ("orpo", _("ORPO: odds ratio, without a reference model")),
            ("dpo-positive", _("DPO-Positive: the winner may not become less likely")),
            ("discopop", _("DiscoPOP: a loss found by search")),
            ("adpo", _("ADPO: soft labels by the lead in the ranking")),
            ("madpo", _("MADPO: hard pairs count more; needs a reward model")),
            ("reward-gap", _("Reward gap: learns how much better; needs a reward model")),
            ("modpo", _("MODPO: votes for one aim, a reward model for the others")),
            ("aot", _("AOT: dominance over all pairs of a step")),
            ("aot-unpaired", _("AOT unpaired: the better above the worse as a whole")),
        ),
    ),
    (
        _("Each response on its own"),
        (
            ("sft", _("SFT: only the best response, as a text to learn")),
            ("kto", _("KTO: good and bad, learns from all-bad votes")),
            ("bco", _("BCO: a classifier of good and bad, learns from all-bad votes")),
            ("bco-pair", _("BCO on pairs")),
            ("nca-pair", _("NCA on pairs")),
            ("apo-zero", _("APO-zero: winners up, losers down")),
            ("apo-down", _("APO-down: both down, losers further")),
            ("sppo", _("SPPO: each response to its share of wins")),
        ),
    ),
    (
        _("Pairs and ties"),
        (
            ("davidson", _("Davidson: every pair, and learns from ties")),
            ("rao-kupper", _("Rao-Kupper: every pair, and learns from ties")),
        ),
    ),
    (
        _("Reward models (no contestant, but a judge)"),
        (
            (
                "reward-bradley-terry",
                _("Bradley-Terry: a reward for each response; vote shares as soft labels"),
            ),
            ("reward-plackett-luce", _("Plackett-Luce: a reward from whole rankings")),
            ("reward-davidson", _("Davidson: a reward, learns from ties")),
            ("reward-gpm", _("General preference embedding: preferences that go in circles")),
            ("reward-mixture", _("Mixture of heads: voters of several tastes")),
        ),
    ),
    (
        _("Token by token"),
        (
            ("ld-dpo", _("LD-DPO: what only the longer response has counts less")),
            ("tdpo", _("TDPO: keeps near the base at every token")),
            ("tdpo2", _("TDPO2: as TDPO, for the losers only")),
            ("sparsepo", _("SparsePO: only tokens that matter to the base")),
        ),
    ),
)
OBJECTIVES: Sequence[tuple[str, Label]] = [one for _group, several in GROUPS for one in several]
REWARD_MODELS = "reward-"  # how the names of their objectives begin: such a run makes no contestant
# These want the folder of a reward model beside the votes.
NEED_REWARDS = ("madpo", "reward-gap", "modpo")
# The numbers that objectives have of their own, with what they are without a word.
OPTIONS: dict[str, dict[str, float]] = {
    "kto": {"desirable": 1.0, "undesirable": 1.0},
    "bco": {"shift": 1.0},
    "pro": {"alpha": 0.05},
    "ranklist": {"skip": 0.5},
    "adpo-list": {"tau": 0.2},
    "infonca": {"tau": 0.1},
    "nca": {"tau": 0.02},
    "exo": {"tau": 0.3},
    "dpo": {"label_smoothing": 0.0},
    "robust-dpo": {"label_smoothing": 0.1},
    "dr-dpo": {"tau": 1.0},
    "simpo": {"gamma": 0.5},
    "r-dpo": {"alpha": 0.01},
    "f-dpo-alpha": {"alpha": 0.5},
    "rpo": {"alpha": 1.0},
    "cpo": {"alpha": 1.0},
    "dpo-positive": {"penalty": 5.0},
    "discopop": {"tau": 0.05},
    "adpo": {"tau": 1.0, "sharpness": 0.5},
    "madpo": {"tau": 1.0, "slope": 0.5, "most": 3.0},
    "reward-gap": {"eta": 1.0},
    "modpo": {"weight": 0.5},
    "aot": {"label_smoothing": 0.0},
    "aot-unpaired": {"label_smoothing": 0.0},
    "davidson": {"nu": 1.0},
    "rao-kupper": {"nu": 3.0},
    "reward-bradley-terry": {"label_smoothing": 0.0},
    "reward-davidson": {"nu": 1.0},
    "reward-gpm": {"tau": 0.1},
    "ld-dpo": {"alpha": 0.5},
    "tdpo2": {"alpha": 0.5},
}
