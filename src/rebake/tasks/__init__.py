"""Room `tasks`: the Invoke tasks, one file a noun. `namespace` is the collection of all of them."""

from __future__ import annotations

from invoke.collection import Collection

from rebake.tasks import benchmark, build, config, engine, report, stack, why

namespace = Collection(
    stack.dev,
    stack.prod,
    stack.up,
    stack.down,
    stack.logs,
    stack.ps,
    build.build,
    build.rebuild,
    benchmark.benchmark,
    benchmark.workflow_test,
    engine.engine,
    engine.base_images,
    config.config,
    config.doctor,
    report.report,
    why.why,
)

__all__ = ["namespace"]
