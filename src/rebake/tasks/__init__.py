"""Room `tasks`: the Invoke tasks, one file a noun. `namespace` is the collection of all of them."""

from __future__ import annotations

from invoke.collection import Collection

from rebake.tasks import benchmark, build, caches, config, engine, report, stack

namespace = Collection(
    stack.dev,
    stack.prod,
    stack.up,
    stack.down,
    stack.logs,
    stack.ps,
    build.build,
    build.rebuild,
    caches.warm_cache,
    caches.refresh_cache,
    benchmark.benchmark,
    benchmark.workflow_test,
    engine.engine,
    engine.base_images,
    config.config,
    config.doctor,
    report.report,
)

__all__ = ["namespace"]
