"""Packaging. The top-level folders are installed as one import package, `taskreel` (`io/` as `taskreel.io`, …).

This file is also what Beam ships to workers (`--setup_file`). Versions are pinned in `constraints.txt`.
"""

from pathlib import Path

from setuptools import find_packages, setup

GCP = ["apache-beam[gcp]>=2.77,<2.78", "google-cloud-storage>=3", "google-crc32c>=1.6", "tenacity>=9"]
FOLDERS = ("capture", "io", "pipelines", "rehearsal", "transforms")

PACKAGES = ["taskreel", *(f"taskreel.{folder}" for folder in FOLDERS)]
PACKAGES += [f"taskreel.{folder}.{package}" for folder in FOLDERS for package in find_packages(folder)]

setup(
    name="taskreel",
    version="0.1.0",
    description="From recordings of work at a computer, made with consent, to training data that can be checked",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    python_requires=">=3.11,<3.13",
    packages=PACKAGES,
    package_dir={"taskreel": "taskreel"} | {f"taskreel.{folder}": folder for folder in FOLDERS},
    package_data={
        "taskreel": ["py.typed"],
        "taskreel.capture": ["packaging/*"],
        "taskreel.rehearsal.gcs": ["credentials.json"],
    },
    install_requires=[
        "apache-beam>=2.77,<2.78",  # the pipeline
        "deltalake>=1.6,<2",  # the table layer: versions, atomic commits
        "numpy>=2",
        "pyarrow>=25,<26",  # segments and shards; part of the promise of same bytes
        "rich>=14",  # tables and progress on a terminal
        "typer>=0.20",  # the command line
        "zstandard>=0.23",  # tables that cross a shuffle
    ],
    extras_require={
        "capture": [
            "evdev>=2",  # input devices of the kernel; built from source against its headers
            "jeepney>=0.9",  # D-Bus: is the session locked, has a password field the focus
            "mss>=10",  # pictures of the screen
            "pillow>=11",  # WebP
            "tenacity>=9",  # retries of uploads that do what the store asks for
            "xcffib>=1.13",  # the X server: input, windows, monitors
            "xkbcommon>=1.5",  # text by keyboard layout; built from source with libxkbcommon-dev
            "xxhash>=3.5",  # is this frame like one before
        ],
        "gcp": GCP,
        "import": [
            "av>=14",  # frames of the videos beside recordings
            "mcap>=1.2",  # the container of OWAMcap
            "pillow>=11",  # their pictures
            "pyyaml>=6",  # libinput's recordings
            "xkbcommon>=1.5",  # text by keyboard layout; built from source with libxkbcommon-dev
        ],
        "rehearse": GCP,  # the real clients, against stand-ins
        "simulate": ["pillow>=11"],  # the simulator draws screens
        "watch": ["prometheus-client>=0.22"],  # /metrics of `taskreel watch --port`
        "dev": [
            "datasets>=5",
            "duckdb>=1.4",
            "google-crc32c>=1.6",
            "hypothesis>=6.100",
            "mypy>=1.15",
            "pillow>=11",
            "polars>=1.30",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",  # the suite on all cores
            "ruff>=0.12",
        ],
    },
    entry_points={"console_scripts": ["taskreel = taskreel.__main__:main"]},
)
