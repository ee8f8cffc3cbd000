"""An X server as a source: keys, pointer, windows and monitors. It is only listened to: nothing is grabbed or changed.

source       `X11Source`: opens, runs, stops
desktop      what it asks of the windows
watch        the watching: waits, reads, hands over
connection   xcb by xcffib's handles: bytes in, bytes out
queries      what the server is asked, and what it answers
raw          from the bytes of events to small tuples
clock        the server's time
keys         keys: names, texts, repeats, and which must not be kept
keyboard     what a press writes, by the server's own keymap
repeats      auto-repeat, which raw events do not have
held         a release goes where its press went
devices      what the valuators of a device mean: moves and turns of the wheel
trail        where the pointer was at each event of a batch
"""
