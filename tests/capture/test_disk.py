"""Folders of a spool: who may enter them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from taskreel.capture.disk import make_folders, write_whole
from taskreel.capture.spool import Spool


@pytest.mark.parametrize("mode", [0o700, 0o770])
def test_a_folder_is_as_open_as_the_one_that_it_lies_in(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o007)
    try:
        tmp_path.chmod(mode)
        make_folders(tmp_path / "a" / "b")
        write_whole(tmp_path / "c" / "file", b"x")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / part).stat().st_mode) for part in ("a", "a/b", "c")} == {mode}


def test_a_spool_that_was_there_is_closed_to_others_but_not_to_its_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    Spool(tmp_path).open()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o770
