"""rebake: Docker builds of Rust + Bun projects as fast as the machine allows."""

__version__ = "0.1.0"
