OK_FORMAT = True

test = {
    "name": "matmul_left",
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
                    >>> mark = tg.exercises.start("matmul_left").check(matmul_left)
                    >>> assert mark.ok, mark
                    """,
                    "hidden": False,
                    "locked": False,
                },
            ],
        },
    ],
}
