"""Soak: load that trindi must survive, for minutes, with a bound for each figure.

Each scenario is a module with a function that returns its figures. The server is a process of its
own, and the load comes from bare sockets, which know nothing of trindi; only the thermostat, whose
hours pass in a second, has its server and its clients under one clock.
"""
