"""What every scenario has: the clients, the check that explains itself, and the runner that reports by name.

A scenario is a function under `@scenario`. Its name is the one the catalogue of the test has; one that is asked for and
not there fails, so that nothing is left out unseen.
"""

import asyncio
import inspect
import json
import sys
import traceback

import openai

SCENARIOS = {}
ASKED = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def client(key="key", server="base_url", **options):
    """A client as people make one: where the server is, and a key."""
    options.setdefault("max_retries", 0)
    options.setdefault("timeout", 60)
    return openai.OpenAI(base_url=ASKED[server], api_key=ASKED.get(key, key), **options)


def async_client(**options):
    options.setdefault("max_retries", 0)
    options.setdefault("timeout", 60)
    return openai.AsyncOpenAI(base_url=ASKED["base_url"], api_key=ASKED["key"], **options)


def user(text):
    return [{"role": "user", "content": text}]


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what}: {found!r} is not {expected!r}")


def holds(truth, what):
    if not truth:
        raise AssertionError(what)


def refused(expected, call, **attributes):
    """The SDK must raise exactly this class, with these attributes."""
    try:
        call()
    except openai.APIError as error:
        equal(type(error), expected, f"the class of {error}")
        for name, value in attributes.items():
            equal(getattr(error, name, None), value, f"{name} of {error}")
        return error
    raise AssertionError(f"nothing was raised, not {expected.__name__}")


def run():
    ASKED.update(json.load(sys.stdin))
    for name in ASKED["scenarios"]:
        failure = None
        try:
            # One that is not there is a failure like any other.
            result = SCENARIOS[name]()
            if inspect.isawaitable(result):
                asyncio.run(result)
        except Exception:
            failure = traceback.format_exc(limit=-4)
        print(json.dumps({"scenario": name, "failure": failure}), flush=True)
