"""Files that build an exported folder: CMake and make always, Arduino's and Zephyr's where asked for."""

from __future__ import annotations

from collections.abc import Sequence

PACKAGINGS = ("plain", "arduino", "zephyr")


def package(kind: str, name: str, sources: Sequence[str], version: str) -> dict[str, str]:
    """File name -> text of one of `PACKAGINGS`."""
    include = "src" if kind == "arduino" else "."
    files = {
        "CMakeLists.txt": _cmake(name, sources, include),
        "Makefile": _makefile(name, sources, include),
    }
    if kind == "arduino":
        files["library.properties"] = _arduino(name, version)
    if kind == "zephyr":
        files["zephyr/module.yml"] = _zephyr_module(name)
        files["zephyr/Kconfig"] = _zephyr_kconfig(name)
        files["zephyr/CMakeLists.txt"] = _zephyr_cmake(name, sources)
    return files


def _cmake(name: str, sources: Sequence[str], include: str) -> str:
    listed = "\n".join(f"  {source}" for source in sources)
    folder = "" if include == "." else f"/{include}"
    return f"""cmake_minimum_required(VERSION 3.13)
project({name} C)

add_library({name} STATIC
{listed})
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}}{folder})
set_target_properties({name} PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  target_compile_options({name} PRIVATE -O3 -Wall -Wextra -pedantic -ffunction-sections -fdata-sections)
endif()
find_library({name.upper()}_MATH m)
if({name.upper()}_MATH)
  target_link_libraries({name} PUBLIC m)
endif()
"""


def _makefile(name: str, sources: Sequence[str], include: str) -> str:
    objects = " ".join(source.replace(".c", ".o") for source in sources)
    return f"""# make                    lib{name}.a for this machine
# make CC=arm-none-eabi-gcc AR=arm-none-eabi-ar CFLAGS="-O3 -mcpu=cortex-m4 -mthumb ..."
CFLAGS ?= -O3
OBJECTS = {objects}

lib{name}.a: $(OBJECTS)
\t$(AR) rcs $@ $(OBJECTS)

%.o: %.c
\t$(CC) -std=c99 -Wall -Wextra -pedantic -ffunction-sections -fdata-sections -I{include} $(CFLAGS) -c $< -o $@

clean:
\trm -f $(OBJECTS) lib{name}.a

.PHONY: clean
"""


def _arduino(name: str, version: str) -> str:
    return f"""name={name}
version={version.split("+")[0]}
author=edgepress
maintainer=edgepress
sentence=Neural network {name} as plain C
paragraph=Weights in flash, one static arena, no heap. Include {name}.h and call {name}_invoke.
category=Data Processing
url=https://example.invalid/{name}
architectures=*
includes={name}.h
"""


def _zephyr_module(name: str) -> str:
    return f"""name: {name}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
"""


def _zephyr_kconfig(name: str) -> str:
    return f"""config {name.upper()}
\tbool "Neural network {name}"
\tdefault y
"""


def _zephyr_cmake(name: str, sources: Sequence[str]) -> str:
    listed = "\n".join(f"    ../{source}" for source in sources)
    return f"""if(CONFIG_{name.upper()})
  zephyr_include_directories(..)
  zephyr_library_named({name})
  zephyr_library_sources(
{listed})
endif()
"""
