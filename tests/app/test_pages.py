"""The pages of staff: signing in, the class, errors as pages; in a browser without JavaScript."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import Engine, select, update
from sqlmodel import Session, col

from app import credentials
from app.credentials import create_account, find_tenant
from app.main import create_app
from app.pages.session import COOKIE
from app.pages.sign_in import ATTEMPTS, local_path
from app.settings import Settings
from app.tables import Account, AuditEntry
from tests.app.schoolroom import furnish
from tests.lifespan import lifespan

PASSWORD = "correct horse battery"
HTML = {"Accept": "text/html"}
VOID = {"meta", "link", "input", "br", "!doctype"}


class Page(HTMLParser):
    """A parsed page: well nested, with its table, its text and its elements."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[tuple[str, dict[str, str | None], str]]] = []
        self.words: list[str] = []
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            tag, attrs, text = self.rows[-1][-1]
            self.rows[-1][-1] = (tag, attrs, " ".join(f"{text} {data}".split()))

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def field(self, name: str) -> str:
        """The value of a form's field."""
        return next(
            attrs["value"] or "" for tag, attrs in self.elements if tag == "input" and attrs["name"] == name
        )


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> Settings:
    """SQLite, unless a test asks for both worlds: below the pages, both are tested."""
    found = request.getfixturevalue(getattr(request, "param", "sqlite_settings"))
    assert isinstance(found, Settings)
    return found


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords that take a millisecond instead of a hundred."""
    hasher = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(credentials, "PASSWORDS", PasswordHash([hasher]))


@pytest.fixture
def account(sync_engine: Engine, tenant: int) -> int:
    with Session(sync_engine) as session, session.begin():
        return create_account(session, tenant, "ada", PASSWORD)


@pytest.fixture
def browser(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A browser that nobody has signed in with."""
    client.headers.update(HTML)
    return client


async def sign_in(browser: httpx2.AsyncClient, password: str = PASSWORD, **fields: str) -> httpx2.Response:
    """Fill in the form and send it."""
    form = Page(await browser.get("/sign-in"))
    sent = {"csrf": form.field("csrf"), "username": "ada", "password": password, **fields}
    return await browser.post("/sign-in", data=sent)


async def test_without_signing_in_every_page_leads_to_the_form(browser: httpx2.AsyncClient) -> None:
    for path, target in (
        ("/", "/sign-in"),
        ("/classes", "/sign-in?next=%2Fclasses"),
        ("/classes/1?all=true", "/sign-in?next=%2Fclasses%2F1%3Fall%3Dtrue"),
    ):
        answer = await browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, target)


@pytest.mark.parametrize("settings", ["sqlite_settings", "postgres_settings"], indirect=True)
async def test_signing_in_and_out(browser: httpx2.AsyncClient, account: int, sync_engine: Engine) -> None:
    answer = await sign_in(browser, next="/classes/3")
    assert (answer.status_code, answer.headers["location"]) == (303, "/classes/3")
    page = Page(await browser.get("/classes"))
    assert "ada" in page.text
    assert "There are no classes yet" in page.text
    assert (await browser.get("/sign-in")).headers["location"] == "/classes"
    left = await browser.post("/sign-out", data={"csrf": page.field("csrf")})
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
    assert (await browser.get("/classes")).status_code == 303
    with Session(sync_engine) as session:
        actions = session.execute(select(col(AuditEntry.action), col(AuditEntry.actor))).all()
    assert ("account.sign_in", f"account:{account}") in [tuple(row) for row in actions]


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    browser: httpx2.AsyncClient, account: int
) -> None:
    cookie = (await sign_in(browser)).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    browser.base_url = httpx2.URL("https://proxima.test")
    browser.cookies.clear()
    assert "Secure" in (await sign_in(browser)).headers["set-cookie"]


async def test_a_wrong_password_says_neither_what_is_wrong_nor_the_password(
    browser: httpx2.AsyncClient, account: int
) -> None:
    wrong = await sign_in(browser, "not the password")
    unknown = await sign_in(browser, "not the password", username="<b>nobody")
    assert wrong.status_code == unknown.status_code == 401
    assert "do not match" in Page(wrong).text
    assert "do not match" in Page(unknown).text
    assert "not the password" not in wrong.text
    assert "<b>" not in unknown.text
    assert (await browser.get("/classes")).status_code == 303


