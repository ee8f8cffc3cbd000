"""Pictures of the screen: what it showed before each action, after it, and now and then.

grab        pixels of an X server, and where they changed (mss, XDamage)
tiles       frames as squares: which of them changed, and black areas
ring        the frames of the last seconds, as changed tiles
watch       the ring filled from the grabs, without what must not be seen
moments     when a picture is wanted
budget      how many pictures may be made
choose      which frames become screen events: those that look new
predictor   whether lossless WebP is the smaller one
encode      pictures as WebP, in a thread of its own
memory      large buffers are given back at once
source      `ScreenSource`, which puts them together
"""
