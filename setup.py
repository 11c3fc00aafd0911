"""The package list: the repository root is `edgepress`, its rooms are the sub-packages."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = ["compress*", "devices*", "export*", "runtime*", "tools*"]


class BuildWithoutSetup(build_py):
    """Leaves this file out of the package it sits in."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """Modules of `package` except `setup`."""
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if module[:2] != ("edgepress", "setup")]


setup(
    packages=["edgepress"] + ["edgepress." + name for name in find_packages(include=ROOMS)],
    cmdclass={"build_py": BuildWithoutSetup},
)
