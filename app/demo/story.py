"""The story of one learner, told through the HTTP API as a practice app would use it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx2
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from app.demo.school import Size
from app.demo.stages import SOURCE, Credentials
from app.main import create_app
from app.settings import Settings

STORY_SIZE = Size(pupils=100, answers=60)
STEPS = 30
NAMES = ("ada", "bilal", "chiara", "dede", "emre", "femi", "greta", "hana", "ivo", "jun", "kofi", "lena")
MINUTE_MS, DAY_MS = 60_000, 86_400_000
LATER_DAYS = (0, 1, 7, 30, 90)
BAR = 40


class StoryFailed(RuntimeError):
    """The server did not do what the story tells of."""


async def tell_story(settings: Settings, credentials: Credentials, seed: int, console: Console) -> None:
    """Run the server in this process and tell what one learner does and what comes back."""
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        story = Story(client, credentials, seed, console)
        await story.prepare()
        await story.answer_one_by_one()
        await story.answer_in_a_batch()
        await story.repeat_and_refuse()
        before = await story.knowledge(story.now)
        await story.refit()
        await story.compare(before)
        await story.learn_and_forget()


class Story:
    """One learner of one seed: who it is, what it practises, how it answers."""

    def __init__(
        self, client: httpx2.AsyncClient, credentials: Credentials, seed: int, console: Console
    ) -> None:
        self.client = client
        self.seed = seed
        self.console = console
        self.random = np.random.default_rng(seed)
        self.frontend = {"Authorization": f"Bearer {credentials.frontend_key}"}
        self.admin = {"Authorization": f"Bearer {credentials.admin_key}"}
        self.now = int(time.time() * 1000)
        self.learner = ""
        self.topic: dict[str, Any] = {}
        self.labels: dict[str, str] = {}
        self.items: dict[str, list[dict[str, Any]]] = {}
        self.last_event: dict[str, Any] = {}

    async def ask(
        self, method: str, path: str, body: Any = None, *, as_admin: bool = False, wanted: int = 200
    ) -> httpx2.Response:
        """A request; StoryFailed when its status is not the one wanted."""
        headers = self.admin if as_admin else self.frontend
        response = await self.client.request(method, path, json=body, headers=headers)
        if response.status_code != wanted:
            raise StoryFailed(f"{method} {path}: {response.status_code}, not {wanted}: {response.text[:500]}")
        return response

    def heading(self, text: str, request: str) -> None:
        """What comes next, and by which request."""
        self.console.print(f"\n[bold]{text}[/bold]  [dim]{request}[/dim]")

    async def prepare(self) -> None:
        """Create the learner and choose what it practises."""
        name = str(self.random.choice(NAMES))
        for n in range(1, 1000):
            wanted = {"source": SOURCE, "pseudonym": name if n == 1 else f"{name}-{n}"}
            response = await self.client.post("/v1/learners", json=wanted, headers=self.frontend)
            if response.status_code == 201:
                break
        self.learner = response.json()["learner"]
        components = (await self.ask("GET", f"/v1/components?course={SOURCE}")).json()["components"]
        self.labels = {one["kc"]: one["label"] for one in components}
        found = await self.ask("GET", f"/v1/items?course={SOURCE}&limit=500", as_admin=True)
        for item in found.json()["items"]:
            for kc in item["components"]:
                self.items.setdefault(kc, []).append(item)
        fit = [one for one in components if 1 <= len(one["prerequisites"]) <= 3]
        self.topic = fit[int(self.random.integers(len(fit)))]
        self.heading("A new learner", "POST /v1/learners")
        self.console.print(f"{self.learner} begins with: {self.topic['label']}")

    def event(self, kc: str, timestamp: int, chance: float) -> dict[str, Any]:
        """An answer to an item of a component, right with a chance."""
        item = self.items[kc][int(self.random.integers(len(self.items[kc])))]
        right = self.random.random() < chance
        answer = item["answer_key"] if right else "b"
        return {
            "event_id": str(uuid4()),
            "learner": self.learner,
            "action": "answer",
            "item": item["item"],
            "user_answer": answer,
            "timestamp": timestamp,
            "elapsed_time": int(self.random.integers(8_000, 60_000)),
        }

    async def answer_one_by_one(self) -> None:
        """Eight answers, each with what is known after it."""
        self.heading("Eight answers, one by one", "POST /v1/interactions")
        kc, begin = self.topic["kc"], self.now - 3 * DAY_MS
        talent = self.random.uniform(0.15, 0.6)
        for n in range(8):
            event = self.event(kc, begin + n * 2 * MINUTE_MS, min(talent + 0.07 * n, 0.95))
            told = (await self.ask("POST", "/v1/interactions", event)).json()
            known = next(one for one in told["knowledge"] if one["kc"] == kc)
            mark = "[green]right[/green]" if told["correct"] else "[red]wrong[/red]"
            self.console.print(f"  {event['item']:<9} {mark}  {figure(known)}  {interval(known)}")
            self.last_event = event

    async def answer_in_a_batch(self) -> None:
        """A tablet that was offline sends what was done on it the day after."""
        self.heading("A tablet comes online with twelve more", "POST /v1/interactions:batch")
        related = [*self.topic["prerequisites"], self.topic["kc"]]
        begin, events = self.now - DAY_MS, []
        chances = dict(zip(related, self.random.uniform(0.3, 0.95, len(related)), strict=True))
        for n in range(12):
            kc = related[n % len(related)]
            events.append(self.event(kc, begin + n * MINUTE_MS, chances[kc]))
        told = (await self.ask("POST", "/v1/interactions:batch", {"events": events})).json()
        right = sum(result["correct"] for result in told["results"])
        self.console.print(f"  {told['accepted']} accepted, {right} right, {told['rejected']} rejected")
        latest = {known["kc"]: known for result in told["results"] for known in result["knowledge"]}
        for kc in related:
            self.console.print(f"  {self.labels[kc][:34]:<34} {figure(latest[kc])}  {interval(latest[kc])}")

    async def repeat_and_refuse(self) -> None:
        """The same event again, and events that are refused."""
        self.heading("The network stuttered: an event is sent twice", "POST /v1/interactions")
        first = await self.ask("POST", "/v1/interactions", self.last_event)
        again = await self.ask("POST", "/v1/interactions", self.last_event)
        if first.content != again.content or again.headers.get("Idempotent-Replayed") != "true":
            raise StoryFailed("a repeated event was not answered as at first")
        seq = again.json()["seq"]
        self.console.print(f"  answered as at first, byte for byte: still its event number {seq}")
        self.heading("What is refused", "POST /v1/interactions")
        fresh = self.event(self.topic["kc"], self.now, 1.0)
        unknown = {**fresh, "item": f"{SOURCE}/q99999"}
        other = {**self.last_event, "user_answer": "c"}
        await self.refused("an item that is not there", unknown, 404)
        await self.refused("a client's own verdict", {**fresh, "correct": True}, 422)
        await self.refused("an event id with another body", other, 409)

    async def refused(self, what: str, event: dict[str, Any], status: int) -> None:
        """Show the problem that answers an event."""
        problem = (await self.ask("POST", "/v1/interactions", event, wanted=status)).json()
        self.console.print(f"  {what}: {status} [yellow]{problem['code']}[/yellow], {problem['detail']}")

    async def knowledge(self, at: int) -> dict[str, dict[str, Any]]:
        """What is known of the learner at a moment, by component."""
        path = f"/v1/learners/{self.learner}/knowledge?course={SOURCE}&at={at}"
        told = (await self.ask("GET", path)).json()
        return {known["kc"]: known for known in told["knowledge"]}

    async def refit(self) -> None:
        """Ask for a fit of the course, watch it, and show how it was judged."""
        self.heading("The model is fitted to everybody's answers", "POST /v1/refits")
        body = {"course": SOURCE, "seed": self.seed, "steps": STEPS}
        run = (await self.ask("POST", "/v1/refits", body, as_admin=True, wanted=202)).json()
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console) as progress:
            bars: dict[str, Any] = {}
            while run["state"] != "failed" and run["progress"]["phase"] != "done":
                await asyncio.sleep(0.3)
                run = (await self.ask("GET", f"/v1/refits/{run['id']}", as_admin=True)).json()
                now = run["progress"]
                bar = bars.setdefault(now["phase"], None)
                if bar is None:
                    for earlier in progress.tasks:
                        progress.update(earlier.id, completed=earlier.total)
                    bars[now["phase"]] = progress.add_task(now["phase"], total=now["steps"])
                progress.update(bars[now["phase"]], completed=now["step"], total=now["steps"])
        if run["state"] == "failed":
            raise StoryFailed(f"the refit failed: {run['reason']}")
        self.show_gates(run)

    def show_gates(self, run: dict[str, Any]) -> None:
        """The gates with their numbers, and what became of the fit."""
        table = Table("gate", "verdict", "what was found", box=None, padding=(0, 2))
        marks = {True: "[green]passed[/green]", False: "[red]missed[/red]", None: "-"}
        for gate in run["gates"]:
            table.add_row(gate["name"], marks[gate["passed"]], gate["text"])
        self.console.print(table)
        scores = ", ".join(
            f"{model} log loss {found['nll']:.4f}, AUC {found['auc']:.3f}, ECE {found['ece']:.3f}"
            for model, found in run["metrics"].items()
            if found.get("auc") is not None
        )
        self.console.print(f"  on learners it has not seen: {scores}")
        serves = "serves from now on" if run["is_serving"] else "does not serve"
        self.console.print(f"  fit {run['id']} {serves}: {run['state']}, {run['reason']}")

    async def compare(self, before: dict[str, dict[str, Any]]) -> None:
        """What is known by the old and by the new fit."""
        await self.until_refiltered()
        after = await self.knowledge(self.now)
        self.heading("What is known, before and after", "GET /v1/learners/.../knowledge")
        table = Table("component", "answers", "before", "after", box=None, padding=(0, 2))
        for kc in self.shown():
            cells = [figure(one[kc]) for one in (before, after)]
            table.add_row(self.labels[kc], str(after[kc]["evidence"]), *cells)
        self.console.print(table)

    async def learn_and_forget(self) -> None:
        """A good day, by the new fit, and what will be left of it."""
        self.heading("A good day: ten more answers, by the new fit", "POST /v1/interactions:batch")
        kc, begin = self.topic["kc"], self.now - 20 * MINUTE_MS
        events = [self.event(kc, begin + n * 2 * MINUTE_MS, 0.9) for n in range(10)]
        told = (await self.ask("POST", "/v1/interactions:batch", {"events": events})).json()
        right = sum(result["correct"] for result in told["results"])
        self.console.print(f"  {right} of {len(events)} right")
        self.heading("Forgetting", "GET /v1/learners/.../knowledge?at=")
        last = events[-1]["timestamp"]
        known = {days: (await self.knowledge(last + days * DAY_MS))[kc] for days in LATER_DAYS}
        for days, one in known.items():
            when = f"after {days} days" if days else "right after"
            self.console.print(f"  {when:<14} {figure(one)}  {interval(one)}")
        half_life = known[0]["half_life_days"]
        change = known[30]["mastery"] - known[0]["mastery"]
        fades = (
            "nothing of it fades"
            if half_life is None
            else f"half of what fades is gone in {half_life:.1f} days"
        )
        self.console.print(f"  {self.labels[kc]}: {change:+.3f} in a month without practice; {fades}")

    async def until_refiltered(self) -> None:
        """Wait until the server has seen which fit serves (it looks every two seconds)."""
        path = f"/v1/learners/{self.learner}/knowledge?course={SOURCE}"
        fits = (await self.ask("GET", "/v1/fits", as_admin=True)).json()["fits"]
        serving = next((fit["id"] for fit in fits if fit["is_serving"]), 0)
        for _ in range(100):
            told = (await self.ask("GET", path)).json()
            if told["courses"][0]["fit_id"] == serving:
                return
            await asyncio.sleep(0.1)
        raise StoryFailed(f"the learner's knowledge was not brought to fit {serving}")

    def shown(self) -> Sequence[str]:
        """The topic, what it builds on, and something the learner has not met."""
        related = [self.topic["kc"], *self.topic["prerequisites"]]
        others = [kc for kc in self.labels if kc not in related]
        return [*related, others[int(self.random.integers(len(others)))]]


def figure(known: dict[str, Any]) -> str:
    """Mastery with its 90 % interval."""
    return f"{known['mastery']:.2f} [{known['low']:.2f}, {known['high']:.2f}]"


def interval(known: dict[str, Any]) -> str:
    """The 90 % interval as a line from 0 to 1."""
    low, middle, high = (round(known[name] * (BAR - 1)) for name in ("low", "mastery", "high"))
    cells = ["·"] * BAR
    cells[low : high + 1] = ["─"] * (high + 1 - low)
    cells[middle] = "●"
    return "".join(cells)
