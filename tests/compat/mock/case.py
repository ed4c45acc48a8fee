from case import Case

CASE = Case(
    plugin="pytest-mock",
    exercises="`mocker` with its undo, spies and stubs, `session_mocker`, `module_mocker`",
    load=["pytest_mock"],
)
