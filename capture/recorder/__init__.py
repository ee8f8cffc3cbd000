"""The recorder: one process that keeps what sources hand over, and tells whoever asks how it stands.

clock      monotonic time to UTC, and when that stops being true
intake     what sources hand their events to
sieve      what may be kept, in order of time
journal    a recording in progress on the disk
sealing    journals become segments, in a process of their own
recording  one recording: its journals, pictures and account
recorder   all of it together
control    commands to a running recorder
machine    which sources this machine has
admission  whether it may record at all
"""
