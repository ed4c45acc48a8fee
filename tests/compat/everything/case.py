from case import Case

CASE = Case(
    plugin="pytest",
    exercises="all plugins of this page installed and active at once, found by their entry points, none of them "
    "asked for anything",
    load=[],
    autoload=True,
    steps=[["-p", "no:randomly"]],
)
