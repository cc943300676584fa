"""All definitions that planning reads, and the checks that need more than one kind of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from alongside.content import ContentCatalogue
from alongside.content import load as load_content
from alongside.model.enums import Purpose, Written
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding
from alongside.outreach import experiments, sensitivity
from alongside.outreach.campaigns import (
    Campaign,
    CampaignFile,
    check_holdouts,
    check_references,
    load_campaigns,
    read_campaigns,
)
from alongside.outreach.experiments import ExperimentDefinition
from alongside.outreach.routes import check_routes
from alongside.outreach.sensitivity import SensitivityRules, breaches
from alongside.segments import Catalogue, check_variables, compile_variables, in_document
from alongside.segments import load as load_segments
from alongside.settings import Project, read_document

#: Person column that every campaign depends on, whatever its segment reads.
ALWAYS_READ = frozenset({"patient.source_id"})


@dataclass(frozen=True)
class Catalogues:
    """What `config/` and `templates/` say, loaded and checked."""

    segments: Catalogue
    content: ContentCatalogue
    campaigns: tuple[Campaign, ...]
    experiments: Mapping[str, ExperimentDefinition]
    sensitivity: SensitivityRules = field(default_factory=SensitivityRules)

    def experiment_of(self, campaign: str) -> ExperimentDefinition | None:
        """The running experiment on this campaign, if any."""
        found = [item for item in self.experiments.values() if item.campaign == campaign]
        return found[0] if found else None

    def layer_mates(self, experiment: ExperimentDefinition) -> list[str]:
        """The other enabled experiments of its layer."""
        mine = experiment.layer
        if mine is None:
            return []
        return [
            name
            for name, other in self.experiments.items()
            if name != experiment.name and other.layer is not None and other.layer.name == mine.name
        ]

    def messages_of(self, campaign: Campaign) -> tuple[str, ...]:
        """Every message that the campaign could send, sorted."""
        experiment = self.experiment_of(campaign.name)
        return tuple(sorted({campaign.message, *(experiment.messages.values() if experiment else ())}))

    def clinical_variants(self, experiment: ExperimentDefinition) -> frozenset[str]:
        """Variants with medical content in a version that none of its reviewers has signed."""
        return frozenset(variant for variant, message in experiment.messages.items() if self._unsigned(message))

    def _unsigned(self, message: str) -> bool:
        definition = self.content.message(message).definition
        if definition.purpose is not Purpose.CARE:
            return False
        signature = definition.approved
        if signature is None or signature.hash != self.content.template_hash(message):
            return True
        return signature.role not in definition.reviewers

    def expressions_of(self, campaign: Campaign) -> dict[str, str]:
        """Expressions of the campaign itself."""
        own = {"occurrence": campaign.repeat.per, "fulfilled": campaign.fulfilled_when}
        return {name: text for name, text in own.items() if text is not None}

    def variables_of(self, message: str) -> dict[str, str]:
        """Expressions behind a message's variables."""
        definition = self.content.message(message).definition
        return {name: variable.value for name, variable in definition.variables.items()}

    def reads(self, campaign: Campaign) -> frozenset[str]:
        """Every canonical field, `table.column`, that decides about the campaign's audience or words."""
        addresses = {f"patient.{channel.address}" for channel in campaign.channels}
        found = ALWAYS_READ | addresses | self.segments.reads("segment", campaign.segment)
        for expressions in (
            self.expressions_of(campaign),
            *(self.variables_of(message) for message in self.messages_of(campaign)),
        ):
            found |= compile_variables(expressions, self.segments).reads
        return found


def load(project: Project) -> Catalogues:
    """Everything, or `ConfigurationInvalid` with every fault of the files that were read."""
    return Catalogues(
        load_segments(project),
        load_content(project),
        tuple(load_campaigns(project)),
        experiments.load(project),
        sensitivity.load(project),
    )


