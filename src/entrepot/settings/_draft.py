"""Settings while they are being read: values so far, and everything found wrong so far."""

from dataclasses import dataclass, field
from typing import Any

from entrepot.errors import Invalid
from entrepot.settings._kinds import Fault
from entrepot.settings._table import variable


@dataclass(slots=True)
class Draft:
    """Values by field name (None while unset), where each came from, and the faults."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def put(self, name: str, value: object, source: str) -> None:
        """Gives the field `name` a value."""
        self.values[name] = value
        self.sources[name] = source

    def blame(self, name: str, fault: Fault) -> None:
        """Notes what is wrong with the field `name`."""
        self.faults.setdefault(name, []).append(f"{fault.problem}; {fault.remedy}")

    def sound(self, *names: str) -> bool:
        """Whether nothing is wrong with these fields so far, so that a rule may look at them."""
        return not any(name in self.faults for name in names)

    def raise_faults(self) -> None:
        """Raises one Invalid with a line per fault, or nothing where there is none."""
        lines = {variable(name): problems for name, problems in sorted(self.faults.items())}
        if not lines:
            return
        count = sum(map(len, lines.values()))
        listed = [f"  {name}: {problem}" for name in lines for problem in lines[name]]
        raise Invalid(
            "\n".join([f"{count} setting{' is' if count == 1 else 's are'} wrong:", *listed]),
            field=next(iter(lines)),
            code="settings-invalid",
            remedy="Mend the lines above; docs/reference/settings.md explains every setting.",
            details={name: " | ".join(problems) for name, problems in lines.items()},
        )
