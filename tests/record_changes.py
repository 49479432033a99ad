"""Changes records of JSON, for the tests of what a reader refuses."""


def changed(*keys, to):
    """Return a change of a record at a place."""

    def change(record):
        at = record
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = to

    return change
