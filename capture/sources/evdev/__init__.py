"""Input devices of the Linux kernel, for the console and Wayland, and streams of their events from other machines.

layouts  `struct input_event` of 64-bit and 32-bit machines, told apart, as bytes come
stream   files, pipes and sockets with such events
device   /dev/input/event*: opened to read only, described, on our clock
hotplug  which devices have come
access   which devices may be read, and what to do if none may
resync   the keys that are held, and those that changed while events were lost
pace     how long to wait between two reads
reader   one device or stream, read into frames
source   all of them as one source of events

What the events mean is `taskreel.capture.kernel`'s, as for recordings that are imported.
"""