def check(project: Project, segments: Catalogue | None, content: ContentCatalogue | None) -> list[Finding]:
    """Faults in campaigns and experiments, and in references between all kinds of files.

    Segments or messages are None where they have faults of their own: what refers to them is looked at once they have
    none.
    """
    files, faults = read_campaigns(project)
    tests, more = experiments.examine(project)
    faults += more
    rules, more = sensitivity.read(project)
    faults += more
    if segments is None or content is None:
        return faults
    faults += check_references(
        files, segments.segments, {name: content.message(name).definition.to for name in content}
    )
    faults += _campaign_expressions(files, segments)
    faults += _experiments_with_relatives(project, tests, content)
    faults += _medical_bandits(project, tests, content)
    faults += _campaign_routes(files, tests, content)
    faults += check_holdouts(files, _purposes(files, tests, content))
    for name in content:
        message = content.message(name)
        faults += check_variables(
            {key: variable.value for key, variable in message.definition.variables.items()},
            segments,
            in_document(message.document, "variables", leaf="value"),
        )
    return [*faults, *_sensitivity_of(content, segments, rules)]


def _sensitivity_of(content: ContentCatalogue, segments: Catalogue, rules: SensitivityRules) -> Iterator[Finding]:
    """What would tell too much. Bodies and expressions with faults of their own are looked at once they have none."""
    for name in content:
        for channel in content.message(name).definition.channels:
            with suppress(ConfigurationInvalid):
                yield from (breach.finding() for breach in breaches(name, channel, content, segments, rules))


def _purposes(
    files: Iterable[CampaignFile], tests: Iterable[experiments.ExperimentFile], content: ContentCatalogue
) -> dict[str, set[Purpose]]:
    """Of every message that a campaign could send."""
    named = [(file.campaign.name, file.campaign.message) for file in files]
    named += [(test.campaign, variant.message) for test in tests for variant in test.variants]
    found: dict[str, set[Purpose]] = {}
    for campaign, message in named:
        if message in content:
            found.setdefault(campaign, set()).add(content.message(message).definition.purpose)
    return found


def _campaign_routes(
    files: Iterable[CampaignFile], tests: Iterable[experiments.ExperimentFile], content: ContentCatalogue
) -> list[Finding]:
    faults: list[Finding] = []
    variants = [(test.campaign, variant.message) for test in tests for variant in test.variants]
    for file in files:
        messages = {file.campaign.message, *(name for campaign, name in variants if campaign == file.campaign.name)}
        faults += check_routes(file, messages, content, content.settings)
    return faults


def _experiments_with_relatives(
    project: Project, tests: Iterable[experiments.ExperimentFile], content: ContentCatalogue
) -> Iterator[Finding]:
    """Arms hold patients; what a relative does with a message is not what the patient does."""
    for test in tests:
        for index, variant in enumerate(test.variants):
            if variant.message in content and content.message(variant.message).definition.to is not Written.PATIENT:
                document = read_document(project.config / "experiments" / f"{test.name}.yaml")
                what = f"'{variant.message}' speaks to a relative, and an experiment compares patients"
                yield document.finding("variants", index, "message", what=what, remedy="choose a message to patients")


def _medical_bandits(
    project: Project, tests: Iterable[experiments.ExperimentFile], content: ContentCatalogue
) -> Iterator[Finding]:
    """Nobody's care follows the luck of those before."""
    for test in tests:
        for index, variant in enumerate(test.variants if test.bandit else ()):
            if variant.message in content and content.message(variant.message).definition.purpose is Purpose.CARE:
                document = read_document(project.config / "experiments" / f"{test.name}.yaml")
                what = f"'{variant.message}' is medical content, and a bandit lets luck choose who gets it"
                yield document.finding("variants", index, "message", what=what, remedy="remove bandit: fixed shares")


def _campaign_expressions(files: Iterable[CampaignFile], segments: Catalogue) -> list[Finding]:
    faults: list[Finding] = []
    for file in files:
        campaign = file.campaign
        if campaign.repeat.per is not None:
            faults += check_variables({"per": campaign.repeat.per}, segments, in_document(file.document, "repeat"))
        if campaign.fulfilled_when is not None:
            expression = {"fulfilled_when": campaign.fulfilled_when}
            faults += check_variables(expression, segments, in_document(file.document), condition=True)
    return faults
