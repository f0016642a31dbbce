"""DETECTORS: every detector, in the order of the report. Adding one: a file, a line, three corpus cases."""

from __future__ import annotations

from forensics.detectors import (
    changed_entry,
    misplaced_tier_entry,
    missing_entry,
    missing_self_ip,
    oversized_value_write,
    pod_state_mismatch,
    stale_entry,
    stale_policyendpoint,
    unexplained_flow,
)

DETECTORS = (
    misplaced_tier_entry.DETECTOR,
    oversized_value_write.DETECTOR,
    missing_self_ip.DETECTOR,
    missing_entry.DETECTOR,
    stale_entry.DETECTOR,
    changed_entry.DETECTOR,
    pod_state_mismatch.DETECTOR,
    stale_policyendpoint.DETECTOR,
    unexplained_flow.DETECTOR,
)
