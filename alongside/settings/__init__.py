"""The only reader of environment variables and configuration files."""

from alongside.settings.environment import Environment
from alongside.settings.hospital import HospitalSettings
from alongside.settings.project import Project
from alongside.settings.seeds import Seeds, read_seeds
from alongside.settings.yaml_source import Document, read_document, read_model, validate

__all__ = [
    "Document",
    "Environment",
    "HospitalSettings",
    "Project",
    "Seeds",
    "read_document",
    "read_model",
    "read_seeds",
    "validate",
]
