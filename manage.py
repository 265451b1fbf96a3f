#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena.settings")
    from django.core.management import execute_from_command_line

    # In a log file too each line is there when it is said: Python would keep them back by the page.
    sys.stdout.reconfigure(line_buffering=True)
    execute_from_command_line(sys.argv)
