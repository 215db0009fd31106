OK_FORMAT = True

test = {
    "name": "softmax",
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
                    >>> mark = tg.exercises.start("softmax").check(softmax)
                    >>> assert mark.ok, mark
                    """,
                    "hidden": False,
                    "locked": False,
                },
            ],
        },
    ],
}
