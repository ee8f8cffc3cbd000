"""Kernel input events (`struct input_event`) and what they mean, for recordings of them and for live devices.

codes      the numbers of `input-event-codes.h` that mean something here
devices    what a device says of itself: its keys, axes and properties
streams    events as arrays, cut into frames
contacts   fingers on a device, by any of the kernel's protocols
touchpads  what fingers on a touchpad do: move, scroll, tap, drag
pointers   the one pointer of a session, and the rows of the event table
interpret  all devices of a session to one event table
"""
