"""An X server as a source: keys, pointer, windows and monitors. It is only listened to: nothing is grabbed or changed.

source       `X11Source`: opens, waits, hands over
desktop      what it asks of the windows
connection   xcb by xcffib's handles: bytes in, bytes out
queries      what the server is asked, and what it answers
raw          from the bytes of events to small tuples
clock        the server's time
keyboard     what a press writes, by the server's own keymap
repeats      auto-repeat, which raw events do not have
devices      what the valuators of a device mean: moves and turns of the wheel
trail        where the pointer was at each event of a batch
"""
