"""A driver: the author's subclass, the nursery it lives in, and the way of a request through it."""

from trindi.driver.core import DriverCore as DriverCore
from trindi.driver.dispatch import wait_for_all as wait_for_all
from trindi.driver.driver import IPyDriver as IPyDriver, core_of as core_of
from trindi.driver.property_queue import Sender as Sender
from trindi.driver.sink import Publisher as Publisher
