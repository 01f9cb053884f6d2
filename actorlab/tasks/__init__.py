"""Tasks: functions that run as supervised actors.

Pure re-exports.
"""

from .task import Task
from .task_stream import TaskStream
from .task_supervisor import TaskSupervisor

__all__ = ["Task", "TaskStream", "TaskSupervisor"]
