"""The version of the installed package."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Version of the installed package, or `unknown` when it is run from a folder."""
    try:
        return version("ganscope")
    except PackageNotFoundError:
        return "unknown"
