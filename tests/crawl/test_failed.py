"""Addresses that cannot be looked up: settled as failed with a reason, never in the way, tried again on demand."""

from dataclasses import dataclass

from whoismesh.dump import open_dump
from whoismesh.networks import Unheld
from whoismesh.practice.compare import compare
from whoismesh.practice.faults import CALM, Decision, Fault, Weather

SPACE = ("193.104.0.0/16",)


@dataclass(frozen=True, slots=True)
class Ill(Weather):
    """Registries that have an error for every address of some /24s until they are healed."""

    places: tuple[str, ...] = ()
    healed: tuple[bool, ...] = ()

    @property
    def calm(self) -> bool:
        return False

    def decide(self, registry: str, protocol: str, question: str, nth: int) -> Decision:
        ill = not self.healed and any(place in question for place in self.places)
        return Decision(0.0, Fault.ERROR) if ill else CALM


def few_attempts(text: str) -> str:
    return text.replace("[crawl]", "[crawl]\nattempts = 1")


def test_what_failed_is_told_and_counted_and_can_be_tried_again(in_lab, table):
    weather = Ill(places=("193.104.7.", "193.104.100.", "193.104.200."))

    async def crawl(lab):
        command = ("crawl", "--config", lab.config(*SPACE, change=few_attempts), "--state", "state", "--json")
        first = await lab.run(*command)
        assert first.code == 1, first.err
        assert first.summary["settled"] == first.summary["space"]
        assert first.summary["failed"] > 0
        with open_dump(lab.folder / "results.msgpack") as dump:
            failed = [each for each in dump if isinstance(each, Unheld) and each.kind == "failed"]
        assert failed
        assert all(each.reason for each in failed)

        object.__setattr__(weather, "healed", (True,))
        asked = len(lab.practice.requests)
        again = await lab.run(*command)
        assert again.code == 1, "run again it stays as it is"
        assert len(lab.practice.requests) == asked
        mended = await lab.run(*command, "--retry-failed")
        assert mended.code == 0, mended.err
        assert mended.summary["failed"] == 0
        assert compare(lab.folder / "results.msgpack", table).equal
        places = [each.address for each in lab.practice.requests[asked:]]
        assert places
        assert len(places) < asked / 2, "what was known is not asked again"

    in_lab(crawl, weather=weather)
