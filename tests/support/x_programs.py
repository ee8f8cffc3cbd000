"""Programs on an X server for tests: windows that say of themselves what a test wants, and real toolkits with menus."""

from __future__ import annotations

import struct
from typing import Any

import xcffib
import xcffib.xproto
from x_server import XServer, wait_for

GTK = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
Gdk.set_program_class("{name}")
bar, menu, item = Gtk.MenuBar(), Gtk.Menu(), Gtk.MenuItem(label="File")
for label in "Open", "Save":
    menu.append(Gtk.MenuItem(label=label))
item.set_submenu(menu)
bar.append(item)
box = Gtk.VBox()
box.pack_start(bar, False, False, 0)
box.pack_start(Gtk.Entry(), False, False, 0)
window = Gtk.Window(title="{title}")
window.set_default_size(300, 200)
window.add(box)
window.show_all()
Gtk.main()
"""
QT = """
from PyQt5.QtWidgets import QApplication, QLineEdit, QMainWindow
application = QApplication(["{name}"])
window = QMainWindow()
window.setWindowTitle("{title}")
menu = window.menuBar().addMenu("File")
menu.addAction("Open")
menu.addAction("Save")
window.setCentralWidget(QLineEdit())
window.resize(300, 200)
window.show()
application.exec()
"""


class Program:
    """A client of the X server. Every call has been handled by the server when it returns."""

    def __init__(self, display: str) -> None:
        self.display = display
        self.connection: Any = xcffib.connect(display)
        self.core: Any = self.connection.core
        self.root: int = self.connection.get_setup().roots[0].root

    def close(self) -> None:
        self.connection.disconnect()

    def window(
        self,
        place: tuple[int, int, int, int] = (0, 0, 100, 100),
        *,
        app: str = "",
        title: str = "",
        parent: int = 0,
        border: int = 0,
        is_popup: bool = False,
        is_mapped: bool = True,
        transient_for: int = 0,
        pid: int = 0,
    ) -> int:
        """A window at (x, y, width, height); its instance and class are `app`, in lower case and as it is."""
        id_ = int(self.connection.generate_id())
        override, background = xcffib.xproto.CW.OverrideRedirect, xcffib.xproto.CW.BackPixel
        self.core.CreateWindow(0, id_, parent or self.root, *place, border, 1, 0, background | override, [0, is_popup])
        if app:
            self.put(id_, "WM_CLASS", f"{app.lower()}\0{app}\0")
        if title:
            self.put(id_, "_NET_WM_NAME", title, "UTF8_STRING")
        if transient_for:
            self.put_number(id_, "WM_TRANSIENT_FOR", transient_for, "WINDOW")
        if pid:
            self.put_number(id_, "_NET_WM_PID", pid)
        # The window manager leaves a window where the program says that the person has put it.
        self.core.ChangeProperty(0, id_, self.atom("WM_NORMAL_HINTS"), self.atom("WM_SIZE_HINTS"), 32, 18, _AT_PLACE)
        if is_mapped:
            self.core.MapWindow(id_)
        self.sync()
        return id_

    def put(self, window: int, name: str, value: str, type_: str = "STRING") -> None:
        data = value.encode()
        self.core.ChangeProperty(0, window, self.atom(name), self.atom(type_), 8, len(data), data)
        self.sync()

    def put_number(self, window: int, name: str, value: int, type_: str = "CARDINAL") -> None:
        self.core.ChangeProperty(0, window, self.atom(name), self.atom(type_), 32, 1, struct.pack("=I", value))
        self.sync()

    def move(self, window: int, x: int, y: int) -> None:
        flags = xcffib.xproto.ConfigWindow.X | xcffib.xproto.ConfigWindow.Y
        self.core.ConfigureWindow(window, flags, [x, y])
        self.sync()

    def raise_(self, window: int) -> None:
        self.core.ConfigureWindow(window, xcffib.xproto.ConfigWindow.StackMode, [0])
        self.sync()

    def destroy(self, window: int) -> None:
        self.core.DestroyWindow(window)
        self.sync()

    def focus(self, window: int) -> None:
        """Give the input focus to a window; 0 is None, 1 is PointerRoot."""
        self.core.SetInputFocus(0, window, 0)
        self.sync()

    def activate(self, window: int) -> None:
        """Ask the window manager to make a window the active one, as a taskbar does; wait until it is."""
        data = xcffib.xproto.ClientMessageData.synthetic([2, 0, 0, 0, 0], "IIIII")
        message = xcffib.xproto.ClientMessageEvent.synthetic(32, window, self.atom("_NET_ACTIVE_WINDOW"), data)
        self.core.SendEvent(False, self.root, 0x180000, message.pack())
        self.sync()
        wait_for(lambda: self.active() == window, "the active window")

    def active(self) -> int:
        reply = self.core.GetProperty(False, self.root, self.atom("_NET_ACTIVE_WINDOW"), 0, 0, 1).reply()
        return struct.unpack("=I", bytes(reply.value.buf()))[0] if reply.value_len else 0

    def grab_keyboard(self, window: int) -> None:
        def is_granted() -> bool:
            return int(self.core.GrabKeyboard(False, window, 0, 1, 1).reply().status) == 0

        wait_for(is_granted, "a grab of the keyboard")

    def ungrab_keyboard(self) -> None:
        self.core.UngrabKeyboard(0)
        self.sync()

    def mapped(self) -> dict[int, tuple[int, int, int, int]]:
        """The root's children that are on the screen, bottom to top: (x, y, width, height), without borders."""
        places = {}
        for child in self.core.QueryTree(self.root).reply().children:
            try:
                is_mapped = self.core.GetWindowAttributes(child).reply().map_state == 2
                place = self.core.GetGeometry(child).reply()
            except xcffib.Error:
                continue
            if is_mapped and place.x >= 0 and place.width > 1:
                places[child] = (place.x, place.y, place.width, place.height)
        return places

    def inside(self, window: int) -> tuple[int, int]:
        """Where a window begins on the screen, whatever frame is around it."""
        place = self.core.TranslateCoordinates(window, self.root, 0, 0).reply()
        return place.dst_x, place.dst_y

    def titled(self, title: str) -> int:
        """The managed window with a title; 0 if there is none."""
        for window in self.clients():
            if title.encode() in (self._text(window, "_NET_WM_NAME"), self._text(window, "WM_NAME")):
                return window
        return 0

    def clients(self) -> list[int]:
        """The windows that the window manager manages."""
        reply = self.core.GetProperty(False, self.root, self.atom("_NET_CLIENT_LIST"), 0, 0, 1024).reply()
        return list(struct.unpack(f"={reply.value_len}I", bytes(reply.value.buf())))

    def atom(self, name: str) -> int:
        return int(self.core.InternAtom(False, len(name), name).reply().atom)

    def sync(self) -> None:
        self.core.GetInputFocus().reply()

    def _text(self, window: int, name: str) -> bytes:
        try:
            reply = self.core.GetProperty(False, window, self.atom(name), 0, 0, 64).reply()
        except xcffib.Error:
            return b""
        return bytes(reply.value.buf())


_AT_PLACE = struct.pack("=18I", 1, *[0] * 17)
"""WM_NORMAL_HINTS with USPosition."""


def start_toolkit(x: XServer, program: str, name: str, title: str, eyes: Program) -> int:
    """Start `GTK` or `QT`, wait until its window has the focus; the window."""
    x.start("/usr/bin/python3", "-c", program.format(name=name, title=title))
    wait_for(lambda: eyes.titled(title) and eyes.active() == eyes.titled(title), f"the window of {name}")
    return eyes.titled(title)


def start_manager(x: XServer) -> None:
    """Start openbox and wait until it really manages: while it starts, it leaves a new window alone now and then."""
    x.window_manager()
    program = Program(x.display)
    try:
        wait_for(lambda: _is_managed(program), "openbox to manage a window")
    finally:
        program.close()


def _is_managed(program: Program) -> bool:
    window = program.window()
    try:
        wait_for(lambda: window in program.clients(), "a managed window", limit_s=1)
    except TimeoutError:
        return False
    finally:
        program.destroy(window)
    wait_for(lambda: window not in program.clients(), "the window to go")
    return True
