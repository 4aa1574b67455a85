"""One condition of a promotion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Gate:
    """One condition of a promotion: a value, its threshold, and whether it holds."""

    name: str
    value: float
    comparison: Literal[">=", "<="]
    threshold: float
    explanation: str

    @property
    def passed(self) -> bool:
        """Whether the value is on the right side of the threshold."""
        return self.value >= self.threshold if self.comparison == ">=" else self.value <= self.threshold

    def record(self) -> dict[str, Any]:
        """The gate as JSON."""
        return asdict(self) | {"value": round(float(self.value), 6), "passed": self.passed}

    def sentence(self) -> str:
        """The gate in words."""
        verdict = "yes" if self.passed else "NO"
        return f"{verdict}: {self.name} is {self.value:.4g}, must be {self.comparison} {self.threshold:g}"