async def test_guessing_is_slowed_down(browser: httpx2.AsyncClient, account: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(credentials.PASSWORDS, "verify", lambda password, kept: password == PASSWORD)
    for _ in range(ATTEMPTS):
        assert (await sign_in(browser, "wrong")).status_code == 401
    stopped = await sign_in(browser)
    assert stopped.status_code == 429
    assert "Too many attempts" in Page(stopped).text
    assert (await sign_in(browser, "wrong", username="bea")).status_code == 401


@pytest.mark.parametrize("csrf", ["", "0" * 64, "é"])
async def test_a_form_of_another_site_is_refused(
    browser: httpx2.AsyncClient, account: int, csrf: str
) -> None:
    assert (await sign_in(browser, csrf=csrf)).status_code == 403
    await sign_in(browser)
    assert (await browser.post("/sign-out", data={"csrf": csrf})).status_code == 403
    assert (await browser.get("/classes")).status_code == 200


async def test_a_form_token_belongs_to_one_session(browser: httpx2.AsyncClient, account: int) -> None:
    before = Page(await browser.get("/sign-in")).field("csrf")
    await sign_in(browser)
    after = Page(await browser.get("/classes")).field("csrf")
    assert before != after
    assert (await browser.post("/sign-out", data={"csrf": before})).status_code == 403


async def test_a_forged_cookie_is_nobody(browser: httpx2.AsyncClient, account: int) -> None:
    await sign_in(browser)
    head, body, mark = browser.cookies[COOKIE].split(".")
    browser.cookies.clear()
    for forged in (f"{head}.{body}.{mark[::-1]}", "x", "eyJhbGciOiJub25lIn0." + body + "."):
        answer = await browser.get("/classes", headers={"Cookie": f"{COOKIE}={forged}"})
        assert answer.status_code == 303


async def test_a_new_password_ends_sessions(
    browser: httpx2.AsyncClient, account: int, sync_engine: Engine
) -> None:
    await sign_in(browser)
    with sync_engine.begin() as connection:
        changed = update(Account).where(col(Account.id) == account)
        connection.execute(changed.values(password_hash=credentials.PASSWORDS.hash("another password")))
    assert (await browser.get("/classes")).status_code == 303


@pytest.mark.parametrize(
    ("path", "goal"),
    [
        ("/classes/1?all=true", "/classes/1?all=true"),
        ("https://evil.test/", "/classes"),
        ("//evil.test/", "/classes"),
        ("/\\evil.test", "/classes"),
        ("", "/classes"),
    ],
)
def test_signing_in_leads_to_this_site_only(path: str, goal: str) -> None:
    assert local_path(path) == goal


@pytest.mark.parametrize("settings", ["sqlite_settings", "postgres_settings"], indirect=True)
async def test_a_class_as_a_table(
    browser: httpx2.AsyncClient, account: int, sync_engine: Engine, tenant: int
) -> None:
    answers = {"s/u10": "0+ 0+ 0+ 0+ 0+ 0+ 1-", "s/u2": "0- 0- 0- 0- 0-", "s/late": "1+ 1+ 1+", "s/<new>": ""}
    room = furnish(sync_engine, tenant, answers, labels=("Ratio & <rate>", "Percentages", "Never asked"))
    await sign_in(browser)
    page = Page(await browser.get(f"/classes/{room.classroom}"))
    head, *body, foot = page.rows
    assert [text for _, _, text in head] == [
        "Learner",
        "Answers",
        "Last answer",
        "Ratio & <rate>",
        "Percentages",
    ]
    assert all(attrs.get("scope") == "col" for _, attrs, _ in head)
    assert [row[0][2] for row in body] == ["s/<new>", "s/late", "s/u2", "s/u10"]
    assert all(row[0][0] == "th" and row[0][1]["scope"] == "row" for row in [*body, foot])
    weak, strong, few = body[2][3], body[3][3], body[3][4]
    assert 1 <= level(weak) < level(strong) <= 5
    assert re.fullmatch(r"\d+ %, 90 % interval \d+ to \d+ %, 6 answers", strong[1]["title"] or "")
    assert few[1] == {"class": "none", "title": "not enough evidence: 1 answer"}
    assert "not enough evidence" in few[2]
    assert body[0][2][2] == "never"
    assert "*" in body[1][2][2]
    assert ("caption", {"id": "mastery-caption"}) in page.elements
    for expected in (
        "As of",
        "UTC",
        "Learners 4",
        "Active in the last 7 days 3",
        "Answers 15",
        "Show all 3 components",
    ):
        assert expected in page.text
    everything = Page(await browser.get(f"/classes/{room.classroom}?all=true"))
    assert len(everything.rows[0]) == 6
    assert not [tag for tag, _ in page.elements if tag == "script"]


def level(cell: tuple[str, dict[str, str | None], str]) -> int:
    """Which fifth a cell is coloured as."""
    found = re.fullmatch(r"level-(\d)", cell[1]["class"] or "")
    assert found, cell
    return int(found[1])


async def test_empty_states_say_what_is_missing(
    browser: httpx2.AsyncClient, account: int, sync_engine: Engine, tenant: int
) -> None:
    nobody = furnish(sync_engine, tenant, {}, name="nobody")
    silent = furnish(sync_engine, tenant, {"s/u1": ""}, name="silent")
    await sign_in(browser)
    assert "Nobody is enrolled" in Page(await browser.get(f"/classes/{nobody.classroom}")).text
    assert "has answered anything yet" in Page(await browser.get(f"/classes/{silent.classroom}")).text
    listed = Page(await browser.get("/classes"))
    assert [row[0][2] for row in listed.rows[1:]] == ["nobody", "silent"]


async def test_another_schools_class_is_not_found(
    browser: httpx2.AsyncClient, account: int, sync_engine: Engine
) -> None:
    with Session(sync_engine) as session, session.begin():
        other = find_tenant(session, "other", make=True)
    room = furnish(sync_engine, other, {"s/u1": "0+"})
    await sign_in(browser)
    answer = await browser.get(f"/classes/{room.classroom}")
    assert answer.status_code == 404
    assert "There is no class" in Page(answer).text


async def test_errors_are_pages_for_browsers_and_problems_for_programs(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/no/such/page")
    assert page.status_code == 404
    assert page.headers["x-request-id"] in Page(page).text
    program = await browser.get("/no/such/page", headers={"Accept": "application/json"})
    assert program.headers["content-type"] == "application/problem+json"
    api = await browser.get("/v1/no/such/path")
    assert api.headers["content-type"] == "application/problem+json"
    assert (await browser.get("/classes", headers={"Accept": "*/*"})).status_code == 401


async def test_pages_keep_to_themselves(browser: httpx2.AsyncClient) -> None:
    for path in ("/sign-in", "/no/such/page", "/static/proxima.css"):
        headers = (await browser.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    form = (await browser.get("/sign-in")).headers
    assert form["cache-control"] == "no-store"


async def test_pages_ask_no_other_server(browser: httpx2.AsyncClient, account: int) -> None:
    await sign_in(browser)
    for path in ("/sign-in", "/classes"):
        page = Page(await browser.get(path, follow_redirects=True))
        links = [attrs.get("href") or attrs.get("src") or "" for _, attrs in page.elements]
        assert all(link.startswith(("/", "#", "data:")) for link in links if link)
    assert "url(" not in (await browser.get("/static/proxima.css")).text


async def test_static_files_do_not_lead_out(browser: httpx2.AsyncClient) -> None:
    for path in ("/static/../rendering.py", "/static/%2e%2e/rendering.py", "/static/..%2frendering.py"):
        assert (await browser.get(path)).status_code == 404


async def test_a_session_outlives_the_server(settings: Settings, account: int) -> None:
    """The secret is kept: a restart signs nobody out."""
    cookies = httpx2.Cookies()
    for expected in (303, 200):
        async with (
            lifespan(create_app(settings)) as running,
            httpx2.AsyncClient(
                transport=httpx2.ASGITransport(running),
                base_url="http://proxima.test",
                cookies=cookies,
                headers=HTML,
            ) as browser,
        ):
            assert (await browser.get("/classes")).status_code == expected
            if expected == 303:
                await sign_in(browser)
                cookies = browser.cookies
