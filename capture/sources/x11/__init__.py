"""An X server as a source: keys, pointer, windows and monitors. It is only listened to: nothing is grabbed or changed.

source       `X11Source`: opens, runs, stops
desktop      what it asks of the windows
watch        the watching: waits, reads, hands over
extensions   connecting by xcffib
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
properties   asking windows what they say of themselves
windows      `Windows`: who has the focus, and what must not be kept
views        `XWindowViews`: what lies on the screen that must not be in a picture
exclusion    which windows are excluded, by the person's patterns
popups       to which window a popup belongs
facts        what a window says of itself
stacking     the windows on the screen, kept up to date by the server's events
focus        which window has the focus
grabs        whether a program has the keyboard for itself
monitors     the screen's size, scale and monitors
server       a connection by xcffib on which windows may vanish at any time
"""
