"""The page of the service, in a browser."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading

import numpy as np
import pytest
import uvicorn

from dim_tf.data.text import TextRules
from dim_tf.ranking.attention import Explanation
from dim_tf.ranking.heatmap import Heatmap
from dim_tf.ranking.turn import Turn
from dim_tf.service.app import create_app

BROWSERS = ("chromium", "google-chrome")
MARKUP = "<b onclick=alert(1)>bold</b> <script>document.title='run'</script>"
REPLIES = ["hello", "like tea", MARKUP]


class WordCounter:
    """In place of a ranker: the score of a reply is the number of persona words in it."""

    profiles_read = 2

    def turn(self, context, persona, candidates):
        return Turn(context, persona, candidates)

    def rank_many(self, turns):
        return [self._rank(turn) for turn in turns]

    def _rank(self, turn):
        known = " ".join(turn.persona).split()
        scores = [sum(word in known for word in text.split()) for text in turn.texts]
        total = sum(np.exp(scores))
        return [
            {
                "rank": rank,
                "index": int(index),
                "candidate": turn.texts[index],
                "score": scores[index],
                "probability": np.exp(scores[index]) / total,
                "fits": scores[index] > 0,
            }
            for rank, index in enumerate(np.argsort(-np.array(scores), kind="stable"), start=1)
        ]

    def explain(self, context, persona, candidate):
        words, groups = tuple(candidate.split()), TextRules().context(context)
        seen = [word for group in groups for word in group]
        weights = np.array([[1.0 + (word == other) for other in seen] for word in words])
        weights /= weights.sum(1, keepdims=True)
        return Explanation(candidate, Heatmap("", words, tuple(groups), (), weights), None)


class Searching:
    """In place of a searcher: finds all of three replies."""

    def __len__(self):
        return len(REPLIES)

    def reply(self, context, persona, top_k, first_stage, filter):
        [rows] = WordCounter().rank_many([Turn(context, persona, REPLIES)])
        found = {"id": "1", "first_stage": {"dense": {"rank": 1, "score": 0.5}, "bm25": None}}
        return [{**row, **found} for row in rows[:top_k]]


@pytest.fixture(scope="module")
def address(request):
    """Of a service without a pool or with one."""
    app = create_app(WordCounter(), searcher=Searching() if request.param == "pool" else None)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser():
    found, driver = (
        next(filter(None, map(shutil.which, BROWSERS)), None),
        shutil.which("chromedriver"),
    )
    if not (found and driver):
        pytest.skip("needs a browser and its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = found
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(option)
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    with contextlib.closing(opened):
        yield opened
    opened.quit()


@pytest.mark.parametrize(
    ("address", "width", "scheme"),
    [("candidates", 1280, "light"), ("pool", 390, "dark")],
    indirect=["address"],
)
def test_a_conversation_with_the_keyboard(address, browser, width, scheme):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    def texts(selector):
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText)"
        return browser.execute_script(script, selector)

    def press(*keys):
        browser.switch_to.active_element.send_keys(*keys)

    def say(line, bubbles):
        press(line, Keys.ENTER)
        # The buttons work again once the reply is explained.
        ready = (By.CSS_SELECTOR, "form:has(#line:focus) #send:enabled")
        wait.until(lambda _: len(texts("#talk li")) == bubbles and browser.find_elements(*ready))

    wait = WebDriverWait(browser, 60)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    browser.get(address)
    for name, value in (("persona", "i like tea"), ("candidates", "\n".join(REPLIES))):
        for area in browser.find_elements(By.ID, name):
            area.clear()
            area.send_keys(value)
    browser.find_element(By.ID, "line").click()

    say(MARKUP, 2)
    say("like it?", 4)
    assert texts("#talk li") == [
        MARKUP,
        "like tea",
        "like it?",
        "hello\nnothing else fits; this is the nearest",
    ]
    assert texts("#rows tr")[0].split() == ["1", "0.7870", "yes", "like", "tea"]
    assert texts("#rows button") == ["like tea", "hello", MARKUP]
    assert texts("#rows [aria-pressed=true]") == ["hello"]
    # Tab leads from reply to reply, then to the words of the one that is explained.
    browser.execute_script("document.querySelector('#rows button').focus()")
    press(Keys.ENTER)
    wait.until(lambda _: texts("#words button") == ["all words", "like", "tea"])
    for key in (*[Keys.TAB] * 4, Keys.SPACE):
        press(key)
    assert texts("#words [aria-pressed=true]") == [browser.switch_to.active_element.text]
    assert set(texts("#maps span[style='--w: 1;']")) == {"like"}
    # Too many profiles: the message of the service is shown, and the conversation stays.
    browser.find_element(By.ID, "persona").send_keys("\na\nb\n")
    browser.find_element(By.ID, "line").click()
    press("hello", Keys.ENTER)
    wait.until(lambda _: "found 3 profiles, this model reads 2" in texts("#problem")[0])
    assert len(texts("#talk li")) == 4
    assert browser.title == "Talk to the bot"
    root = "document.documentElement"
    assert browser.execute_script(f"return {root}.scrollWidth <= {root}.clientWidth")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]
    refused = [entry for entry in browser.get_log("browser") if "422" not in entry["message"]]
    assert refused == []
