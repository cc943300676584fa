"""The services that can be booked. Apart, so that reading bookings does not load numpy."""

from __future__ import annotations

SERVICES: tuple[str, ...] = (
    "follow_up",
    "screening",
    "vaccination",
    "surgery",
    "pre_op_assessment",
    "rehabilitation",
    "antenatal",
    "consultation",
)
