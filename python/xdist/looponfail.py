"""The name of pytest-xdist's plugin for --looponfail, so that `-p xdist.looponfail` and
`-p no:xdist.looponfail` in an ini file mean what they did. What it did is in phalanx.loop."""
