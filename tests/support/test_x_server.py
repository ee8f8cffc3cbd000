"""The support for tests with an X server, itself tried on a real one."""

from __future__ import annotations

from pathlib import Path

from x_server import Injector, XServer, wait_for


def test_what_is_typed_by_xtest_reaches_a_program(tmp_path: Path) -> None:
    got = tmp_path / "got.txt"
    with XServer() as x:
        x.window_manager()
        x.start("xterm", "-e", "sh", "-c", f"stty -echo; echo ready >{got}.ready; cat >{got}")
        wait_for(Path(f"{got}.ready").exists, "xterm")
        injector = Injector(x.display)
        wait_for(lambda: "0x0" not in x.run("xprop", "-root", "_NET_ACTIVE_WINDOW"), "a focused window")
        for keycode in (43, 26, 46, 46, 32, 36):  # h e l l o Enter
            injector.tap(keycode)
        wait_for(lambda: got.exists() and got.read_text() == "hello\n", "the text")
        injector.close()
