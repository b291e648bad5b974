"""What makes the company's figures what they are: the sizes of all its effects, and none of them in the placebo.

Effects on opinions are in logits: one logit is worth about 43 points of NPS, or 20 points of a top-two share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHANNELS = {"web": 0.4, "app": 0.35, "phone": 0.14, "chat": 0.11}

_STAY = {"basic": 2150.0, "plus": 2900.0, "premium": 3800.0}
_MIDDLING_STAY = dict.fromkeys(_STAY, 2600.0)


@dataclass(frozen=True, kw_only=True)
class World:
    """Sizes of effects; a world of defaults has none, so that whatever is found in it was found by chance.

    Attributes
    ----------
    is_planted
        Whether luck is kept out of the last two months, and single rows of the last one are spoilt.
    region, plan, channel, touchpoint, team
        Level to its effect on opinions; that of the channel is on recommending only, that of teams on employees.
    subgroup
        Region and plan to the effect of their crossing, beyond the effects of both.
    level, trend, season
        Effects on every opinion: always, every further month, and at the height of the season.
    channels_last_month, channel_lift, broken
        The last month's mix of channels, what every channel gains in it, and what the planted touchpoint loses.
    improvement
        What the touchpoint gains whose action works.
    leaving
        Effect on the opinions of those who leave within half a year.
    leaving_tickets
        How many more tickets they write, as a share of what others write.
    drivers
        Standardised weights of success, effort and emotion in the wish to recommend.
    answering
        Region to what it adds to the share of customers who answer.
    mean_stay_days, leaving_early
        Plan to the mean time that customers stay, and how much faster they leave within their first year.
    busy_season, quicker
        What the season adds to the volumes of surveys and tickets, and by how much the desk gets faster every month.
    """

    is_planted: bool = False
    region: Mapping[str, float] = field(default_factory=dict)
    plan: Mapping[str, float] = field(default_factory=dict)
    subgroup: Mapping[tuple[str, str], float] = field(default_factory=dict)
    channel: Mapping[str, float] = field(default_factory=dict)
    touchpoint: Mapping[str, float] = field(default_factory=dict)
    team: Mapping[str, float] = field(default_factory=dict)
    level: float = 0.0
    trend: float = 0.0
    season: float = 0.0
    channels_last_month: Mapping[str, float] = field(default_factory=lambda: CHANNELS)
    channel_lift: float = 0.0
    broken: float = 0.0
    improvement: float = 0.0
    leaving: float = 0.0
    leaving_tickets: float = 0.0
    drivers: tuple[float, float, float] = (0.0, 0.0, 0.0)
    answering: Mapping[str, float] = field(default_factory=dict)
    mean_stay_days: Mapping[str, float] = field(default_factory=lambda: _MIDDLING_STAY)
    leaving_early: float = 1.0
    busy_season: float = 0.0
    quicker: float = 0.0


HALDEN = World(
    is_planted=True,
    region={"north": 0.0, "east": 0.05, "south": -0.05, "west": 0.35, "central": -0.25},
    plan={"basic": -0.05, "plus": 0.0, "premium": 0.22},
    subgroup={("central", "basic"): -0.75},
    channel={"web": 0.28, "app": 0.38, "phone": -0.65, "chat": -0.55},
    touchpoint={
        "Website order": 0.2,
        "Shop visit": 0.1,
        "Installation visit": 0.1,
        "Self-install kit": 0.15,
        "Outage notice": -0.4,
        "Plan change": 0.0,
        "Support call": -0.1,
        "Technician visit": 0.25,
        "Help pages": -0.3,
        "First bill": -0.2,
        "Payment": 0.3,
        "Cancellation": -0.7,
    },
    team={"Installations": -0.6, "Network": 0.3},
    level=0.07,
    trend=0.01,
    season=0.05,
    channels_last_month={"web": 0.22, "app": 0.18, "phone": 0.36, "chat": 0.24},
    channel_lift=0.13,
    broken=-1.15,
    improvement=0.8,
    leaving=-0.9,
    leaving_tickets=1.0,
    drivers=(0.33, 0.15, 0.45),
    answering={"north": 0.01, "south": -0.01, "west": 0.02, "central": -0.03},
    mean_stay_days=_STAY,
    leaving_early=1.8,
    busy_season=0.05,
    quicker=0.004,
)
PLACEBO = World()
