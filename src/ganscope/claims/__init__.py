"""The numbered claims: what the theory states, checked by running it. Nothing heavy is imported before `select`."""

from ganscope.claims.claim import Claim, ClaimResult, select

__all__ = ["Claim", "ClaimResult", "select"]
