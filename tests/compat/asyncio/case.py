from case import Case

CASE = Case(
    plugin="pytest-asyncio",
    exercises="async tests and fixtures, loops with function, class, module and session scope, servers and "
    "child processes on the loop, a failing task, `unused_tcp_port`",
    load=["asyncio"],
    steps=[["--asyncio-mode=auto"], ["--asyncio-mode=strict"]],
)
