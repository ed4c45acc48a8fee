from case import Case

CASE = Case(
    plugin="pytest",
    exercises="all plugins of this page installed and active at once, found by their entry points, none of them "
    "asked for anything",
    load=[],
    autoload=True,
    parts=r"forked at .*pyvirtualdisplay/.*, which starts a process .Xvfb.",  # by pytest-xvfb
    steps=[["-p", "no:randomly"]],
)
