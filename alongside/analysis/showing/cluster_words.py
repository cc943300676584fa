"""What a result says of households and clinics, where those were assigned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from alongside.analysis.judging.clustered import per_cluster
from alongside.analysis.observing.observation import Observed
from alongside.analysis.observing.sums import ClusterSums, Sums
from alongside.analysis.result import Words
from alongside.model.enums import Locale
from alongside.outreach.experiments import ExperimentDefinition, MetricKind, Unit

_UNITS = {Unit.HOUSEHOLD: ("家庭", "households"), Unit.CLINIC: ("科室", "clinics")}


def on_clusters(definition: ExperimentDefinition, observed: Observed) -> Iterator[Words]:
    """How many were assigned as a whole, and which rates are compared by them; nothing where people were assigned."""
    if not definition.unit.is_cluster:
        return
    zh_unit, en_unit = _UNITS[definition.unit]
    counted = Counter[str]()
    for by_arm in observed.channels.values():
        counted.update(by_arm)
    zh = "、".join(f"{name} {counted[name]:,}" for name in definition.shares)
    en = ", ".join(f"{name} {counted[name]:,}" for name in definition.shares)
    yield {
        Locale.ZH_CN: f"按{zh_unit}整体分组：{zh}；各组人数检验和伤害监测以{zh_unit}为单位",
        Locale.EN: f"{en_unit} were assigned as a whole ({en}); sample-ratio check and watch for harm count them",
    }
    for metric in definition.metrics:
        sums = observed.sums.get(metric.name, {})
        control = sums[definition.control].clusters if definition.control in sums else None
        if (
            metric.kind is MetricKind.BINARY
            and control
            and any(_few(control, sums, arm) for arm in definition.treatments)
        ):
            zh = f"“{metric.words(Locale.ZH_CN)}”太少或太普遍，按{zh_unit}比较"
            en = f"“{metric.words(Locale.EN)}” is too rare, or too usual, to compare people: {en_unit} are"
            yield {Locale.ZH_CN: zh, Locale.EN: en}


def _few(control: ClusterSums, sums: Sums, arm: str) -> bool:
    found = sums[arm].clusters if arm in sums else None
    return found is not None and per_cluster(found, control)
