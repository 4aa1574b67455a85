"""One condition of a promotion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from carprice.formats import figure
from carprice.strict_json import finite


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
        """The gate as JSON; its `value` is None where it is no finite number."""
        return asdict(self) | {"value": finite(round(float(self.value), 6)), "passed": self.passed}

    def sentence(self) -> str:
        """The gate in words."""
        verdict = "yes" if self.passed else "NO"
        return f"{verdict}: {self.name} is {figure(self.value)}, must be {self.comparison} {self.threshold:g}"
