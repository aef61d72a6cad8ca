"""Ten decisions of the scenarios, explained: the text of ``envmon explain`` against the texts an engineer approved.

    python tests/bench/explain.py DIR [--only ID ...] [--write]

Plays each scenario to the decision named here (the first by that rule) and compares its explanation with the file in
``golden/explain``; ``--write`` writes the files anew: read every line of the difference before you keep it. Exits
with 1 when a text is another.
"""

import argparse
import difflib
import sys
from pathlib import Path

import yaml
from scenarios import Play, load_simulator

from envmon.core.advance import advance
from envmon.core.explain import Told, explain_decision, text
from envmon.model.event import Event

GOLDEN = Path(__file__).parent / "golden" / "explain"
DECISIONS = (
    ("F01_all_dx_fail", "T10"),  # every unit fails, in a room that is fast
    ("F04_chillers_lost", "T60"),  # the chillers go, and there is time for stages
    ("I15_cme_2025", "Z30"),  # a slow loss that the air shows before the plant does
    ("F08_half_blind", "T10"),  # half the sensors are silent
    ("F03_gen_fails", "W11"),  # the batteries carry the site
    ("B01_backup_hot", "T13"),  # nowhere to go: the backup is hot as well
    ("B04_dnr_stale", "T13"),  # nowhere to go: its list of numbers not to record is old
    ("B07_inhibit", "T12"),  # somebody holds
    ("H08_partition_10min", "Z40"),  # nothing is heard of the whole site
    ("H07_n_plus_1_loss", "Z20"),  # a unit is lost, and there was none to spare
)


class Until(Play):
    """A play that stops at the first decision by a rule; ``found`` is its explanation."""

    rule = ""
    found = ""

    def tell(self, event: Event) -> None:
        if self.found:
            return
        for each in advance(self.world, event).decisions:
            if each.rule == self.rule and each.subject.rpartition(":")[2] not in self.far:
                told = Told(each.rule, each.subject, each.sentence, each.why, each.facts, event.at.wall, each.refused)
                self.found = text(explain_decision(told)) + "\n"
                return
        super().tell(event)

    @property
    def far(self) -> frozenset[str]:
        """The rooms of the backup: they are not what is told of."""
        return frozenset(zone.id for zone in self.site.policy.zones if not zone.here)


def explained(path: Path, rule: str) -> str:
    """The explanation of the first decision by ``rule`` in a scenario; "" when it never came."""
    scenario = yaml.safe_load(path.read_text(encoding="utf-8"))
    rows = load_simulator(path.parent).run(scenario, None)["rows"]
    kept = {key: scenario[key] for key in ("sites", "limits", "drain_s", "duration_s") if key in scenario}
    play = Until({**kept, "sample_s": scenario.get("sample_s", 15)}, rows)
    play.rule = rule
    play.begin()
    for second in range(play.duration + 1):
        play.wall += 1.0
        play.moment(second, play.samples.get(second, []), edge=second % 2 == 0, tick=True)
        if play.found:
            break
    return play.found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    others = 0
    for scenario, rule in DECISIONS:
        if asked.only and not scenario.startswith(tuple(asked.only)):
            continue
        said = explained(asked.dir / f"{scenario}.yaml", rule) or f"{rule} never fired\n"
        file = GOLDEN / f"{scenario}-{rule}.txt"
        if asked.write:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(said, encoding="utf-8")
        approved = file.read_text(encoding="utf-8") if file.exists() else ""
        others += said != approved
        print(f"{scenario} {rule}: {'as approved' if said == approved else 'ANOTHER TEXT'}", flush=True)
        sys.stdout.writelines(difflib.unified_diff(approved.splitlines(True), said.splitlines(True), "approved", "now"))
    return int(others > 0)


if __name__ == "__main__":
    sys.exit(main())
