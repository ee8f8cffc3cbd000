"""An X server with a window manager, and a source that listens to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from listening_sink import ListeningSink, running
from open_desktop import OpenDesktop
from x_programs import start_manager
from x_server import Injector, XServer

from taskreel.capture.settings import Settings
from taskreel.capture.sources.protocol import SourceFacts
from taskreel.capture.sources.x11.source import X11Source


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer() as x:
        x.window_manager()
        yield x


@pytest.fixture(scope="module")
def managed() -> Iterator[XServer]:
    """A server with openbox, of a module's own."""
    with XServer() as x:
        start_manager(x)
        yield x


@pytest.fixture(scope="module")
def bare() -> Iterator[XServer]:
    """A server with no window manager."""
    with XServer() as x:
        yield x


@pytest.fixture
def injector(server: XServer) -> Iterator[Injector]:
    injector = Injector(server.display)
    yield injector
    injector.close()


@pytest.fixture
def sink() -> ListeningSink:
    return ListeningSink()


@pytest.fixture
def desktop() -> OpenDesktop:
    return OpenDesktop()


@pytest.fixture
def listening(
    server: XServer, sink: ListeningSink, desktop: OpenDesktop
) -> Callable[[], AbstractContextManager[SourceFacts]]:
    """Listen to the server while the context is open; what is there at its end is in the sink after it."""

    @contextmanager
    def listen() -> Iterator[SourceFacts]:
        source = X11Source(Settings(Path("spool"), display=server.display), desktop)
        with running(source, sink) as facts:
            yield facts

    return listen
