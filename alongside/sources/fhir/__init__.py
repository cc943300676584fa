"""FHIR R4: bundles, single resources and NDJSON, each resource validated by `fhir.resources.R4B`."""
