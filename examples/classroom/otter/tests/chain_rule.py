OK_FORMAT = True

test = {
    "name": "chain_rule",
    "points": 1,
    "suites": [
        {
            "type": "doctest",
            "scored": True,
            "setup": "",
            "teardown": "",
            "cases": [
                {
                    "code": """
                    >>> mark = tg.exercises.start("chain_rule").check(chain_rule)
                    >>> assert mark.ok, mark
                    """,
                    "hidden": False,
                    "locked": False,
                },
            ],
        },
    ],
}
