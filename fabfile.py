"""Tasks for `fab`. `fab --list` shows them."""

from fabric import task
from invoke.context import Context


@task  # type: ignore[untyped-decorator]
def check(context: Context) -> None:
    """Lint, type-check and test, as continuous integration does."""
    context.run("bin/test", pty=False)
