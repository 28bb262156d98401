"""A crawl on many hosts: spot instances of EC2, or any hosts that ssh reaches. `fabfile.py` has the tasks.

Which hosts there are comes from the tags of a run, or from the command line (`hosts`). What is done to them is done to
all at once, and what came of it is told of each (`each`, `outcomes`): a host that fails never stops the others.
"""
