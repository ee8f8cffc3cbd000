"""What is shipped to workers."""

from setuptools import setup

setup(name="office", version="1.0", packages=[])
