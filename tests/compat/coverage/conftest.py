import sys

sys.path.insert(0, __file__.rpartition("/")[0])
