"""An X server as a source: keys, pointer, windows and monitors. It is only listened to: nothing is grabbed or changed.

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
