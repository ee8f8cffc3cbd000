"""Sources of events: what watches the devices, windows and screens of a computer while a person is recorded.

protocol   what a source is, what it is given and what it hands over
guards     when something must not be kept
x11        keys, pointer, windows and monitors of an X server
evdev      input devices of the Linux kernel, for the console and Wayland
screens    pictures of the screen before and after actions
"""
