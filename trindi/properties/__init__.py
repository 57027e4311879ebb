"""What an author declares: members, vectors and devices. No tasks, no sockets, no wire."""

from trindi.properties.device import Device as Device
from trindi.properties.members import BLOBMember as BLOBMember
from trindi.properties.members import LightMember as LightMember
from trindi.properties.members import Member as Member
from trindi.properties.members import NumberMember as NumberMember
from trindi.properties.members import SwitchMember as SwitchMember
from trindi.properties.members import TextMember as TextMember
from trindi.properties.vectors import BLOBVector as BLOBVector
from trindi.properties.vectors import LightVector as LightVector
from trindi.properties.vectors import NumberVector as NumberVector
from trindi.properties.vectors import Outlet as Outlet
from trindi.properties.vectors import SwitchVector as SwitchVector
from trindi.properties.vectors import TextVector as TextVector
from trindi.properties.vectors import Vector as Vector
