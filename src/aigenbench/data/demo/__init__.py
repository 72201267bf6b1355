"""A synthetic data set in the benchmark's schema, for trying the software on."""

from __future__ import annotations

from aigenbench.data.demo.writer import make_demo_data

__all__ = ["make_demo_data"]
