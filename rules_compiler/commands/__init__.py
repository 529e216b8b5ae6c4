"""The commands of ``kopilka-rules``, one file each; what several need stands beside them.

A command's module has ``SUMMARY`` and ``EXAMPLES`` (its help), ``arguments`` (which fills its
parser) and ``run`` (which does it and gives the exit code). ``registry`` names them all.
"""
